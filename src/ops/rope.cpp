// Rotary position embedding: each pair of a head's values is turned by an angle proportional to the position.
//
// Su et al., "RoFormer", 2021, equation 34: pair i of a head at position p turns by p * base^(-2i / rotated). Pairs are
// neighbours (2i, 2i + 1) in the "interleaved" layout and (i, i + rotated / 2) in the "halves" layout. Scaling of long
// contexts: `linear` divides the angles by `factor`; `yarn` (Peng et al., 2023, section 3.2) blends scaled and unscaled
// angles by how often a pair turns within the original context, and scales the result by 1 + 0.1 ln(factor); the Llama 3
// rule arrives as per-pair divisors in the optional third input. Angles are computed in double: f32 loses them beyond
// some tens of thousands of positions. The attribute `backwards` turns by the opposite angles, for gradients.
#include <algorithm>
#include <cmath>

#include "ops/support.h"

namespace tailor::ops::rope_kernels {

constexpr std::int64_t most_pairs = 512;

// Angle per position of each pair, and the factor on the turned values.
struct Frequencies {
    double radians[most_pairs];
    double magnitude = 1;
};

// The pair that turns `turns` times within the original context; YaRN's "find correction dimension".
static double pair_with_turns(double turns, double rotated, double base, double original_context) {
    return rotated * std::log(original_context / (turns * 2 * M_PI)) / (2 * std::log(base));
}

static void frequencies(const Attributes& a, const float* divisors, Frequencies& f) noexcept {
    const std::int64_t rotated = a.integer("rotated");
    const double base = a.real("base"), factor = a.real("factor", 1), original = static_cast<double>(a.integer("original_context", 0));
    const bool yarn = a.word("scaling", "none") == "yarn", linear = a.word("scaling", "none") == "linear";
    double low = 0, high = 0;
    if (yarn) {
        const auto rotated_real = static_cast<double>(rotated);
        low = std::max(0.0, std::floor(pair_with_turns(a.real("beta_fast", 32), rotated_real, base, original)));
        high = std::min(rotated_real - 1, std::ceil(pair_with_turns(a.real("beta_slow", 1), rotated_real, base, original)));
    }
    for (std::int64_t i = 0; i < rotated / 2; ++i) {
        const double plain = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(rotated)) / (divisors ? divisors[i] : 1.0f);
        double kept = 1;  // share of the unscaled angle
        if (linear) kept = 0;
        if (yarn) kept = 1 - std::clamp((static_cast<double>(i) - low) / std::max(0.001, high - low), 0.0, 1.0);
        f.radians[i] = plain * kept + plain / factor * (1 - kept);
    }
    f.magnitude = a.real("attention_factor", 1) * (yarn ? 1 + 0.1 * std::log(factor) : 1);
}

static TensorType shape(const NodeView& node) {
    require_f32(node, 0);
    require(node.inputs[1].format->name == "i32" && node.inputs[1].shape.elements() == node.inputs[0].shape.rows(),
            "rope: one i32 position per row is needed", node);
    const std::int64_t head_dim = node.attributes.integer("head_dim"), rotated = node.attributes.integer("rotated");
    require(head_dim > 0 && node.inputs[0].shape.width() % head_dim == 0, "rope: the width must be a multiple of head_dim", node);
    require(rotated > 0 && rotated <= head_dim && rotated % 2 == 0 && rotated / 2 <= most_pairs,
            core::format("rope: {} rotated values do not fit heads of {}", rotated, head_dim), node);
    const std::int64_t begin = node.attributes.integer("begin", 0);
    require(begin >= 0 && begin <= head_dim - rotated, core::format("rope: {} values from {} on do not fit heads of {}", rotated, begin, head_dim), node);
    const std::string_view scaling = node.attributes.word("scaling", "none");
    require(scaling == "none" || scaling == "linear" || scaling == "yarn", core::format("rope: unknown scaling '{}'", scaling), node);
    if (node.input(2)) require(node.input(2).shape.elements() >= rotated / 2, "rope: too few frequency divisors", node);
    return node.inputs[0];
}

/// Cosines and sines of one position.
template <class Real>
struct Turn {
    Real cosine[most_pairs], sine[most_pairs];
};

template <class Real>
static void set_turn(const Frequencies& f, double position, std::int64_t pairs, bool backwards, Real* cosine, Real* sine) {
    const double direction = backwards ? -1 : 1;
    for (std::int64_t i = 0; i < pairs; ++i) {
        cosine[i] = static_cast<Real>(std::cos(position * f.radians[i]) * f.magnitude);
        sine[i] = static_cast<Real>(std::sin(position * f.radians[i]) * f.magnitude * direction);
    }
}

/// How the numbers of a row are turned.
struct Places {
    std::int64_t head_dim, rotated, begin;
    bool interleaved, backwards;

    explicit Places(const Attributes& a)
        : head_dim(a.integer("head_dim")), rotated(a.integer("rotated")), begin(a.integer("begin", 0)), interleaved(a.word("layout", "interleaved") == "interleaved"),
          backwards(a.integer("backwards", 0) != 0) {}
};

