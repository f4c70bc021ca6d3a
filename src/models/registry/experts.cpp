// Routers and experts as graph nodes; see experts.h.
#include "models/experts.h"

#include "core/error.h"
#include "ops/experts.h"

namespace tailor::models {

using core::ErrorKind;
using core::fail;

Experts read_experts(const Builder& b, Experts family) {
    Experts e = family;
    e.count = b.integer("expert_count", 0);
    if (e.count == 0) return e;
    e.used = b.integer("expert_used_count");
    if (e.count < 1 || e.count > ops::most_experts || e.used < 1 || e.used > e.count)
        fail(ErrorKind::format, "{} of {} experts per token cannot be; at most {} experts are supported", e.used, e.count, ops::most_experts);
    constexpr std::string_view scorings[] = {"softmax", "sigmoid", "chosen"};
    const std::int64_t function = b.integer("expert_gating_func", 0);
    if (function < 0 || function > 3) fail(ErrorKind::unsupported, "expert_gating_func {} is not supported; there are 1 softmax, 2 sigmoid, 3 softmax of the chosen", function);
    if (function > 0) e.scoring = scorings[function - 1];
    e.normalize = b.boolean("expert_weights_norm", e.normalize);
    if (const double scale = b.real("expert_weights_scale", 0); scale != 0) e.scale = scale;
    // Files of models without groups hold 0 or 1, or nothing.
    e.groups = std::max<std::int64_t>(1, b.integer("expert_group_count", 1));
    e.groups_used = std::max<std::int64_t>(1, b.integer("expert_group_used_count", e.groups));
    if (e.count % e.groups != 0 || e.groups_used > e.groups || e.used > e.count / e.groups * e.groups_used)
        fail(ErrorKind::format, "{} of {} experts in {} of {} groups cannot be", e.used, e.count, e.groups_used, e.groups);
    return e;
}

bool has_experts(const Builder& b, const Layer& l) { return b.has(l.name + "ffn_gate_inp.weight"); }

// x W[e]^T of every chosen expert, with the bias and the scale that the file may have.
static Value expert_linear(Builder& b, const Experts& e, Value x, Value ids, const std::string& name, std::int64_t outputs) {
    const Value w = b.weight(name + ".weight", {e.count, outputs, b.graph.node(x).type.shape.width()});
    const Value bias = b.optional_weight(name + ".bias", {e.count, outputs}), scale = b.optional_weight(name + ".scale", {e.count});
    return b.graph.add("expert_matmul", {x, w, ids, bias, scale}, {}, name);
}

static Value activate(Builder& b, const Experts& e, Value gate, Value up, const std::string& name) {
    // The constants of gpt-oss, the only family with this gate.
    if (e.activation == "clamped_swiglu") return b.graph.add("clamped_swiglu", {gate, up}, {{"alpha", 1.702}, {"limit", 7.0}}, name);
    return b.graph.add("multiply", {b.graph.add(e.activation, {gate}), up}, {}, name);
}

// The answers of the chosen experts, [rows * used, dim].
static Value ask(Builder& b, const Config& c, const Layer& l, const Experts& e, Value x, Value ids) {
    const bool joined = e.gated && b.has(l.name + "ffn_gate_up_exps.weight");
    const std::int64_t width = b.rows_of(l.name + (joined ? "ffn_gate_up_exps.weight" : "ffn_up_exps.weight")) / e.count / (joined ? 2 : 1);
    Value gate, up;
    if (joined) {
        const Value both = expert_linear(b, e, x, ids, l.name + "ffn_gate_up_exps", 2 * width);
        gate = columns(b, both, 0, width), up = columns(b, both, width, width);
    } else {
        if (e.gated) gate = expert_linear(b, e, x, ids, l.name + "ffn_gate_exps", width);
        up = expert_linear(b, e, x, ids, l.name + "ffn_up_exps", width);
    }
    if (!e.gated) return expert_linear(b, e, b.graph.add(e.activation, {up}, {}, l.name + "ffn_act_exps"), ids, l.name + "ffn_down_exps", c.dim);
    return expert_linear(b, e, activate(b, e, gate, up, l.name + "ffn_act_exps"), ids, l.name + "ffn_down_exps", c.dim);
}

// The expert that every token visits, as wide as its tensors say; graph::absent if the layer has none.
static Value shared_expert(Builder& b, const Config& c, const Layer& l, Value x) {
    if (!b.has(l.name + "ffn_up_shexp.weight")) return graph::absent;
    const std::int64_t width = b.rows_of(l.name + "ffn_up_shexp.weight");
    const Value gate = b.graph.add("silu", {b.linear(x, l.name + "ffn_gate_shexp", width)}), up = b.linear(x, l.name + "ffn_up_shexp", width);
    return b.linear(b.graph.add("multiply", {gate, up}, {}, l.name + "ffn_act_shexp"), l.name + "ffn_down_shexp", c.dim);
}

static void require_count(const Layer& l, const Experts& e) {
    if (e.count == 0) fail(ErrorKind::format, "layer {} has experts (ffn_gate_inp.weight), but expert_count is missing", l.index);
}

Value expert_feed_forward(Builder& b, const Config& c, const Layer& l, const Experts& e, Value x) {
    require_count(l, e);
    return mix_experts(b, c, l, e, x, b.linear(x, l.name + "ffn_gate_inp", e.count));
}

Value mix_experts(Builder& b, const Config& c, const Layer& l, const Experts& e, Value x, Value scores) {
    require_count(l, e);
    graph::Graph& g = b.graph;
    const Value bias = b.optional_weight(l.name + "exp_probs_b.bias", {e.count});
    const Value ids = g.add("route", {scores, bias},
                            {{"used", e.used}, {"scoring", std::string(e.scoring == "chosen" ? "logits" : e.scoring)}, {"groups", e.groups},
                             {"groups_used", e.groups_used}, {"group_score", std::string(e.group_score)}},
                            l.name + "ffn_route");
    const Value weights = g.add("route_weights", {scores, ids},
                                {{"scoring", std::string(e.scoring)}, {"normalize", std::int64_t{e.normalize}}, {"scale", e.scale}}, l.name + "ffn_route_weights");
    const Value asked = e.weigh_input ? g.add("expert_scale", {x, weights}, {}, l.name + "ffn_scaled") : x;
    const Value answers = ask(b, c, l, e, asked, ids), shared = shared_expert(b, c, l, x);
    const Value vector = b.optional_weight(l.name + "ffn_gate_inp_shexp.weight", {c.dim});
    const Value gate = vector == graph::absent ? graph::absent : g.add("dot", {x, vector}, {}, l.name + "ffn_gate_inp_shexp");
    return g.add("expert_sum", {answers, e.weigh_input ? graph::absent : weights, shared, gate}, {{"used", e.used}}, l.name + "ffn_experts");
}

Value expert_or_plain_feed_forward(Builder& b, const Config& c, const Layer& l, const Experts& e, Value x) {
    return has_experts(b, l) ? expert_feed_forward(b, c, l, e, x) : gated_feed_forward(b, c, l, x, "silu");
}

}  // namespace tailor::models
