// Drafting by a model: tokens drawn one by one from the logits of a session.
#pragma once
#include "run/drafts/drafter.h"

namespace tailor::run::drafts {

/// Draws up to `most` tokens that follow `history`; `logits` are those of its last token, whose evaluation was the session's latest. The
/// session ends up having evaluated all of them but the last. Stops early where its context is full.
void draw_tokens(Session& session, Sampler& sampler, const core::Tensor& logits, std::span<const text::TokenId> history, std::int64_t most, Proposal& proposal);

}  // namespace tailor::run::drafts
