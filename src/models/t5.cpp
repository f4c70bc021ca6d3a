// T5: an encoder that reads a text as a whole, and a decoder that writes while looking at what the encoder left.
//
// Raffel et al., "Exploring the Limits of Transfer Learning", 2020; gated GELU from version 1.1 (Shazeer, 2020). Scores are not
// scaled. The only notion of place is a number added to each score, learned per head and bucket of distances; block 0 holds it for
// all blocks, the encoder's and the decoder's apart. Per encoder layer, and per decoder layer with the middle line:
//     x = x + Wo attention(Wq n, Wk n, Wv n),            n = rms_norm(x)
//     x = x + Wo' cross_attention(Wq' m, Wk' e, Wv' e),  m = rms_norm(x), e the encoder's output
//     x = x + Wdown (gelu(Wgate f) * Wup f),             f = rms_norm(x); without a gate Wdown relu(Wup f)
// With a tied output matrix logits are divided by the square root of the width.
#include <algorithm>
#include <cmath>

#include "formats/panels.h"
#include "formats/registry.h"
#include "models/blocks.h"

namespace tailor::models::t5_family {

// Distances beyond this share the last bucket; every released model has it so and no file states another.
constexpr std::int64_t most_distance = 128;

// Bucket of a key at `distance` from the row. Half of the buckets stand for one distance each, the others grow as its logarithm; the
// encoder, which looks both ways, gives each side half of them.
static std::int64_t bucket_of(std::int64_t distance, std::int64_t buckets, bool both_ways) {
    std::int64_t first = 0, away = -distance;
    if (both_ways) {
        buckets /= 2;
        if (distance > 0) first = buckets;
        away = std::abs(distance);
    }
    away = std::max<std::int64_t>(away, 0);
    const std::int64_t exact = buckets / 2;
    if (away < exact) return first + away;
    const float share = std::log(static_cast<float>(away) / static_cast<float>(exact)) / std::log(static_cast<float>(most_distance) / static_cast<float>(exact));
    return first + std::min(buckets - 1, exact + static_cast<std::int64_t>(share * static_cast<float>(buckets - exact)));
}

// What is added to scores, by distance: [heads, 2 most_distance + 1].
static Value distance_bias(Builder& b, std::int64_t heads, const std::string& side, bool both_ways) {
    const std::int64_t buckets = b.integer("attention.relative_buckets_count");
    const core::Tensor weight = b.graph.node(b.weight(side + "blk.0.attn_rel_b.weight", {buckets, heads})).constant;
    const core::Tensor table = formats::make_tensor(formats::get("f32"), {heads, 2 * most_distance + 1});
    std::vector<float> row(static_cast<std::size_t>(heads));
    for (std::int64_t d = -most_distance; d <= most_distance; ++d) {
        formats::decode_row(weight, bucket_of(d, buckets, both_ways), row.data());
        for (std::int64_t h = 0; h < heads; ++h) table.row_f32(h)[d + most_distance] = row[static_cast<std::size_t>(h)];
    }
    return b.graph.constant(side + "distance_bias", table);
}

static Value feed_forward(Builder& b, const Config& c, const Layer& l, Value x) {
    const Value n = b.rms_norm(x, l.name + "ffn_norm", c.epsilon);
    return add(b, x, b.has(l.name + "ffn_gate.weight") ? gated_feed_forward(b, c, l, n, "gelu") : plain_feed_forward(b, c, l, n, "relu"));
}

static Value self_attention(Builder& b, const Config& c, const Layer& l, Value x, Value bias, bool causal) {
    const Heads h = project_heads(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon));
    const ops::Attributes attributes{{"heads", l.heads}, {"kv_heads", l.kv_heads}, {"scale", 1.0}, {"causal", std::int64_t{causal}}};
    return add(b, x, b.linear(b.graph.add("attention", {h.q, h.k, h.v, graph::absent, bias}, attributes, l.name + "attention"), l.name + "attn_o", c.dim));
}

static Value cross_attention(Builder& b, const Config& c, const Layer& l, Value x) {
    const Value q = b.linear(b.rms_norm(x, l.name + "cross_attn_norm", c.epsilon), l.name + "cross_attn_q", l.heads * c.key_dim);
    const ops::Attributes attributes{{"heads", l.heads}, {"kv_heads", l.kv_heads}, {"scale", 1.0}, {"cross", std::int64_t{1}}, {"value_dim", c.value_dim}};
    return add(b, x, b.linear(b.graph.add("cross_attention", {q}, attributes, l.name + "cross_attention"), l.name + "cross_attn_o", c.dim));
}

// The configuration with the layers of one side; they differ in number.
static Config side_of(const Builder& b, const char* side, std::int64_t layers) {
    Config c = read_config(b);
    const Layer first = c.layers[0];
    c.layers.clear();
    for (std::int64_t i = 0; i < layers; ++i) {
        c.layers.push_back(first);
        c.layers.back().index = i, c.layers.back().name = side + ("blk." + std::to_string(i) + ".");
    }
    return c;
}

static std::int64_t decoder_layers(const Builder& b) { return std::clamp<std::int64_t>(b.integer("decoder_block_count", b.integer("block_count")), 1, 10000); }

static Value build(Builder& b) {
    const Config c = side_of(b, "dec.", decoder_layers(b));
    b.leave_out("enc.");
    for (const Layer& l : c.layers)
        for (const char* const part : {"cross_attn_k.", "cross_attn_v.", "cross_attn_rel_b."}) b.leave_out(l.name + part);
    Value x = embed(b, c);
    const Value bias = distance_bias(b, c.layers[0].heads, "dec.", false);
    for (const Layer& l : c.layers) x = feed_forward(b, c, l, cross_attention(b, c, l, self_attention(b, c, l, x, bias, true)));
    x = b.rms_norm(wanted_rows(b, x), "dec.output_norm", c.epsilon);
    if (!b.has("output.weight")) x = scaled(b, x, 1 / std::sqrt(static_cast<double>(c.dim)));
    return logits(b, c, x);
}

// Reads the whole text and leaves keys and values for every layer of the decoder.
static void build_encoder(Builder& b) {
    const Config c = side_of(b, "enc.", b.integer("block_count")), decoder = side_of(b, "dec.", decoder_layers(b));
    Value x = embed(b, c);
    const Value bias = distance_bias(b, c.layers[0].heads, "enc.", true);
    for (const Layer& l : c.layers) x = feed_forward(b, c, l, self_attention(b, c, l, x, bias, false));
    x = b.rms_norm(x, "enc.output_norm", c.epsilon);
    for (const Layer& l : decoder.layers) {
        const Value k = b.linear(x, l.name + "cross_attn_k", l.kv_heads * c.key_dim), v = b.linear(x, l.name + "cross_attn_v", l.kv_heads * c.value_dim);
        b.graph.output(b.graph.add("remember", {k, v}, {{"kv_heads", l.kv_heads}}, l.name + "cross_attention"));
    }
}

static constexpr std::string_view architectures[] = {"t5"};

}  // namespace tailor::models::t5_family

namespace tailor::models::entries {
extern const Model t5 = {
    .name = "t5",
    .architectures = t5_family::architectures,
    .doc = "T5 and Flan-T5: an encoder and a decoder, distances in buckets, gated GELU or ReLU",
    .build = &t5_family::build,
    .build_encoder = &t5_family::build_encoder,
};
}  // namespace tailor::models::entries