// Turns one row; Real is float in the kernel and double in the reference.
template <class Real>
static void turn(const Places& places, const Real* cosine, const Real* sine, const Real* x, Real* y, std::int64_t width) {
    const std::int64_t pairs = places.rotated / 2, apart = places.interleaved ? 1 : pairs, step = places.interleaved ? 2 : 1;
    for (std::int64_t head = 0; head < width; head += places.head_dim) {
        for (std::int64_t i = 0; i < pairs; ++i) {
            const std::int64_t first = head + places.begin + step * i, second = first + apart;
            const Real p = x[first], q = x[second];
            y[first] = p * cosine[i] - q * sine[i];
            y[second] = p * sine[i] + q * cosine[i];
        }
        for (std::int64_t i = head; i < head + places.begin; ++i) y[i] = x[i];
        for (std::int64_t i = head + places.begin + places.rotated; i < head + places.head_dim; ++i) y[i] = x[i];
    }
}

// Cosines and sines of the positions [0, rows / 2), [position][cosines, sines]: where rows are several sequences, as in training, each is
// taken many times, and working them out takes most of the time.
static std::int64_t scratch_bytes(const NodeView& node) { return node.inputs[0].shape.rows() / 2 * node.attributes.integer("rotated") * static_cast<std::int64_t>(sizeof(float)); }

static void run(const Call& call) noexcept {
    Frequencies f;
    frequencies(call.attributes, call.input(2) ? call.input(2)->row_f32(0) : nullptr, f);
    const Places places(call.attributes);
    const core::Tensor& x = call.inputs[0];
    const std::int64_t width = x.shape.width(), rows = x.shape.rows(), chunk = rows_per_chunk(width), pairs = places.rotated / 2;
    const std::int32_t *const positions = call.inputs[1].row_i32(0), last = *std::max_element(positions, positions + rows), first = *std::min_element(positions, positions + rows);
    auto* const table = reinterpret_cast<float*>(call.scratch);
    const bool tabled = first >= 0 && last < rows / 2;
    constexpr std::int64_t together = 16;  // positions
    if (tabled)
        call.pool->run((last + together) / together, [&](std::int64_t c, int) {
            for (std::int64_t p = c * together; p < std::min<std::int64_t>(last + 1, (c + 1) * together); ++p)
                set_turn(f, static_cast<double>(p), pairs, places.backwards, table + p * places.rotated, table + p * places.rotated + pairs);
        });
    call.pool->run((rows + chunk - 1) / chunk, [&](std::int64_t c, int) {
        Turn<float> own;
        for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) {
            const float* cosine = own.cosine;
            if (tabled) cosine = table + positions[r] * places.rotated;
            else set_turn(f, positions[r], pairs, places.backwards, own.cosine, own.sine);
            turn(places, cosine, tabled ? cosine + pairs : own.sine, x.row_f32(r), call.output.row_f32(r), width);
        }
    });
}

static void reference(const Call& call) {
    Frequencies f;
    frequencies(call.attributes, call.input(2) ? call.input(2)->row_f32(0) : nullptr, f);
    const Places places(call.attributes);
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        const std::vector<double> x = row_as_double(call.inputs[0], r);
        std::vector<double> y(x.size());
        Turn<double> own;
        set_turn(f, call.inputs[1].row_i32(0)[r], places.rotated / 2, places.backwards, own.cosine, own.sine);
        turn(places, own.cosine, own.sine, x.data(), y.data(), static_cast<std::int64_t>(x.size()));
        store_row(call.output, r, y);
    }
}

static Cost cost(const NodeView& node) { return streaming_cost(node, 6.0 * static_cast<double>(node.output.shape.elements())); }

static std::vector<Case> cases() {
    std::vector<Case> list;
    for (const char* const layout : {"interleaved", "halves"})
        for (const char* const scaling : {"none", "linear", "yarn"})
            for (const std::int64_t rotated : {6, 16}) {
                const Attributes a{{"head_dim", std::int64_t{16}}, {"rotated", rotated}, {"base", 10000.0}, {"layout", std::string(layout)},
                                   {"scaling", std::string(scaling)}, {"factor", 4.0}, {"original_context", std::int64_t{64}}};
                list.push_back({.inputs = {f32({7, 48}), i32({7})}, .attributes = a, .index_limit = 500});
                list.push_back({.inputs = {f32({300, 16}), i32({300}), f32({8})}, .attributes = a, .index_limit = 500});
                list.push_back({.inputs = {f32({300, 32}), i32({300})}, .attributes = a, .index_limit = 140});  // positions that come again
            }
    return list;
}

// A turn by an angle is undone by the opposite one, which is its transpose.
static std::vector<Value> gradient(const Differentiation& d) {
    Attributes attributes = d.attributes;
    attributes.set("backwards", std::int64_t{1 - attributes.integer("backwards", 0)});
    return {d.graph.add("rope", {d.gradient, d.input(1), d.input(2)}, std::move(attributes)), -1, -1};
}

static const Kernel kernels[] = {{.name = "pairs", .doc = "sines once per row, shared by its heads, or once per position where rows are several sequences", .run = {{&run}}}};

}  // namespace tailor::ops::rope_kernels

namespace tailor::ops::entries {
extern const Op rope = {
    .name = "rope",
    .doc = "x [rows, heads * head_dim], positions [rows] i32, optional divisors [rotated / 2] -> x with pairs turned by position * frequency",
    .least_inputs = 2,
    .most_inputs = 3,
    .shape = &rope_kernels::shape,
    .reference = &rope_kernels::reference,
    .kernels = rope_kernels::kernels,
    .cost = &rope_kernels::cost,
    .scratch_bytes = &rope_kernels::scratch_bytes,
    .in_place = true,
    .cases = &rope_kernels::cases,
    .gradient = &rope_kernels::gradient,
    .tables = 4,
};
}  // namespace tailor::ops::entries
