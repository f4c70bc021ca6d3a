// Expert matmul: each row of x times the matrices of the experts it is sent to,
//     y[r * used + j] = scale[e] W[e] x[r] + bias[e],  e = ids[r, j]
//
// x may also hold a row of its own for every pair of a row and an expert, as the second product of a feed-forward needs. Without
// ids, part j of each row goes to matrix j and the results stand side by side: one matrix per head, which multi-head latent
// attention wants (DeepSeek-V2, 2024).
// Weights [experts, n, k] have any number format and stay packed, in rows as in the file or in panels, expert by expert; the
// products are those of matmul with its kernels, its precision and its list of conditions (ops/matmul). One token reads the
// weights of its own experts only. How work is cut: grouped.cpp.
#include <cmath>

#include "formats/panels.h"
#include "ops/expert_matmul/grouped.h"
#include "ops/experts.h"
#include "ops/gradients.h"
#include "ops/matmul/kernels.h"
#include "ops/registry.h"
#include "ops/support.h"

namespace tailor::ops::expert_matmul_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const TensorType &x = node.inputs[0], &w = node.inputs[1], ids = node.input(2);
    require(w.shape.rank() == 3, "expert_matmul: the weight must be [experts, outputs, width]", node);
    require(w.format->weights, "expert_matmul: the weight's format cannot hold weights", node);
    require(w.shape[0] <= most_experts, core::format("expert_matmul: at most {} experts are supported", most_experts), node);
    require(x.shape.width() == w.shape[2] * (ids ? 1 : w.shape[0]), "expert_matmul: the width of x must be that of the weight, for every expert if there are no ids", node);
    if (ids) {
        require(ids.format->name == "i32" && ids.shape.rank() == 2, "expert_matmul: ids must be i32 [rows, used]", node);
        const std::int64_t rows = x.shape.rows();
        require(rows == ids.shape.elements() || rows == ids.shape.rows(), "expert_matmul: x must have a row per row of ids, or one per id", node);
    }
    if (node.input(3)) {
        require_f32(node, 3);
        require(node.inputs[3].shape == core::Shape({w.shape[0], w.shape[1]}), "expert_matmul: the bias must be [experts, outputs]", node);
    }
    if (node.input(4)) {
        require_f32(node, 4);
        require(node.inputs[4].shape.elements() == w.shape[0], "expert_matmul: the scale must have one value per expert", node);
    }
    return ids ? f32({ids.shape.elements(), w.shape[1]}) : f32({x.shape.rows(), w.shape[0] * w.shape[1]});
}

static void reference(const Call& call) {
    const core::Tensor& w = call.inputs[1];
    const std::int64_t n = w.shape[1], k = w.shape[2], pairs = call.output.shape.elements() / n;
    const core::Tensor x = formats::view(*call.inputs[0].format, {call.inputs[0].shape.elements() / k, k}, call.inputs[0].data);
    const core::Tensor output = formats::view(*call.output.format, {pairs, n}, call.output.data);
    for (std::int64_t p = 0; p < pairs; ++p) {
        const std::int64_t e = call.input(2) ? call.input(2)->row_i32(0)[p] : p % w.shape[0];
        const std::vector<double> row = row_as_double(x, p * x.shape.rows() / pairs);
        std::vector<double> y;
        for (std::int64_t j = 0; j < n; ++j) {
            const std::vector<double> weights = row_as_double(w, e * n + j);
            double total = 0;
            for (std::size_t i = 0; i < row.size(); ++i) total += row[i] * weights[i];
            y.push_back(total * (call.input(4) ? call.input(4)->row_f32(0)[e] : 1.0) + (call.input(3) ? call.input(3)->row_f32(e)[j] : 0.0));
        }
        store_row(output, p, y);
    }
}

// Weights are read as far as rows choose different experts. If each row chooses `used` of `experts` by chance, an expert stays
// unread with probability (1 - used / experts)^rows; one row reads exactly its share.
static Cost cost(const NodeView& node) {
    const TensorType& w = node.inputs[1];
    const auto experts = static_cast<double>(w.shape[0]), pairs = static_cast<double>(node.output.shape.elements() / w.shape[1]);
    Cost cost = streaming_cost(node, 2.0 * static_cast<double>(node.output.shape.elements()) * static_cast<double>(w.shape[2]));
    if (const TensorType ids = node.input(2)) {
        const auto used = static_cast<double>(ids.shape.width());
        const double read = 1 - std::pow(std::max(0.0, 1 - used / experts), pairs / used);
        cost.bytes_read -= (1 - read) * static_cast<double>(formats::tensor_bytes(*w.format, w.shape));
    }
    return cost;
}

