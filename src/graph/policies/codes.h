// What the policies int8 and int4 share: values become codes (ops/codes.h) behind their last reader of the way forth.
//
// The way forth is exact, the way back sees numbers that are right on average (ops/pack_codes.cpp). Values that are no numbers (indices) stay.
#pragma once
#include "core/error.h"
#include "graph/policies/policy.h"

namespace tailor::graph::policies {

inline bool takes_codes(const TrainingGraph& training, const SavedValue& saved) {
    constexpr std::int64_t worth_it = 1024;  // below a few groups nothing is gained
    const ops::TensorType& type = training.graph.node(saved.value).type;
    return type.format->name == "f32" && saved.bytes >= worth_it;
}

template <std::int64_t bits>
Value store_codes(Graph& graph, Value value, Shelf*) {
    return graph.add("pack_codes", {value}, {{"bits", bits}});
}

template <std::int64_t bits>
Value load_codes(Graph& graph, Value stored, const ops::TensorType& type) {
    ops::Attributes attributes{{"bits", bits}, {"rank", std::int64_t{type.shape.rank()}}};
    for (int i = 0; i < type.shape.rank(); ++i) attributes.set(core::format("dimension_{}", i), type.shape[i]);
    return graph.add("unpack_codes", {stored}, std::move(attributes));
}

}  // namespace tailor::graph::policies
