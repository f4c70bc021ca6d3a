// Choosing the next token from logits.
//
// In this order: repetition penalty (Keskar et al., "CTRL", 2019: logits of recent tokens are divided by it when positive,
// multiplied when negative), temperature, top-k, top-p (Holtzman et al., 2019: the smallest set of the most likely tokens
// whose probabilities sum to p), min-p (tokens at least min_p times as likely as the best). Temperature 0 takes the most
// likely token. The same seed gives the same tokens on every machine.
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

class Sampler {
  public:
    explicit Sampler(const SamplerOptions& options);
    /// The next token; `history` is everything before it. `allowed` has a bit per token, one of them set; empty: all may be chosen.
    text::TokenId sample(std::span<const float> logits, std::span<const text::TokenId> history, std::span<const std::uint64_t> allowed = {});

  private:
    struct Candidate {
        text::TokenId id;
        double value;  ///< logit, then probability
    };
    SamplerOptions options_;
    std::mt19937_64 random_;
    std::vector<Candidate> candidates_;
};

}  // namespace tailor::run