// Pairs of a row and an expert.
static std::int64_t pairs_of(const NodeView& node) { return node.output.shape.elements() / node.inputs[1].shape[1]; }

static std::int64_t scratch_bytes(const NodeView& node) {
    const core::Shape& w = node.inputs[1].shape;
    return grouped_scratch_bytes(pairs_of(node), w[0], w[1], w[2]);
}

// ---- The kernels of matmul, chosen by the rows an expert has ----

namespace products = matmul_kernels;
static constexpr Products tiles_bytes{&products::byte_kernel_exact, &products::tile_kernel_exact, products::least_tile_rows};
static constexpr Products tiles_floats{&products::float_panel_kernel, &products::tile_kernel_exact, products::least_tile_rows};
static constexpr Products short_tiles_bytes{&products::byte_kernel_exact, &products::tile_kernel_short, products::least_short_tile_rows};
static constexpr Products short_tiles_floats{&products::float_panel_kernel, &products::tile_kernel_short, products::least_short_tile_rows};
static constexpr Products bytes_short{&products::byte_kernel_exact, &products::byte_kernel_short, products::short_rows};
static constexpr Products narrow{&products::narrow_kernel, &products::narrow_kernel};
static constexpr Products words_scaled{&products::word_kernel, &products::scaled_kernel, products::least_scaled_rows};
static constexpr Products bytes_scaled{&products::byte_kernel_exact, &products::wide_scaled_kernel, products::least_wide_scaled_rows};
static constexpr Products bytes{&products::byte_kernel_exact, &products::byte_kernel_exact};
static constexpr Products words{&products::word_kernel, &products::word_kernel};
static constexpr Products floats{&products::float_panel_kernel, &products::float_panel_kernel};
static constexpr Products rows{&products::row_kernel, &products::panel_kernel, products::few_rows + 1};

template <const Products& p>
static void run(const Call& call) noexcept {
    run_grouped(call, p);
}
template <const Products& with_bytes, const Products& with_floats>
static void run_tiles(const Call& call) noexcept {
    run_grouped(call, call.inputs[1].format->integers ? with_bytes : with_floats);
}

// What matmul says of its kernel `name` for one expert with the rows of all: no expert has more.
static std::string asked(std::string_view name, const NodeView& node, std::string (*Kernel::*question)(const NodeView&)) {
    const TensorType& w = node.inputs[1];
    const std::int64_t pairs = pairs_of(node), n = w.shape[1], k = w.shape[2];
    const TensorType types[] = {f32({pairs, k}), {w.format, {n, k}, w.layout}};
    for (const Kernel& kernel : get("matmul").kernels)
        if (kernel.name == name) return kernel.*question ? (kernel.*question)({node.attributes, types, f32({pairs, n})}) : "";
    core::fail(core::ErrorKind::bug, "matmul has no kernel {}", name);
}
template <const auto& name>
static std::string declines(const NodeView& node) {
    return asked(name, node, &Kernel::declines);
}
template <const auto& name>
static std::string slower(const NodeView& node) {
    return asked(name, node, &Kernel::slower);
}
static constexpr char short_tiles[] = "panel_tiles_8", exact_tiles[] = "panel_tiles", short_bytes[] = "panel_bytes_8", narrow_bytes[] = "panel_narrow_8";
static constexpr char exact_bytes[] = "panel_bytes", exact_words[] = "panel_words", scaled_words[] = "panel_scaled_words", wide_scaled_words[] = "panel_wide_scaled_words", single_floats[] = "panel_floats", from_rows[] = "panels";

