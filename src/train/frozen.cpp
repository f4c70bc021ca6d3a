// See frozen.h.
#include "train/frozen.h"

#include "core/hash.h"
#include "formats/panels.h"
#include "graph/passes.h"
#include "models/registry.h"

namespace tailor::train {

void pack_frozen(models::Weights& weights, std::int64_t context, const Objective& objective, core::Pool& pool) {
    const files::File& file = weights.file();
    // The graph is gone before the first weight is packed: it would keep all of them as they were.
    const std::vector<std::string> names = graph::weights_for_panels(models::build(models::family_of(file), weights, 1, 1, context));
    for (const std::string& name : names) {
        const files::TensorInfo* const info = file.find(name);
        if (!info || objective.trains(name)) continue;
        weights.replace(name, formats::make_panels(weights.find(name), &pool));
        file.release(*info);
    }
}

std::uint64_t frozen_hash(const files::File& file, const Objective& objective) {
    std::uint64_t hash = 0;
    for (const files::TensorInfo& info : file.tensors()) {
        if (objective.trains(info.name)) continue;
        const core::Tensor tensor = file.read(info);
        hash = core::hash64(std::span(static_cast<const std::byte*>(tensor.data), static_cast<std::size_t>(info.bytes)), core::hash64(info.name, hash));
        file.release(info);
    }
    return hash;
}

}  // namespace tailor::train
