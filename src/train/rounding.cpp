// Rounding in the graph, scales from step to step, and what is written; see rounding.h.
#include "train/rounding.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/hash.h"
#include "formats/registry.h"
#include "ops/rounded_weights.h"

namespace tailor::train {

using core::ErrorKind;
using core::fail;

ScaleRule scale_rule(std::string_view word) {
    if (word == "search") return ScaleRule::search;
    if (word == "plain") return ScaleRule::plain;
    if (word == "learned") return ScaleRule::learned;
    fail(ErrorKind::usage, "scales can be 'search', 'plain' or 'learned', not '{}'", word);
}

Rounding::Rounding(RoundingOptions options) : options_(std::move(options)) {
    if (options_.refresh < 1) fail(ErrorKind::usage, "scales cannot be found anew every {} steps", options_.refresh);
    for (const auto& [name, format] : options_.formats) {
        if (!formats::keeps_scales(*format)) fail(ErrorKind::unsupported, "{} cannot be trained in the format {}, which has no rounding to given scales", name, format->name);
        if (options_.scales == ScaleRule::learned && !formats::learns_scales(*format))
            fail(ErrorKind::unsupported, "{}: the scales of {} are no free numbers and cannot be learned; leave that to 'search'", name, format->name);
    }
}

/// The name in the file: parts of a weight end in "[i]".
static std::string_view whole(std::string_view name) { return name.substr(0, name.find('[')); }

graph::Graph Rounding::prepare(graph::Graph built) {
    const graph::Graph rounded = built.rewritten([&](graph::Graph& target, const graph::Node& node, const std::vector<graph::Value>& inputs) {
        const graph::Value kept = target.keep(node, inputs);
        return node.is_constant() && rounds(whole(node.name)) ? round(target, node.name, kept) : kept;
    });
    for (const auto& [name, format] : options_.formats)
        if (parts_.find(name) == parts_.end()) fail(ErrorKind::unsupported, "{} is to be rounded to {}, but the network does not read it as it is", name, format->name);
    return rounded;
}

graph::Value Rounding::round(graph::Graph& target, const std::string& name, graph::Value weight) {
    const core::Tensor tensor = target.node(weight).constant;
    const formats::Format& format = this->format(whole(name));
    if (tensor.format->name != "f32") fail(ErrorKind::unsupported, "{} is stored as {}; only weights in f32 can be trained rounded", name, tensor.format->name);
    if (!format.holds(tensor.shape.width()))
        fail(ErrorKind::unsupported, "{} has rows of {} values, {} needs a multiple of {}", name, tensor.shape.width(), format.name, format.values_per_block);
    Part part{name, tensor, formats::make_tensor(format, tensor.shape), {}};
    // Straight through everywhere for ternary numbers: a fifth of normal weights lies beyond the ends and would never come back.
    ops::Attributes attributes{{"margin", format.integers->levels == 3 ? 1e9 : 0.5}};
    std::vector<graph::Value> inputs{weight, target.constant(name + ".blocks", part.packed)};
    if (options_.scales == ScaleRule::learned) {
        part.factors = formats::make_tensor(formats::get("f32"), {tensor.shape.elements() / format.values_per_block});
        std::fill_n(part.factors.row_f32(0), part.factors.shape.elements(), 1.0f);
        inputs.push_back(target.constant(name + ".factors", part.factors));
    }
    core::Pool alone(1);
    find_scales(part, alone);
    parts_[std::string(whole(name))].push_back(part);
    return target.add("fake_quantize", inputs, attributes, name + ".rounded");
}

void Rounding::find_scales(const Part& part, core::Pool& pool) const {
    const formats::Format& format = *part.packed.format;
    const std::int64_t rows = part.weight.shape.rows(), width = part.weight.shape.width();
    constexpr std::int64_t rows_per_chunk = 8;
    pool.run((rows + rows_per_chunk - 1) / rows_per_chunk, [&](std::int64_t c, int) {
        for (std::int64_t r = c * rows_per_chunk; r < std::min(rows, (c + 1) * rows_per_chunk); ++r) {
            const float* const values = part.weight.row_f32(r);
            std::byte* const blocks = part.packed.row(r);
            // Encoders want finite numbers; a weight that is not ends the training anyway.
            if (!std::all_of(values, values + width, [](float v) { return std::isfinite(v); })) continue;
            bool plain = options_.scales == ScaleRule::plain;
            for (std::int64_t b = 0; plain && b < width / format.values_per_block; ++b)
                plain = formats::set_plain_scale(format, values + b * format.values_per_block, blocks + b * format.bytes_per_block);
            if (!plain) format.encode(values, nullptr, blocks, width);
        }
    });
}

/// Whether scales follow the weights: where a small change of these is a small change of them.
bool Rounding::renews(const formats::Format& format) const {
    if (options_.scales == ScaleRule::learned) return false;
    return format.integers->levels == 3 || (options_.scales == ScaleRule::plain && formats::has_plain_scale(format));
}

// Before the first step weights may have been given other values than the file's, so then all scales are found.
void Rounding::begin_step(std::int64_t steps, core::Pool& pool) {
    if (steps % options_.refresh != 0) return;
    for (const auto& [name, parts] : parts_)
        for (const Part& part : parts)
            if (steps == 0 || renews(*part.packed.format)) find_scales(part, pool);
}

std::string Rounding::identity() const {
    constexpr std::string_view words[] = {"search", "plain", "learned"};
    std::uint64_t hash = 0;
    for (const auto& [name, format] : options_.formats) hash = core::hash64(format->name, core::hash64(name, hash));
    return core::format("{} weights rounded as {:016x} with scales by {} every {}", options_.formats.size(), hash, words[static_cast<int>(options_.scales)], options_.refresh);
}

std::vector<Piece> Rounding::pieces() {
    std::vector<Piece> list;
    for (const auto& [name, parts] : parts_)
        for (const Part& part : parts)
            list.push_back({.name = part.name + ".blocks", .bytes = {part.packed.data, static_cast<std::size_t>(formats::tensor_bytes(*part.packed.format, part.packed.shape))}});
    return list;
}

core::Tensor Rounding::written(std::string_view weight, const core::Shape& shape) const {
    const std::vector<Part>& parts = parts_.find(weight)->second;
    const core::Tensor result = formats::make_tensor(format(weight), shape);
    const std::byte* first = parts[0].weight.data;
    for (const Part& part : parts) first = std::min<const std::byte*>(first, part.weight.data);
    std::int64_t covered = 0;
    for (const Part& part : parts) {
        const formats::Format& format = *part.packed.format;
        std::byte* const to = result.data + (part.weight.data - first) / 4 / format.values_per_block * format.bytes_per_block;
        for (std::int64_t r = 0; r < part.weight.shape.rows(); ++r)
            ops::for_rounded_pieces(part.weight, part.packed, part.factors ? &part.factors : nullptr, r, cpu::Isa::base,
                                    [&](std::int64_t begin, std::int64_t count, const std::byte* blocks) {
                                        std::memcpy(to + format.row_bytes(r * part.weight.shape.width() + begin), blocks, static_cast<std::size_t>(format.row_bytes(count)));
                                    });
        covered += part.weight.shape.elements();
    }
    if (covered != shape.elements()) fail(ErrorKind::unsupported, "{}: the network reads {} of its {} values; such a weight cannot be trained rounded", weight, covered, shape.elements());
    return result;
}

}  // namespace tailor::train
