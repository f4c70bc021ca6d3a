// Cross attention: rows of a decoder look at what an encoder left.
//
//     y[h] = sum over the encoder's positions j of softmax_j(scale * q[h] . K[g][j]) V[g][j]
// Keys and values stand in states that a node "remember" of the same name wrote when the encoder ran; state "length" says how many.
// Vaswani et al., "Attention Is All You Need", 2017, section 3.2.3. Kernels and definition are those of attention.
#include "ops/attention/cache.h"
#include "ops/attention/kernels.h"
#include "ops/support.h"

namespace tailor::ops::cross_attention_kernels {

using namespace attention_kernels;

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const std::int64_t heads = node.attributes.integer("heads"), kv_heads = node.attributes.integer("kv_heads"), width = node.inputs[0].shape.width();
    require(heads > 0 && kv_heads > 0 && heads % kv_heads == 0 && width % heads == 0, "cross_attention: heads must be a multiple of kv heads and divide the width", node);
    require(node.attributes.integer("cross", 0) == 1, "cross_attention: the attribute cross must be 1", node);
    require(width / heads <= most_head_dim && node.attributes.integer("value_dim") <= most_head_dim, "cross_attention: heads wider than 576 are not supported", node);
    return f32({node.inputs[0].shape.rows(), heads * node.attributes.integer("value_dim")});
}

static std::vector<StateType> states(const NodeView& node, const StateOptions& options) {
    const std::int64_t kv_heads = node.attributes.integer("kv_heads"), context = whole_tiles(options.context);
    return {{"k", {kv_heads, context, node.inputs[0].shape.width() / node.attributes.integer("heads")}},
            {"v", {kv_heads, context, node.attributes.integer("value_dim")}},
            {"length", {1}, &formats::get("f32")}};
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 0); }

// Without an encoder nothing is remembered and the result is zero; attention_test.cpp has the other cases.
static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const std::int64_t rows : {1, 9})
        list.push_back({.inputs = {f32({rows, 48})}, .attributes = {{"heads", std::int64_t{6}}, {"kv_heads", std::int64_t{2}}, {"value_dim", std::int64_t{8}}, {"scale", 0.5}, {"cross", std::int64_t{1}}}, .context = 10});
    return list;
}

static std::string declines_many_rows(const NodeView& node) {
    const std::int64_t rows = node.inputs[0].shape.rows();
    return rows <= few_rows ? "" : core::format("made for up to {} rows, here are {}", few_rows, rows);
}

static const Kernel kernels[] = {
    {.name = "split", .doc = "parts of the memory in parallel for each row, merged in a fixed order", .version = 2, .run = split_kernel, .declines = &declines_many_rows},
    {.name = "tiled", .doc = "blocks of queries against tiles of keys, running maximum", .version = 2, .run = tiled_kernel},
};

}  // namespace tailor::ops::cross_attention_kernels

namespace tailor::ops::entries {
extern const Op cross_attention = {
    .name = "cross_attention",
    .doc = "q [rows, heads * d] -> [rows, heads * value_dim]: softmax(scale q K^T) V over what \"remember\" of the same name wrote",
    .shape = &cross_attention_kernels::shape,
    .reference = &attention_kernels::reference,
    .kernels = cross_attention_kernels::kernels,
    .cost = &cross_attention_kernels::cost,
    .states = &cross_attention_kernels::states,
    .cases = &cross_attention_kernels::cases,
    .not_differentiable = "its keys and values were left by another graph; training an encoder and a decoder together takes attention that sees both",
};
}  // namespace tailor::ops::entries
