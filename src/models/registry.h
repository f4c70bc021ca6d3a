// All model families of this build.
#pragma once
#include "models/model.h"

namespace tailor::models {

std::span<const Model* const> all();
/// The family of a file by its general.architecture; Error(unsupported) listing the known ones.
const Model& family_of(const files::File& file);
/// The graph of a model for `rows` tokens, with logits for `wanted_rows` of them; `context` as for Builder.
graph::Graph build(const Model& family, const Weights& weights, std::int64_t rows, std::int64_t wanted_rows, std::int64_t context = 0);
/// The graph that reads a text of `rows` tokens, for a family with one.
graph::Graph build_encoder(const Model& family, const Weights& weights, std::int64_t rows, std::int64_t context = 0);

}  // namespace tailor::models
