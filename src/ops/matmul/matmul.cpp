// Matmul: activations times a weight matrix of any number format, y = x W^T + bias.
//
// The weights stay packed; every kernel decodes them on the way, so it computes with exactly the weights the format holds.
// Weights in panels (formats/panels.h) have the fast kernels; those in rows, as a file holds them, run at once from there.
// New kernels enter the list below in front of the ones they beat and say in `declines` what they cannot do.
#include <algorithm>
#include <cstring>

#include "cpu/caches.h"
#include "formats/panels.h"
#include "ops/matmul/activations.h"
#include "ops/matmul/integer_kind.h"
#include "ops/matmul/kernels.h"
#include "ops/pair_product.h"
#include "ops/support.h"

namespace tailor::ops::matmul_kernels {

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    const TensorType &x = node.inputs[0], &w = node.inputs[1];
    require(w.shape.rank() == 2, "matmul: the weight must be a matrix", node);
    require(x.shape.width() == w.shape[1], "matmul: the width of x must be the width of the weight", node);
    require(w.format->weights, "matmul: the weight's format cannot hold weights", node);
    if (node.input(2)) {
        require_f32(node, 2);
        require(node.input(2).shape.elements() == w.shape[0], "matmul: the bias must have one value per weight row", node);
    }
    return f32({x.shape.rows(), w.shape[0]});
}

static void reference(const Call& call) {
    const core::Tensor &x = call.inputs[0], &w = call.inputs[1];
    std::vector<std::vector<double>> rows;
    for (std::int64_t r = 0; r < x.shape.rows(); ++r) rows.push_back(row_as_double(x, r));
    for (std::int64_t j = 0; j < w.shape[0]; ++j) {
        const std::vector<double> weights = row_as_double(w, j);
        for (std::size_t r = 0; r < rows.size(); ++r) {
            double total = call.input(2) ? call.input(2)->row_f32(0)[j] : 0.0;
            for (std::size_t i = 0; i < weights.size(); ++i) total += rows[r][i] * weights[i];
            call.output.row_f32(static_cast<std::int64_t>(r))[j] = static_cast<float>(total);
        }
    }
}

static Cost cost(const NodeView& node) {
    return streaming_cost(node, 2.0 * static_cast<double>(node.output.shape.elements()) * static_cast<double>(node.inputs[1].shape[1]));
}

const Ahead& ahead_of_use() noexcept {
    static const Ahead ahead = cpu::cache_bytes(1) >= 48 * 1024 ? Ahead{4096, 4096, true} : Ahead{256, 2048, false};
    return ahead;
}

PanelSchedule schedule_panels(std::int64_t rows, std::int64_t panels, std::int64_t k, std::int64_t panel_bytes, std::int64_t block_bytes, std::int64_t most_rows) noexcept {
    // Activations of the rows at hand take three quarters of a 1 MB second-level cache: with half of it, rows of 5,632 values are cut
    // so often that unpacking takes 2 % more of a product at avx2, and decoding bf16 9 %.
    const std::int64_t row_bytes = std::max<std::int64_t>(1, k * block_bytes / 32);
    const std::int64_t rows_at_once = std::clamp<std::int64_t>(768 * 1024 / row_bytes, std::min<std::int64_t>(16, most_rows), most_rows);
    // Few rows: at least 16 KB of weights per chunk, a microsecond, so that no thread waits for long. Many rows: up to eight panels share the activations in cache.
    const std::int64_t wanted = rows > 8 ? panels / 8 : 16384 / panel_bytes;
    return {rows_at_once, std::clamp<std::int64_t>(wanted, 1, 8)};
}

void write_panel_sums(const Call& call, std::int64_t panel, std::int64_t first_row, std::int64_t rows, const float* sums) noexcept {
    const std::int64_t width = formats::panel_rows, column = panel * width, count = std::min(width, call.output.shape.width() - column);
    const float* const bias = call.input(2) ? call.input(2)->row_f32(0) + column : nullptr;
    for (std::int64_t r = 0; r < rows; ++r) {
        float* const y = call.output.row_f32(first_row + r) + column;
        if (count == width && !bias) std::memcpy(y, sums + r * width, sizeof(float) * static_cast<std::size_t>(width));
        else
            for (std::int64_t j = 0; j < count; ++j) y[j] = sums[r * width + j] + (bias ? bias[j] : 0.0f);
    }
}