// One number per expert, given to what each of its results is made of: rows of pairs, or, without ids, columns.
static Value times_scale(const Differentiation& d, Value value) {
    const std::int64_t experts = d.shape(1)[0], n = d.shape(1)[1];
    const Value scale = reshaped(d.graph, d.input(4), {experts, 1});
    if (d.input(2) < 0) return d.graph.add("column_scale", {value, d.graph.add("expert_scale", {d.graph.filled({experts, n}, 1), scale})});
    const Value ids = reshaped(d.graph, d.input(2), {d.shape(2).elements()});
    return d.graph.add("expert_scale", {value, d.graph.add("gather", {scale, ids})});
}

// What the scale of each expert hands back: its results without scale and bias, times their gradients.
static Value scale_gradient(const Differentiation& d) {
    const std::int64_t experts = d.shape(1)[0], n = d.shape(1)[1];
    const Value plain = d.graph.add("expert_matmul", {d.input(0), d.input(1), d.input(2)});
    if (d.input(2) < 0) return d.graph.add("row_dot", {reshaped(d.graph, d.graph.add("column_sum", {plain, d.gradient}), {experts, n})});
    return d.graph.add("scatter_add", {d.graph.add("row_dot", {plain, d.gradient}), d.input(2)}, {{"rows", experts}});
}

static std::vector<Value> gradient(const Differentiation& d) {
    const std::int64_t experts = d.shape(1)[0];
    const Value back = d.input(4) >= 0 && (d.wants(0) || d.wants(1)) ? times_scale(d, d.gradient) : d.gradient;
    std::vector<Value> result(5, -1);
    if (d.wants(0)) result[0] = d.graph.add("expert_matmul_transposed", {back, d.input(1), d.input(2)});
    if (d.wants(0) && d.input(2) >= 0 && d.shape(0).rows() != d.shape(2).elements()) result[0] = d.graph.add("expert_sum", {result[0]}, {{"used", d.shape(2).width()}});
    if (d.wants(1)) result[1] = d.graph.add("expert_weight_gradient", {back, d.input(0), d.input(2)}, {{"experts", experts}});
    if (d.wants(3)) result[3] = d.input(2) < 0 ? d.graph.add("column_sum", {d.gradient}) : d.graph.add("scatter_add", {d.gradient, d.input(2)}, {{"rows", experts}});
    if (d.wants(4)) result[4] = scale_gradient(d);
    return result;
}

static const Kernel kernels[] = {
    {.name = short_tiles, .doc = "experts with 16 rows or more in bf16 tiles, the others as panel_bytes or panel_floats", .version = 2, .run = {{nullptr, nullptr, nullptr, &run_tiles<short_tiles_bytes, short_tiles_floats>}}, .unit = Unit::tile_bf16, .error = products::short_tile_error, .declines = &declines<short_tiles>, .slower = &slower<short_tiles>},
    {.name = exact_tiles, .doc = "experts with 32 rows or more in bf16 tiles, two for each number, the others as panel_bytes or panel_floats", .version = 2, .run = {{nullptr, nullptr, nullptr, &run_tiles<tiles_bytes, tiles_floats>}}, .unit = Unit::tile_bf16, .error = products::tile_error, .declines = &declines<exact_tiles>, .slower = &slower<exact_tiles>},
    {.name = short_bytes, .doc = "experts with 4 rows or more by activations of one signed byte, the others as panel_bytes", .version = 2, .run = {{nullptr, nullptr, &run<bytes_short>, nullptr}}, .unit = Unit::vector_int8, .error = products::digit_error, .declines = &declines<short_bytes>, .slower = &slower<short_bytes>},
    {.name = wide_scaled_words, .doc = "experts with 24 rows or more by codes times their group scale as 16-bit words, the others as panel_bytes", .version = 2, .run = {{nullptr, nullptr, &run<bytes_scaled>, nullptr}}, .unit = Unit::vector_int16, .error = products::unit_error, .declines = &declines<wide_scaled_words>, .slower = &slower<wide_scaled_words>},
    {.name = exact_bytes, .doc = "integer codes in panels times activations of two signed bytes", .version = 2, .run = {{nullptr, nullptr, &run<bytes>, nullptr}}, .unit = Unit::vector_int16, .error = products::word_error, .declines = &declines<exact_bytes>},
    {.name = narrow_bytes, .doc = "integer codes in panels times activations of one signed byte in 16-bit sums", .version = 2, .run = {{&run<narrow>}}, .unit = Unit::vector_int8, .error = products::digit_error, .declines = &declines<narrow_bytes>},
    {.name = scaled_words, .doc = "experts with 8 rows or more by codes times their group scale as 16-bit words, the others as panel_words", .version = 2, .run = {{&run<words_scaled>}}, .unit = Unit::vector_int16, .error = products::unit_error, .declines = &declines<scaled_words>, .slower = &slower<scaled_words>},
    {.name = exact_words, .doc = "integer codes in panels times activations of 16 bits", .version = 2, .run = {{&run<words>}}, .unit = Unit::vector_int16, .error = products::word_error, .declines = &declines<exact_words>},
    {.name = single_floats, .doc = "single values in panels times activations in f32", .version = 2, .run = {{&run<floats>}}, .declines = &declines<single_floats>},
    {.name = from_rows, .doc = "weights in rows, decoded row by row or panel by panel, by the rows an expert has", .run = {{&run<rows>}}, .declines = &declines<from_rows>},
};

