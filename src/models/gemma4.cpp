// Gemma 4: Gemma 3 with wider heads on the full layers, normalized values, keys and values that layers share, and an
// embedding of its own for every layer.
//
// Gemma Team's model cards of Gemma 4, 2026; the per-layer embeddings and shared keys came with Gemma 3n (2025). Per layer:
//     h = x + post_norm(Wo attention(rope(norm(Wq n)), rope(norm(Wk n)), norm(Wv n))),  n = rms_norm(x)
//     y = h + post_norm(Wdown (gelu(Wgate m) * Wup m)),                                 m = rms_norm(h)
//     x = s (y + norm(Wproj (gelu(Winp y) * p[layer])))
// with a scalar s per layer, scores that are not scaled, and values normalized without weights; a layer without Wv takes
// Wk n for both. p = (norm(Wmodel x0 / sqrt(dim)) + sqrt(width) * E2[token]) / sqrt(2) is split over the layers. The last
// attention.shared_kv_layers layers have no keys and values: they use those of the last layer of their kind that has.
// Models with experts add a second branch beside the first, with a router of its own:
//     y = h + post_norm(norm_1(Wdown (gelu(Wgate m) * Wup m)) + norm_2(experts(norm(h)))),  scores = Wr (s * rms_norm(h) / sqrt(dim))
// Windowed layers have head widths (*_swa) and rotary bases of their own; full layers turn only some pairs, which rope_freqs
// says by enormous divisors.
#include <cmath>

#include "core/error.h"
#include "models/experts.h"

namespace tailor::models::gemma4_family {

// Queries, keys and values of one kind of layer: the widths and rotation, and the latest keys and values.
struct Kind {
    Config c;
    std::int64_t window = 0;
    Value divisors = graph::absent, k = graph::absent, v = graph::absent;
};

static Kind full_layers(Builder& b, const Config& c) {
    Kind kind{.c = c};
    kind.c.scale = 1;
    kind.divisors = b.optional_weight("rope_freqs.weight", {c.rope.integer("rotated") / 2});
    return kind;
}

static Kind windowed_layers_of(const Builder& b, const Config& c) {
    Kind kind{.c = c, .window = b.integer("attention.sliding_window")};
    kind.c.scale = 1;
    kind.c.key_dim = b.integer("attention.key_length_swa", c.key_dim);
    kind.c.value_dim = b.integer("attention.value_length_swa", c.value_dim);
    kind.c.rope = unscaled_rope(c.rope, b.real("rope.freq_base_swa", 10000));
    kind.c.rope.set("head_dim", kind.c.key_dim);
    kind.c.rope.set("rotated", b.integer("rope.dimension_count_swa", kind.c.key_dim));
    return kind;
}

static Value attention(Builder& b, Kind& kind, const Layer& l, Value x, bool has_keys) {
    const Config& c = kind.c;
    const auto turn = [&](const std::string& part, std::int64_t heads) {
        const Value normed = b.rms_norm(b.linear(x, l.name + "attn_" + part, heads * c.key_dim), l.name + "attn_" + part + "_norm", c.epsilon, c.key_dim);
        return b.graph.add("rope", {normed, b.positions, kind.divisors}, c.rope, l.name + "rope_" + part);
    };
    const Value q = turn("q", l.heads);
    if (has_keys) {
        kind.k = turn("k", l.kv_heads);
        const bool own = b.has(l.name + "attn_v.weight");
        const Value v = own ? b.linear(x, l.name + "attn_v", l.kv_heads * c.value_dim) : b.graph.find(l.name + "attn_k");
        kind.v = b.graph.add("rms_norm", {v}, {{"epsilon", c.epsilon}, {"group", c.value_dim}}, l.name + "attn_v_norm");
    } else {
        b.leave_out(l.name + "attn_k"), b.leave_out(l.name + "attn_v");  // some files hold weights that nobody uses
    }
    if (kind.k == graph::absent) core::fail(core::ErrorKind::format, "layer {} shares keys and values, but no layer of its kind before it has any", l.index);
    return attend(b, c, l, {q, kind.k, kind.v}, {{"window", kind.window}});
}

// The embeddings of all layers, `width` columns each; graph::absent if the model has none.
static Value layer_embeddings(Builder& b, const Config& c, Value x, std::int64_t width) {
    if (width == 0) return graph::absent;
    const std::int64_t all = width * static_cast<std::int64_t>(c.layers.size());
    const Value of_token = b.graph.add("gather", {b.weight("per_layer_token_embd.weight", {c.vocabulary, all}), b.token_ids}, {}, "per_layer_token_embd");
    const Value of_model = scaled(b, b.linear(x, "per_layer_model_proj", all), 1 / std::sqrt(static_cast<double>(c.dim)));
    const Value normed = b.rms_norm(of_model, "per_layer_proj_norm", c.epsilon, width);
    return scaled(b, add(b, normed, scaled(b, of_token, std::sqrt(static_cast<double>(width)))), std::sqrt(0.5));
}

static Value add_layer_embedding(Builder& b, const Config& c, const Layer& l, Value x, Value embeddings, std::int64_t width) {
    const Value gate = b.graph.add("gelu", {b.linear(x, l.name + "inp_gate", width)});
    const Value gated = b.graph.add("multiply", {gate, columns(b, embeddings, l.index * width, width)}, {}, l.name + "inp_act");
    return add(b, x, b.rms_norm(b.linear(gated, l.name + "proj", c.dim), l.name + "post_norm", c.epsilon));
}

// Scores of the router, which sees x by a norm without weights and a scale per column.
static Value route(Builder& b, const Config& c, const Layer& l, const Experts& e, Value x) {
    const Value n = scaled(b, b.graph.add("rms_norm", {x}, {{"epsilon", c.epsilon}}), 1 / std::sqrt(static_cast<double>(c.dim)));
    const Value seen = b.graph.add("column_scale", {n, b.weight(l.name + "ffn_gate_inp.scale", {c.dim})}, {}, l.name + "ffn_route_input");
    return b.graph.add("matmul", {seen, b.weight(l.name + "ffn_gate_inp.weight", {e.count, c.dim})}, {}, l.name + "ffn_gate_inp");
}

static Value feed_forward(Builder& b, const Config& c, const Layer& l, const Experts& e, Value x) {
    const Value dense = gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "gelu");
    if (!has_experts(b, l)) return dense;
    if (e.count == 0) core::fail(core::ErrorKind::format, "layer {} has experts (ffn_gate_inp.weight), but expert_count is missing", l.index);
    const Value first = b.rms_norm(dense, l.name + "post_ffw_norm_1", c.epsilon), scores = route(b, c, l, e, x);
    const Value mixed = mix_experts(b, c, l, e, b.rms_norm(x, l.name + "pre_ffw_norm_2", c.epsilon), scores);
    return add(b, first, b.rms_norm(mixed, l.name + "post_ffw_norm_2", c.epsilon));
}