static std::int64_t scratch_bytes(const NodeView& node) {
    const std::int64_t rows = node.inputs[0].shape.rows(), k = node.inputs[0].shape.width();
    return std::max({activation_bytes(rows, k), rows * k * 4, tile_scratch_bytes(rows, k), pair_scratch_bytes(rows, k, node.inputs[1].shape[0])});
}

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const formats::Format* format : formats::all()) {
        if (!format->weights) continue;
        const std::int64_t block = format->values_per_block;
        for (const core::Layout layout : {core::Layout::rows, core::Layout::panels}) {
            if (layout == core::Layout::panels && !formats::has_panels(*format)) continue;
            for (const std::int64_t rows : {1, 3, 4, 5, 13, 37})
                for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{33, block}, {58, 5 * block + (block == 1 ? 291 : 0)}})
                    list.push_back({.inputs = {f32({rows, k}), {format, {n, k}, layout}, rows % 2 ? f32({n}) : TensorType{}}});
            list.push_back({.inputs = {f32({150, 9 * 256}), {format, {40, 9 * 256}, layout}}});
        }
    }
    list.push_back({.inputs = {f32({2, 3000}), of("f32", {300, 3000})}});
    list.push_back({.inputs = {f32({130, 700}), of("f32", {1, 700})}});
    list.push_back({.inputs = {f32({33, 4200}), of("f32", {260, 4200})}});  // more than pair_stretch()
    return list;
}

// A format of at least this error of its own may meet 8-bit activations. On learned weights they then raise the divergence
// from the original by less than 2 %: q4_k (0.0691) by 1.8 %, iq4_xs 1.4, q4_0 1.2, mxfp4 0.4, q3_k 0.4, q2_k 0.1; while q4_1
// (0.0687) would gain 2.3 %, q5_0 5, q5_k 7, q6_k 27 and q8_0 350 (victorian-8m, 5,080 positions of held-out text).
constexpr double least_own_error = 0.069;
// How much larger the rounding of 256 values with one scale is than that of 32, by what each adds to the divergence (iq4_xs).
constexpr double unit_spread = 2.1;
// The same for activations of unit words, which nobody asked for: by the square of the error less than 0.9 % more. On the same model, 254 positions: 0.7 %
// for nf4, 0.6 for q6_k, 0.1 for iq4_xs, 0.03 and less for the others.
constexpr double least_own_error_unasked = 1.5 * least_own_error;
// A format of at least this error of its own may meet single bf16 numbers. To the divergence they add a tenth of what 8-bit activations do, about
// 1e-5 nats per token: 1.3 % for q5_k (0.0337), 0.3 for q5_0, 0 for q4_k, but 2.3 % for q6_k (0.0164) and 33 % for q8_0 (the same
// model, 508 positions).
constexpr double least_own_error_in_tiles = 0.03;
static bool in_panels(const NodeView& node) { return node.inputs[1].layout == core::Layout::panels; }

static std::string declines_other_layout(const NodeView& node) {
    return in_panels(node) ? "" : "made for weights in panels, these are in rows";
}

static std::string declines_floats(const NodeView& node) {
    if (!in_panels(node)) return declines_other_layout(node);
    return node.inputs[1].format->integers ? "" : core::format("{} has no integer codes", node.inputs[1].format->name);
}

static std::string declines_own_error(const NodeView& node, double least, std::string_view whose) {
    const double own_error = node.inputs[1].format->facts.gaussian_relative_rmse;
    return own_error >= least ? "" : core::format("the error of {}, {}, does not dwarf that of {}", node.inputs[1].format->name, own_error, whose);
}

static std::string declines_tiles(const NodeView& node) {
    if (!in_panels(node)) return declines_other_layout(node);
    const std::int64_t k = node.inputs[0].shape.width();
    return k % 32 == 0 ? "" : core::format("a tile takes 32 columns, {} are no multiple", k);
}

static std::string declines_short_tiles(const NodeView& node) {
    if (const std::string reason = declines_tiles(node); !reason.empty()) return reason;
    return declines_own_error(node, least_own_error_in_tiles, "a single bf16");
}

static std::string declines_coarse(const NodeView& node) {
    if (const std::string reason = declines_floats(node); !reason.empty()) return reason;
    return declines_own_error(node, least_own_error, "8-bit activations");
}

static std::string declines_narrow(const NodeView& node) {
    if (const std::string reason = declines_coarse(node); !reason.empty()) return reason;
    return fits_narrow(*node.inputs[1].format->integers) ? "" : core::format("sums of products with {} do not fit 16 bits", node.inputs[1].format->name);
}

static std::string declines_scaled(const NodeView& node) {
    if (const std::string reason = declines_floats(node); !reason.empty()) return reason;
    const formats::Format& format = *node.inputs[1].format;
    if (!fits_scaled(format)) return core::format("{} has no blocks of {} values in which code times scale is an integer", format.name, formats::panel_unit);
    const int largest = largest_unit_word(*format.integers);
    return declines_own_error(node, least_own_error_unasked * unit_spread * 127 / largest, core::format("activations up to {}", largest));
}

static std::string declines_integers(const NodeView& node) {
    if (!in_panels(node)) return declines_other_layout(node);
    return node.inputs[1].format->integers ? core::format("{} has integer codes", node.inputs[1].format->name) : "";
}

static std::string declines_panels(const NodeView& node) { return in_panels(node) ? "made for weights in rows, these are in panels" : ""; }

static std::string declines_pairs(const NodeView& node) { return declines_pair_product(node.inputs[0].shape.rows(), node.inputs[1].shape[1], node.inputs[1].shape[0]); }

