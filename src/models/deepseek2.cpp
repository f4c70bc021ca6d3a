// DeepSeek V2, V2-Lite, V3 and R1 (and Kimi K2): multi-head latent attention and fine-grained experts.
//
// DeepSeek-AI, "DeepSeek-V2", 2024, section 2, and "DeepSeek-V3 Technical Report", 2024, section 2.1. Per layer:
//     h = x + Wo attention(...),  x = h + sum of w_e expert_e(m) + shared(m),  m = rms_norm(h); the first layers have a plain part
// Attention keeps one narrow vector per token, from which the keys and values of all heads are made:
//     c = rms_norm(Wa n), r = rope(Wr n)             one c and one r for all heads (attn_kv_a_mqa holds both rows)
//     k[h] = [Kb[h] c, r],  v[h] = Vb[h] c           expanded; attn_kv_b holds Kb[h] and Vb[h] head by head
//     q[h] = [p, rope(s)] from Wq n, or through a narrow vector of its own: Wq rms_norm(Wqa n)
// Since (Kb c) . p = c . (Kb' p), the same scores come from queries [Kb[h]' p, s] against the shared key [c, r] with the value c,
// and Vb[h] applied to what comes out: a cache of 576 numbers per token instead of 40,960. Files with attn_k_b (transposed) and
// attn_v_b are run that way; those with attn_kv_b expanded.
// Routing: V2 takes softmax scores and the groups by their best expert; V3 sigmoid, a bias, and groups by their two best.
// YaRN: the factor m = 1 + log_multiplier ln(factor) goes on queries and keys as a whole, m^2 on the scores, not on the turned part.
#include <cmath>

#include "models/experts.h"

namespace tailor::models::deepseek2_family {

/// Widths of latent attention.
struct Latent {
    std::int64_t rank, query_rank;       ///< of c; of the queries' narrow vector, 0 if they have none
    std::int64_t rotated, plain, value;  ///< of a head: values with and without a position, and of v
    double scale;                        ///< on the scores
    ops::Attributes rope;                ///< without head_dim and begin
};

static Latent read_latent(const Builder& b, const Config& c) {
    Latent a{};
    a.rank = b.integer("attention.kv_lora_rank");
    a.query_rank = b.integer("attention.q_lora_rank", 0);
    a.rotated = b.integer("rope.dimension_count");
    // Files made for the absorbed form state the widths of the cache as key_length and value_length.
    a.plain = b.integer("attention.key_length_mla", c.key_dim) - a.rotated;
    a.value = b.integer("attention.value_length_mla", c.value_dim);
    a.rope = read_rope(b, a.rotated, "interleaved");
    const double growth = std::log(a.rope.real("factor"));
    const double magnitude = a.rope.word("scaling", "none") == "yarn" ? 1 + b.real("rope.scaling.yarn_log_multiplier", 0) * growth : 1.0;
    if (a.rope.word("scaling", "none") == "yarn") a.rope.set("attention_factor", 1 / (1 + 0.1 * growth));
    a.scale = magnitude * magnitude / std::sqrt(static_cast<double>(a.plain + a.rotated));
    return a;
}

static ops::Attributes turned(const Latent& a, std::int64_t head_dim, std::int64_t begin) {
    ops::Attributes rope = a.rope;
    rope.set("head_dim", head_dim);
    rope.set("begin", begin);
    return rope;
}

// Columns [begin, begin + count) of every head.
static Value part(Builder& b, Value x, std::int64_t heads, std::int64_t begin, std::int64_t count) {
    return b.graph.add("columns", {x}, {{"begin", begin}, {"count", count}, {"groups", heads}});
}

// What heads attended to, [rows, heads * value].
static Value absorbed(Builder& b, const Latent& a, const Layer& l, Value q, Value c, Value r) {
    graph::Graph& g = b.graph;
    const Value keys_of_heads = b.weight(l.name + "attn_k_b.weight", {l.heads, a.rank, a.plain});
    const Value plain = g.add("expert_matmul", {part(b, q, l.heads, 0, a.plain), keys_of_heads}, {}, l.name + "attn_k_b");
    const Value query = g.add("join", {plain, part(b, q, l.heads, a.plain, a.rotated)}, {{"groups", l.heads}});
    const Value mixed = g.add("attention", {query, g.add("join", {c, r}), c}, {{"heads", l.heads}, {"kv_heads", std::int64_t{1}}, {"scale", a.scale}}, l.name + "attention");
    return g.add("expert_matmul", {mixed, b.weight(l.name + "attn_v_b.weight", {l.heads, a.value, a.rank})}, {}, l.name + "attn_v_b");
}

static Value expanded(Builder& b, const Latent& a, const Layer& l, Value q, Value c, Value r) {
    graph::Graph& g = b.graph;
    const Value both = b.linear(c, l.name + "attn_kv_b", l.heads * (a.plain + a.value));
    const Value k = g.add("join", {part(b, both, l.heads, 0, a.plain), r}, {{"groups", l.heads}, {"shared", std::int64_t{1}}});
    const Value v = part(b, both, l.heads, a.plain, a.value);
    return g.add("attention", {q, k, v}, {{"heads", l.heads}, {"kv_heads", l.heads}, {"scale", a.scale}}, l.name + "attention");
}

static Value attention(Builder& b, const Config& c, const Latent& a, const Layer& l, Value x) {
    graph::Graph& g = b.graph;
    const std::int64_t head = a.plain + a.rotated;
    Value q = x;
    if (a.query_rank > 0) q = b.rms_norm(b.linear(x, l.name + "attn_q_a", a.query_rank), l.name + "attn_q_a_norm", c.epsilon);
    q = b.linear(q, l.name + (a.query_rank > 0 ? "attn_q_b" : "attn_q"), l.heads * head);
    q = g.add("rope", {q, b.positions}, turned(a, head, a.plain), l.name + "rope_q");
    const Value narrow = b.linear(x, l.name + "attn_kv_a_mqa", a.rank + a.rotated);
    const Value shared = b.rms_norm(columns(b, narrow, 0, a.rank), l.name + "attn_kv_a_norm", c.epsilon);
    const Value r = g.add("rope", {columns(b, narrow, a.rank, a.rotated), b.positions}, turned(a, a.rotated, 0), l.name + "rope_k");
    const Value mixed = b.has(l.name + "attn_k_b.weight") ? absorbed(b, a, l, q, shared, r) : expanded(b, a, l, q, shared, r);
    return b.linear(mixed, l.name + "attn_output", c.dim);
}

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const Latent a = read_latent(b, c);
    Experts e = read_experts(b);
    if (e.scoring == "softmax") e.group_score = "best";
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, attention(b, c, a, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, expert_or_plain_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "ffn_norm", c.epsilon)));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"deepseek2"};

}  // namespace tailor::models::deepseek2_family

namespace tailor::models::entries {
extern const Model deepseek2 = {
    .name = "deepseek2",
    .architectures = deepseek2_family::architectures,
    .doc = "DeepSeek V2, V2-Lite, V3, R1, Kimi K2: latent attention, fine-grained and shared experts",
    .build = &deepseek2_family::build,
};
}  // namespace tailor::models::entries
