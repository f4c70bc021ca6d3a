// Training with weights as they will be stored: every matrix passes through fake_quantize on the way forth.
//
// The optimizer moves weights in f32; the network sees them rounded to a number format, and the gradient goes straight through the rounding
// (ops/fake_quantize.cpp has the papers). Scales are those of the format's own encoder, which costs up to 66 ns per value, so not at every step;
// or the plain ones of a rule, or learned. Ternary scales, a mean of magnitudes in effect, are found anew every few steps. Those of other
// formats are kept: a new search moves the whole grid under weights that have settled on it, and q2_k then loses more than it had won
// (docs/training.md). What written() gives at the end is what the last evaluation saw, to the bit.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "formats/format.h"
#include "train/objective.h"

namespace tailor::train {

/// Where the scales of blocks come from.
enum class ScaleRule {
    search,   ///< the encoder of the format: for ternary formats every `refresh` steps, for others once
    plain,    ///< mean magnitude for ternary formats, largest magnitude for others, every `refresh` steps; as `search` for formats of two levels
    learned,  ///< the encoder once, then a trained factor on the f16 scales of each block
};
/// "search", "plain" or "learned"; throws Error(usage) for another word.
ScaleRule scale_rule(std::string_view word);

struct RoundingOptions {
    std::map<std::string, const formats::Format*, std::less<>> formats;  ///< of the weights that are rounded, by name
    ScaleRule scales = ScaleRule::search;
    std::int64_t refresh = 20;
};

class Rounding : public Objective {
  public:
    /// Throws Error(unsupported) naming a format that cannot be trained: no rounding to given scales, or scales that cannot be learned.
    explicit Rounding(RoundingOptions options);

    /// Throws Error(unsupported) naming a weight that is to be rounded and that no part of the graph reads in f32.
    graph::Graph prepare(graph::Graph built) override;
    void begin_step(std::int64_t steps, core::Pool& pool) override;
    std::string identity() const override;
    std::vector<Piece> pieces() override;

    bool rounds(std::string_view weight) const { return options_.formats.find(weight) != options_.formats.end(); }
    const formats::Format& format(std::string_view weight) const { return *options_.formats.find(weight)->second; }
    /// The weight as the network sees it now, in its format and the given shape.
    core::Tensor written(std::string_view weight, const core::Shape& shape) const;

  private:
    /// A constant of the graph: a weight of the file or a part of one.
    struct Part {
        std::string name;
        core::Tensor weight, packed, factors;  ///< factors only for learned scales
    };
    graph::Value round(graph::Graph& target, const std::string& name, graph::Value weight);
    bool renews(const formats::Format& format) const;
    void find_scales(const Part& part, core::Pool& pool) const;

    RoundingOptions options_;
    std::map<std::string, std::vector<Part>, std::less<>> parts_;  ///< by the file's name
};

}  // namespace tailor::train
