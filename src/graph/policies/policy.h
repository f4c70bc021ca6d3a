// Policies: how a value of the way forth comes to the way back of a training step.
//
// A policy is one file src/graph/policies/<name>.cpp that defines `extern const Policy <name>` in namespace tailor::graph::policies::entries.
// It adds nodes of registered operators: one that puts a value by after its last reader of the way forth, one that gives it back before its
// first reader of the way back. What lies in between is what the first of them gives. Names in flags have dashes for underscores.
#pragma once
#include <string_view>

#include "graph/saving.h"

namespace tailor::graph::policies {

struct Policy {
    std::string_view name;  ///< "int8"
    std::string_view doc;   ///< one sentence
    bool exact = false;     ///< losses and gradients are those of "keep", to the bit
    bool computes_anew = false;  ///< the node of the way forth is run once more; `store` and `load` are not there
    /// Whether the value can be handled; null: every idle one can.
    bool (*takes)(const TrainingGraph& training, const SavedValue& saved) = nullptr;
    /// Puts a value by; the result is what stays in memory.
    Value (*store)(Graph& graph, Value value, Shelf* shelf) = nullptr;
    /// Gives it back, of the type that it had.
    Value (*load)(Graph& graph, Value stored, const ops::TensorType& type) = nullptr;
    /// Stands for `reader`, a node of the way back with its inputs as they are in `graph`, which does without the value itself; null: `load` is asked.
    Value (*read)(Graph& graph, const Node& reader, const std::vector<Value>& inputs, Value stored) = nullptr;
    /// Chooses for the values that have no policy yet; null: all that it takes.
    void (*choose)(const TrainingGraph& training, const Policy& self, Choices& choices) = nullptr;
};

/// Whether `policy` can handle the value at all.
inline bool takes(const Policy& policy, const TrainingGraph& training, const SavedValue& saved) {
    return saved.idle && (!policy.takes || policy.takes(training, saved));
}

}  // namespace tailor::graph::policies
