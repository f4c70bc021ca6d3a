// Small helpers of the rules of gradients: nodes that several of them add.
#pragma once
#include "ops/support.h"

namespace tailor::ops {

/// The numbers of `value` from number `begin` on, in another shape.
inline Value part(GraphBuilder& graph, Value value, std::int64_t begin, core::Shape shape) {
    Attributes attributes{{"rank", std::int64_t{shape.rank()}}, {"begin", begin}};
    for (int i = 0; i < shape.rank(); ++i) attributes.set(core::format("dimension_{}", i), shape[i]);
    return graph.add("reshape", {value}, std::move(attributes));
}

/// The numbers of `value` in another shape of as many.
inline Value reshaped(GraphBuilder& graph, Value value, core::Shape shape) { return graph.type(value).shape == shape ? value : part(graph, value, 0, shape); }

inline Value scaled(GraphBuilder& graph, Value value, double factor) { return graph.add("scale", {value}, {{"factor", factor}}); }

/// The gradients of the inputs `inputs`, which one operator wrote one behind the other, in that order, without gaps, the absent ones left out.
inline std::vector<Value> parts(const Differentiation& d, Value packed, std::initializer_list<std::size_t> inputs) {
    std::vector<Value> result(d.inputs.size(), -1);
    std::int64_t begin = 0;
    for (const std::size_t i : inputs) {
        if (d.input(i) < 0) continue;
        if (d.wants(i)) result[i] = part(d.graph, packed, begin, d.shape(i));
        begin += d.shape(i).elements();
    }
    return result;
}

}  // namespace tailor::ops
