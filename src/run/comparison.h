// What a cheaper way of decoding gained on a text, and what it changed: measured against the plain way on that text itself.
//
// Both ways read the text, and its last tokens one by one, in turns: the times of these steps are compared by their first quartiles (a busy
// neighbour only makes steps longer), and the logits by their divergence. So the figures are those of decoding, not of prompts, and are
// measured in the same conditions. It costs twice the reading of the text, and twice the steps.
#pragma once
#include <string>

#include "core/json.h"
#include "run/session.h"

namespace tailor::run {

struct Comparison {
    std::int64_t tokens = 0;     ///< of the text
    std::int64_t compared = 0;   ///< the last of them, evaluated one by one
    double seconds = 0, plain_seconds = 0;  ///< of a step; 0: fewer than three were timed
    double divergence = 0;       ///< mean KL(plain || cheaper), nats per token
    double agreement = 0;        ///< share of the positions where the most likely token is the same
    std::uint64_t state_bytes = 0, plain_state_bytes = 0;
    double gain() const { return seconds > 0 ? plain_seconds / seconds : 0; }
    core::Json json() const;
    /// "1.31 times as fast (...); divergence ...", for people.
    std::string text() const;
};

/// `cheaper` and `plain` are sessions of the same model, of which the first slots are reset; `ids` is the whole text, of which `last`
/// tokens (at most 128, and never the first) are compared.
Comparison compare_steps(Session& cheaper, Session& plain, std::span<const text::TokenId> ids, std::int64_t last);

}  // namespace tailor::run