static Value build(Builder& b) {
    const Config c = read_config(b, "halves");
    const auto layers = static_cast<std::int64_t>(c.layers.size());
    const std::vector<bool> windowed = windowed_layers(b, c, 6);
    const std::int64_t width = b.integer("embedding_length_per_layer_input", 0), first_shared = layers - b.integer("attention.shared_kv_layers", 0);
    const Experts e = read_experts(b, {.normalize = true, .activation = "gelu"});
    Kind full = full_layers(b, c), local = windowed_layers_of(b, c);
    Value x = scaled(b, embed(b, c), std::sqrt(static_cast<double>(c.dim)));
    const Value embeddings = layer_embeddings(b, c, x, width);
    for (const Layer& l : c.layers) {
        Kind& kind = windowed[static_cast<std::size_t>(l.index)] ? local : full;
        const Value mixed = attention(b, kind, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon), l.index < first_shared);
        x = add(b, x, b.rms_norm(mixed, l.name + "post_attention_norm", c.epsilon));
        const Value fed = feed_forward(b, c, l, e, x);
        x = add(b, x, b.rms_norm(fed, l.name + "post_ffw_norm", c.epsilon));
        if (width > 0) x = add_layer_embedding(b, c, l, x, embeddings, width);
        if (const Value s = b.optional_weight(l.name + "layer_output_scale.weight", {1}); s != graph::absent) x = b.graph.add("scale", {x, s});
    }
    x = logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
    return softcapped(b, x, b.real("final_logit_softcapping", 0));
}

static constexpr std::string_view architectures[] = {"gemma4"};

}  // namespace tailor::models::gemma4_family

namespace tailor::models::entries {
extern const Model gemma4 = {
    .name = "gemma4",
    .architectures = gemma4_family::architectures,
    .doc = "Gemma 4: two kinds of heads, shared keys and values, an embedding per layer, experts beside the feed-forward part",
    .build = &gemma4_family::build,
};
}  // namespace tailor::models::entries
