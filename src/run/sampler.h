// Choosing the next token from logits.
//
// In this order: repetition penalty (Keskar et al., "CTRL", 2019: logits of recent tokens are divided by it when positive,
// multiplied when negative), temperature, top-k, top-p (Holtzman et al., 2019: the smallest set of the most likely tokens
// whose probabilities sum to p), min-p (tokens at least min_p times as likely as the best). Temperature 0 takes the most
// likely token. The same seed gives the same tokens on every machine.
//
// What the filters leave is a distribution, and a token is drawn from it. So a token that a cheaper model drew from another
// distribution can be taken or replaced by the rule of speculative sampling (Leviathan et al., 2023, algorithm 1; Chen et al., 2023):
// x drawn from q is taken with probability min(1, p(x) / q(x)), else one is drawn from max(0, p - q), normalized; the result is drawn
// from p whatever q is.
#pragma once
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "text/tokenizer.h"

namespace tailor::run {

struct SamplerOptions {
    double temperature = 0.8;
    std::int64_t top_k = 40;  ///< 0: all
    double top_p = 0.95;      ///< 1: off
    double min_p = 0.05;      ///< 0: off
    double repeat_penalty = 1.0;
    std::int64_t repeat_last_n = 64;
    std::uint64_t seed = 0;
    /// Throws Error(usage) naming the option that is out of range.
    void check() const;
};

/// A token that may be drawn.
struct Choice {
    text::TokenId id;
    double probability;
};
/// The tokens that may be drawn, most likely first; the probabilities sum to 1.
using Distribution = std::vector<Choice>;

class Sampler {
  public:
    explicit Sampler(const SamplerOptions& options);
    /// The next token; `history` is everything before it. `allowed` has a bit per token, one of them set; empty: all may be chosen.
    text::TokenId sample(std::span<const float> logits, std::span<const text::TokenId> history, std::span<const std::uint64_t> allowed = {}) {
        return draw(distribution(logits, history, allowed));
    }

    /// What sample() draws from; valid until the next call of this or of sample().
    const Distribution& distribution(std::span<const float> logits, std::span<const text::TokenId> history, std::span<const std::uint64_t> allowed = {});
    /// A token of the distribution; uses one random number, at temperature 0 none.
    text::TokenId draw(const Distribution& from);
    /// `drafted`, which was drawn from `proposed`, or another token in its place, so that the result is drawn from `wanted`.
    text::TokenId draw_over(const Distribution& wanted, const Distribution& proposed, text::TokenId drafted);

  private:
    double uniform();
    /// The `count` best of the allowed logits into candidates_, best first.
    void keep_best(std::span<const float> logits, std::span<const std::uint64_t> allowed, std::size_t count);
    SamplerOptions options_;
    std::mt19937_64 random_;
    Distribution candidates_, rest_;
    std::vector<float> penalized_;
};

}  // namespace tailor::run
