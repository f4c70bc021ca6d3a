// Spill: values wait in a file. Its name is gone from the moment it is open, so nothing is left behind whenever the process ends.
#include "core/error.h"
#include "graph/policies/policy.h"

namespace tailor::graph::policies {

namespace {

bool takes_file(const TrainingGraph& training, const SavedValue& saved) {
    constexpr std::int64_t worth_it = 4096;  // a page
    return training.graph.node(saved.value).type.format->name == "f32" && saved.bytes >= worth_it;
}

Value store(Graph& graph, Value value, Shelf* shelf) {
    std::int64_t file = -1, offset = 0;
    if (shelf) {
        if (!shelf->file) shelf->file = std::make_shared<SpillFile>(shelf->folder);
        file = shelf->file->descriptor(), offset = shelf->file->reserve(4 * graph.node(value).type.shape.elements());
    }
    return graph.add("spill", {value}, {{"file", file}, {"offset", offset}});
}

Value load(Graph& graph, Value stored, const ops::TensorType& type) {
    ops::Attributes attributes = graph.node(stored).attributes;
    attributes.set("rank", std::int64_t{type.shape.rank()});
    for (int i = 0; i < type.shape.rank(); ++i) attributes.set(core::format("dimension_{}", i), type.shape[i]);
    return graph.add("fetch", {stored}, std::move(attributes));
}

}  // namespace

namespace entries {
extern const Policy spill = {
    .name = "spill",
    .doc = "values wait in a file on disk, which is gone when the process ends",
    .exact = true,
    .takes = &takes_file,
    .store = &store,
    .load = &load,
};
}  // namespace entries

}  // namespace tailor::graph::policies
