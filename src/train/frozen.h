// Weights that a training leaves as they are: held once, in the layout that products are fastest with.
#pragma once
#include "core/pool.h"
#include "models/model.h"
#include "train/objective.h"

namespace tailor::train {

/// Puts every weight in panels (formats/panels.h) that the objective does not train and that products alone read, and gives the file's pages
/// behind it back to the system: such a weight is in memory once, in its own format. `context` as for models::build.
void pack_frozen(models::Weights& weights, std::int64_t context, const Objective& objective, core::Pool& pool);
/// Of the file's weights that the objective does not train, so that a checkpoint meets the model it was made beside. Reads all of them.
std::uint64_t frozen_hash(const files::File& file, const Objective& objective);

}  // namespace tailor::train
