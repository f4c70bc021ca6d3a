// Embeddings: one vector for a text, from an encoder's vectors of its tokens.
#pragma once
#include <string_view>
#include <vector>

#include "run/session.h"

namespace tailor::run {

enum class Pooling { none, mean, first, last };

/// The pooling that the model file asks for (<architecture>.pooling_type); mean if it is silent.
Pooling pooling_of(const LanguageModel& model);
/// "none", "mean", "cls" (or "first"), "last". Throws Error(usage) listing them.
Pooling pooling_named(std::string_view name);

/// The vector of a text of one or more tokens, [width]; with Pooling::none all of them, [tokens * width]. Slot 0 is used. Throws
/// Error(usage) if the model is no encoder or the text is longer than the context.
std::vector<float> embed(Session& session, std::span<const text::TokenId> ids, Pooling pooling);
/// Divides a vector by its length; a vector of zeros stays.
void normalize(std::vector<float>& vector);

}  // namespace tailor::run
