// Remember: an encoder leaves keys and values for the cross attention of a decoder.
//
// Writes k and v of each row at its position into the states of the node's name, in the layout of attention's cache, and the number of
// positions into state "length". The output is that number: something for the graph to depend on.
#include "ops/attention/cache.h"
#include "ops/support.h"

namespace tailor::ops::remember_kernels {

using namespace attention_kernels;

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require_f32(node, 1);
    const std::int64_t kv_heads = node.attributes.integer("kv_heads");
    require(node.inputs[0].shape.rows() == node.inputs[1].shape.rows(), "remember: k and v must have the same rows", node);
    require(kv_heads > 0 && node.inputs[0].shape.width() % kv_heads == 0 && node.inputs[1].shape.width() % kv_heads == 0, "remember: kv heads must divide the widths", node);
    return f32({1, 1});
}

static std::vector<StateType> states(const NodeView& node, const StateOptions& options) {
    const std::int64_t kv_heads = node.attributes.integer("kv_heads"), context = whole_tiles(options.context);
    return {{"k", {kv_heads, context, node.inputs[0].shape.width() / kv_heads}}, {"v", {kv_heads, context, node.inputs[1].shape.width() / kv_heads}}, {"length", {1}, &formats::get("f32")}};
}

static void run(const Call& call) noexcept {
    float length = 0;
    for (std::int64_t r = 0; r < call.inputs[0].shape.rows(); ++r) {
        const std::int64_t sequence = call.batch.sequences[static_cast<std::size_t>(r)], position = call.batch.positions[static_cast<std::size_t>(r)];
        for (const Side side : {Side::keys, Side::values}) {
            const auto i = static_cast<std::size_t>(side == Side::values);
            const core::Tensor& cache = call.states[i];
            for (std::int64_t h = 0; h < cache.shape[1]; ++h) write_position(cache, side, sequence, h, position, call.inputs[i].row_f32(r) + h * cache.shape[3]);
        }
        length = static_cast<float>(position + 1);
        call.states[2].row_f32(sequence)[0] = length;
    }
    call.output.row_f32(0)[0] = length;
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 0); }

static std::vector<Case> cases() {
    return {{.inputs = {f32({5, 32}), f32({5, 64})}, .attributes = {{"kv_heads", std::int64_t{2}}}, .past = 3, .context = 20},
            {.inputs = {f32({2, 64}), f32({2, 64})}, .attributes = {{"kv_heads", std::int64_t{1}}}, .context = 9, .kv_format = "q8_0"}};
}

static const Kernel kernels[] = {{.name = "plain", .doc = "one position after the other", .run = {{&run, &run, &run, &run}}}};

}  // namespace tailor::ops::remember_kernels

namespace tailor::ops::entries {
extern const Op remember = {
    .name = "remember",
    .doc = "k [rows, kv_heads * d], v [rows, kv_heads * e] -> [1, 1]: kept for \"cross_attention\" of the same name",
    .least_inputs = 2,
    .most_inputs = 2,
    .shape = &remember_kernels::shape,
    .reference = [](const Call& call) { remember_kernels::run(call); },
    .kernels = remember_kernels::kernels,
    .cost = &remember_kernels::cost,
    .states = &remember_kernels::states,
    .cases = &remember_kernels::cases,
    .not_differentiable = "what it keeps is read by another graph; training an encoder and a decoder together takes attention that sees both",
};
}  // namespace tailor::ops::entries
