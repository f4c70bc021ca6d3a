// Dynamic sparsity of activations: neurons of gated feed-forward layers whose gate is small are left out of each decoded token.
//
// A text is read once, and each layer gets thresholds such that the wanted share of the gates of that text lies below them:
//     cats    |a| against one threshold per layer (Lee et al., "CATS", 2024, section 3)
//     chess   |a[i]| m[i] against one threshold per layer, where m[i] is the mean of |Wup[i] x| over the text: a gate may be larger
//             where what it lets through is small (He et al., "CHESS", 2024, section 4.1)
// Then steps of one row run the operator "sparse_feed_forward", which does not read the rest of the weights; prompts are read in full.
//
// What it takes: rows of Wup as the file has them, and Wdown transposed, in memory besides the panels that prompts use. Formats of single
// values are transposed exactly; the blocks of others run along the wrong side, so they become q8_0, whose error is counted in the
// divergence that is reported.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "run/session.h"

namespace tailor::run {

struct SparsityOptions {
    double share = 0;          ///< of the neurons that are left out: above 0, below 1
    std::string rule = "cats";
};

class Sparsity {
  public:
    /// Reads `ids` (at least 32, at most 256 are looked at) in slot 0 of a session without sparsity, which is reset. Throws Error(usage)
    /// for a share or rule that cannot be or a text that is too short, Error(unsupported) for a model without layers that this fits:
    /// down(silu(gate) * up) without biases.
    Sparsity(Session& session, std::span<const text::TokenId> ids, const SparsityOptions& options);

    /// The graph of one row with its feed-forward layers replaced; any other graph as it is.
    graph::Graph apply(const graph::Graph& graph) const;
    std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
    /// Bytes that are held besides the model's own weights.
    std::uint64_t bytes() const;

  private:
    struct Layer {
        core::Tensor thresholds, up, down;  ///< [neurons], [neurons, width], [neurons, width]
    };
    std::map<std::string, Layer> layers_;  ///< by the name of the down product
};

}  // namespace tailor::run