// ---- Cases ----

static Case one_case(const formats::Format& format, core::Layout layout, std::int64_t rows, std::int64_t used, const core::Shape& w, bool per_pair, int extras) {
    const core::Shape x{per_pair ? rows * used : rows, w[2]};
    Case c{.inputs = {f32(x), {&format, w, layout}, i32({rows, used})}, .index_limit = w[0]};
    if (extras & 1) c.inputs.push_back(f32({w[0], w[1]}));
    if (extras & 2) c.inputs.resize(4), c.inputs.push_back(f32({w[0]}));
    return c;
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const formats::Format* format : formats::all()) {
        if (!format->weights) continue;
        const std::int64_t block = format->values_per_block;
        for (const core::Layout layout : {core::Layout::rows, core::Layout::panels}) {
            if (layout == core::Layout::panels && !formats::has_panels(*format)) continue;
            list.push_back(one_case(*format, layout, 1, 3, {5, 33, block}, false, 0));
            list.push_back(one_case(*format, layout, 23, 2, {3, 20, block}, true, 1));
        }
    }
    const auto &q4 = formats::get("q4_0"), &single = formats::get("f32");
    for (const core::Layout layout : {core::Layout::rows, core::Layout::panels})
        for (const formats::Format* format : {&q4, &single})
            for (int extras = 0; extras < 4; ++extras) {
                list.push_back(one_case(*format, layout, 1, 4, {8, 64, 96}, extras % 2, extras));
                list.push_back(one_case(*format, layout, 9, 1, {2, 50, 32}, extras % 2, extras));
                list.push_back(one_case(*format, layout, 290, 2, {3, 34, 64}, extras % 2, extras));   // experts with many rows
                list.push_back(one_case(*format, layout, 310, 4, {40, 18, 32}, extras % 2, extras));  // more than one wave
            }
    list.push_back(one_case(q4, core::Layout::panels, 1, 2, {3, 1200, 1024}, false, 0));  // pieces of columns
    for (const std::int64_t rows : {1, 7, 70})                                           // a matrix per head
        list.push_back({.inputs = {f32({rows, 6 * 32}), of("f32", {6, 48, 32})}});
    return list;
}

}  // namespace tailor::ops::expert_matmul_kernels

namespace tailor::ops::entries {
extern const Op expert_matmul = {
    .name = "expert_matmul",
    .doc = "x [rows, k] or [rows * used, k], weight [experts, n, k] of any format, optional ids [rows, used] i32, optional bias [experts, n], "
           "optional scale [experts] -> [rows * used, n]: row r * used + j is scale[e] x weight[e]^T + bias[e] with e = ids[r, j]; without ids "
           "x [rows, experts * k] -> [rows, experts * n], part j of each row by expert j",
    .least_inputs = 2,
    .most_inputs = 5,
    .shape = &expert_matmul_kernels::shape,
    .reference = &expert_matmul_kernels::reference,
    .kernels = expert_matmul_kernels::kernels,
    .cost = &expert_matmul_kernels::cost,
    .scratch_bytes = &expert_matmul_kernels::scratch_bytes,
    .weight_input = 1,
    .panel_inputs = 2,
    .cases = &expert_matmul_kernels::cases,
    .gradient = &expert_matmul_kernels::gradient,
};
}  // namespace tailor::ops::entries