// How many rows a kernel pays for.
template <std::int64_t least>
static std::string slower_below(const NodeView& node) {
    const std::int64_t rows = node.inputs[0].shape.rows();
    return rows >= least ? "" : core::format("made for {} rows or more, here are {}", least, rows);
}
static std::string slower_with_many_rows(const NodeView& node) {
    const std::int64_t rows = node.inputs[0].shape.rows();
    return rows <= few_rows ? "" : core::format("made for up to {} rows, here are {}", few_rows, rows);
}

static void run_pairs(const Call& call) noexcept {
    const core::Tensor &x = call.inputs[0], &y = call.output, *const bias = call.input(2);
    const Product product{x.row_f32(0), x.row_stride_bytes / 4, 1, call.inputs[1], y.row_f32(0), y.row_stride_bytes / 4, x.shape.rows()};
    run_pair_product.at(call.isa)({product, true, bias ? bias->row_f32(0) : nullptr}, *call.pool, call.isa, call.scratch);
}

static std::vector<Value> gradient(const Differentiation& d) {
    return {d.wants(0) ? d.graph.add("matmul_transposed", {d.gradient, d.input(1)}) : -1, d.wants(1) ? d.graph.add("weight_gradient", {d.gradient, d.input(0)}) : -1,
            d.wants(2) ? d.graph.add("column_sum", {d.gradient}) : -1};
}

static const Kernel kernels[] = {
    {.name = "pairs", .doc = "any weights and activations as pairs of bf16, sums in f32", .run = {{nullptr, nullptr, &run_pairs}}, .unit = Unit::vector_bf16, .error = pair_error, .declines = &declines_pairs},
    {.name = "panel_tiles_8", .doc = "weights in panels decoded to bf16 tiles, times activations in bf16 tiles", .run = tile_kernel_short, .unit = Unit::tile_bf16, .error = short_tile_error, .declines = &declines_short_tiles, .slower = &slower_below<least_short_tile_rows>},
    {.name = "panel_tiles", .doc = "weights in panels decoded to bf16 tiles, times activations in bf16 tiles, two of them for each number", .run = tile_kernel_exact, .unit = Unit::tile_bf16, .error = tile_error, .declines = &declines_tiles, .slower = &slower_below<least_tile_rows>},
    {.name = "panel_bytes_8", .doc = "integer codes in panels, unpacked in registers, times activations of one signed byte", .version = 2, .run = byte_kernel_short, .unit = Unit::vector_int8, .error = digit_error, .declines = &declines_coarse, .slower = &slower_below<short_rows>},
    {.name = "panel_wide_scaled_words", .doc = "as panel_scaled_words in registers of 512 bits", .version = 2, .run = wide_scaled_kernel, .unit = Unit::vector_int16, .error = unit_error, .declines = &declines_scaled, .slower = &slower_below<least_wide_scaled_rows>},
    {.name = "panel_bytes", .doc = "integer codes in panels, unpacked in registers, times activations of two signed bytes", .version = 2, .run = byte_kernel_exact, .unit = Unit::vector_int16, .error = word_error, .declines = &declines_floats},
    {.name = "panel_narrow_8", .doc = "integer codes in panels, unpacked to bytes, times activations of one signed byte in 16-bit sums", .version = 2, .run = narrow_kernel, .unit = Unit::vector_int8, .error = digit_error, .declines = &declines_narrow},
    {.name = "panel_scaled_words", .doc = "integer codes in panels, unpacked to 16-bit words times their group scale, times activations of 12 to 16 bits with one scale per 256", .version = 2, .run = scaled_kernel, .unit = Unit::vector_int16, .error = unit_error, .declines = &declines_scaled, .slower = &slower_below<least_scaled_rows>},
    {.name = "panel_words", .doc = "integer codes in panels, unpacked to 16-bit words, times activations of 16 bits", .version = 2, .run = word_kernel, .unit = Unit::vector_int16, .error = word_error, .declines = &declines_floats},
    {.name = "panel_floats", .doc = "single values in panels times activations in f32", .version = 2, .run = float_panel_kernel, .declines = &declines_integers},
    {.name = "rows", .doc = "each weight row decoded into cache, dot product with every row of x", .run = row_kernel, .declines = &declines_panels, .slower = &slower_with_many_rows},
    {.name = "panels", .doc = "weight panels decoded once, register tiles over all rows of x", .run = panel_kernel, .declines = &declines_panels},
};

}  // namespace tailor::ops::matmul_kernels

namespace tailor::ops::entries {
extern const Op matmul = {
    .name = "matmul",
    .doc = "x [rows, k], weight [n, k] of any format, optional bias [n] -> [rows, n]: x weight^T + bias",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &matmul_kernels::shape,
    .reference = &matmul_kernels::reference,
    .kernels = matmul_kernels::kernels,
    .cost = &matmul_kernels::cost,
    .scratch_bytes = &matmul_kernels::scratch_bytes,
    .weight_input = 1,
    .panel_inputs = 2,
    .cases = &matmul_kernels::cases,
    .gradient = &matmul_kernels::gradient,
};
}  // namespace tailor::ops::entries
