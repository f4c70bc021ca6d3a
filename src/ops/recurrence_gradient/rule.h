// The common part of the rules of linear_attention, gated_delta, ssd, rwkv6 and rwkv7: one node of recurrence_gradient, and its results
// taken apart.
#pragma once
#include "ops/gradients.h"

namespace tailor::ops {

/// Which input of the operator is which of recurrence_gradient; one input may play two parts, and then gets both gradients.
struct RecurrenceParts {
    int q, k, v, decay = -1, rate = -1, value_scale = -1, a = -1, b = -1, bonus = -1, skip = -1;
};

/// The gradients of the operator's inputs. `key_dim`: the width of a key; `attributes`: heads, tiled, delta and scale.
inline std::vector<Value> recurrence_gradients(const Differentiation& d, const RecurrenceParts& p, std::int64_t key_dim, Attributes attributes) {
    const int sources[] = {p.q, p.k, p.v, -1, p.decay, p.rate, p.value_scale, p.a, p.b, p.bonus, p.skip};
    std::vector<Value> inputs;
    for (const int source : sources) inputs.push_back(source < 0 ? -1 : d.input(static_cast<std::size_t>(source)));
    inputs[3] = d.gradient;
    const std::int64_t heads = attributes.integer("heads"), rows = d.shape(static_cast<std::size_t>(p.q)).rows(), groups = d.shape(static_cast<std::size_t>(p.q)).width() / key_dim;
    const bool tiled = attributes.integer("tiled", 0) != 0;
    attributes.set("key_dim", key_dim);
    const Value packed = d.graph.add("recurrence_gradient", inputs, std::move(attributes));
    std::vector<Value> result(d.inputs.size(), -1);
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (inputs[i] < 0 || i == 3) continue;
        const auto source = static_cast<std::size_t>(sources[i]);
        const core::Shape own = d.shape(source), shape = i < 2 ? core::Shape{rows, heads * key_dim} : own;
        if (d.wants(source)) {
            // Neighbouring heads that share a key: [rows, groups, heads per group, key]; tiled ones: [rows, heads per group, groups, key].
            const bool shared = i < 2 && groups < heads;
            Value found = part(d.graph, packed, begin, shared && !tiled ? core::Shape{rows * groups, heads / groups * key_dim} : shape);
            if (shared) found = reshaped(d.graph, d.graph.add("group_sum", {found}, {{"groups", heads / groups}}), own);
            result[source] = result[source] < 0 ? found : d.graph.add("add", {result[source], found});
        }
        begin += shape.elements();
    }
    return result;
}

}  // namespace tailor::ops
