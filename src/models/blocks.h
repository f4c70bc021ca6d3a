// Parts that decoder families are made of: the common configuration, and the pieces of a layer.
//
// A family file spells its own layer formula with these parts; nothing here knows of a family, and a part has few, explicit
// options. Tensors have GGUF's names: "blk.<i>.attn_q.weight" and so on. Biases and scales are used where the file has them
// (Builder::linear). Layers may differ in heads and feed-forward width: the metadata holds one number or an array of one per
// layer, and pruned models travel that way.
//
//     Value x = embed(b, c);
//     for (const Layer& l : c.layers) {
//         x = add(b, x, rotary_attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
//         x = add(b, x, gated_feed_forward(b, c, l, b.rms_norm(x, l.name + "ffn_norm", c.epsilon), "silu"));
//     }
//     return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "models/model.h"

namespace tailor::models {

/// One layer of the stack.
struct Layer {
    std::int64_t index = 0;
    std::string name;  ///< prefix of its tensors: "blk.3."
    std::int64_t heads = 0, kv_heads = 0, ffn = 0;
};

/// What nearly every decoder states in its metadata.
struct Config {
    std::int64_t dim = 0;         ///< embedding_length
    std::int64_t vocabulary = 0;  ///< rows of token_embd.weight
    std::int64_t key_dim = 0, value_dim = 0;  ///< of a head: attention.key_length and value_length, or dim / heads
    double epsilon = 0;  ///< of the norms: attention.layer_norm_rms_epsilon or layer_norm_epsilon, whichever there is
    double scale = 0;    ///< of attention scores: attention.scale, or 1 / sqrt(key_dim)
    ops::Attributes rope;  ///< of the operator "rope", for heads of key_dim; empty for families without one
    std::vector<Layer> layers;
};

/// `pairs`: which values of a head the rotary embedding turns together, "interleaved" (neighbours) or "halves"; that is a
/// fact of a family, not of a file; empty for families without one. Throws Error(format) for sizes that cannot be.
Config read_config(const Builder& b, std::string_view pairs = {});

/// Attributes of "rope" from the keys rope.dimension_count, rope.freq_base and rope.scaling.*.
ops::Attributes read_rope(const Builder& b, std::int64_t head_dim, std::string_view pairs);
/// The same rotation with another base and without scaling: for layers with a sliding window.
ops::Attributes unscaled_rope(ops::Attributes rope, double base);

/// Which layers look back over a window only: attention.sliding_window_pattern (an array of one truth value per layer, or a
/// period) if the file has it, else `period`. Of each period the last layer sees everything; with a period of 0 none does.
std::vector<bool> windowed_layers(const Builder& b, const Config& c, std::int64_t period);

/// The factor that `key` states; `fallback` if it is missing or 0, which files write for none.
double stated_factor(const Builder& b, std::string_view key, double fallback = 1);

// ---- Elementwise ----

Value add(Builder& b, Value x, Value y, const std::string& name = {});
/// x * factor; x itself for a factor of 1.
Value scaled(Builder& b, Value x, double factor);
/// cap * tanh(x / cap); x itself for a cap of 0.
Value softcapped(Builder& b, Value x, double cap);
/// The columns [begin, begin + count) of x.
Value columns(Builder& b, Value x, std::int64_t begin, std::int64_t count);

// ---- Begin and end of the stack ----

/// Rows of token_embd.weight.
Value embed(Builder& b, const Config& c);
/// Rows of position_embd.weight. Throws Error(usage) if the context asked for has more positions than the table.
Value embed_positions(Builder& b, const Config& c);
/// The rows whose logits are wanted: from here on the others need no work.
Value wanted_rows(Builder& b, Value x);
/// x times output.weight, or the embedding if the file has none (tied), plus output.bias if there is one.
Value logits(Builder& b, const Config& c, Value x);

// ---- Attention ----

/// Queries [rows, heads * key_dim], keys [rows, kv_heads * key_dim] and values [rows, kv_heads * value_dim] of a layer.
struct Heads {
    Value q, k, v;
};

/// The projections of x by attn_q, attn_k and attn_v, or by attn_qkv, whose rows are those of q, then k, then v.
Heads project_heads(Builder& b, const Config& c, const Layer& l, Value x);
/// q and k turned by the rotary embedding `rope` with the divisors of rope_divisors().
void rotate(Builder& b, const Config& c, const Layer& l, Heads& h, const ops::Attributes& rope);
inline void rotate(Builder& b, const Config& c, const Layer& l, Heads& h) { rotate(b, c, l, h, c.rope); }
/// Per-pair divisors of rotary frequencies: rope_freqs.weight (Llama 3.1), or rope_factors_long.weight for a context beyond
/// the original one and rope_factors_short.weight within it (LongRoPE); graph::absent if the file has none.
Value rope_divisors(Builder& b, const ops::Attributes& rope);
/// Attention without the output projection [rows, heads * value_dim]; `extra`: attributes of the operator "attention" beyond
/// heads, kv_heads and scale, such as {"window", 512}.
Value mix_heads(Builder& b, const Config& c, const Layer& l, const Heads& h, const ops::Attributes& extra = {});
/// mix_heads() followed by attn_output.
Value attend(Builder& b, const Config& c, const Layer& l, const Heads& h, const ops::Attributes& extra = {});
/// The usual sequence: project_heads(), rotate(), attend().
Value rotary_attention(Builder& b, const Config& c, const Layer& l, Value x, const ops::Attributes& extra = {});

// ---- Feed-forward ----

/// down(activation(gate(x)) * up(x)) with ffn_gate, ffn_up and ffn_down; without ffn_gate, ffn_up holds the rows of both, gate
/// first. `activation` is an operator of one input: "silu", "gelu", "relu", "relu_squared".
Value gated_feed_forward(Builder& b, const Config& c, const Layer& l, Value x, std::string_view activation);
/// down(activation(up(x))) with ffn_up and ffn_down.
Value plain_feed_forward(Builder& b, const Config& c, const Layer& l, Value x, std::string_view activation);

}  // namespace tailor::models
