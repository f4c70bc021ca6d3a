// What most decoders have in common, in both spellings: settings, ends of the stack, attention, feed-forward.
//
// An architecture file calls the parts that hold for it and spells out the rest. Names are those of Llama, which nearly every
// later architecture took over: "model.layers.<i>.self_attn.q_proj" and so on.
#pragma once
#include <string>
#include <string_view>

#include "files/hugging_face/mapping.h"

namespace tailor::files::hugging_face {

struct Decoder {
    std::int64_t dim = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
};

/// The number of layers, positive and not so large that a corrupt setting asks for a billion names.
std::int64_t layer_count(Mapping& m, std::string_view theirs = "num_hidden_layers");
/// Context, width, depth, feed-forward width, heads and the width of a head. `states_head_dim`: GGUF has attention.key_length
/// even where it is dim / heads.
Decoder decoder(Mapping& m, bool states_head_dim = false);
void rms_epsilon(Mapping& m);
void layer_norm_epsilon(Mapping& m, std::string_view theirs = "layer_norm_eps");
/// Llama's kin state in GGUF what others leave to the shapes: vocab_size and rope.dimension_count.
void stated_sizes(Mapping& m, const Decoder& d);
/// Base and scaling of rotary angles; `rotated`: numbers of a head that turn. `meant`: the base where config.json has none.
void rope(Mapping& m, std::int64_t rotated, double meant = 10000);
/// The base alone.
double rope_base(Mapping& m, double meant = 10000);

/// rope.dimension_count = head_dim * `theirs`, for models that turn a part of each head only.
void rotary_share(Mapping& m, const Decoder& d, std::string_view theirs, double meant);
/// Gemma's query_pre_attn_scalar: GGUF states attention.scale where it is not the width of a head; files of the 27B model,
/// known by its depth, mean dim / heads without saying so.
void query_scale(Mapping& m, const Decoder& d, std::int64_t layers_of_27b);
/// Granite's multipliers of embeddings, scores and residuals, and its divisor of logits.
void granite_scales(Mapping& m);

/// Embedding, last norm and output matrix, which may be the embedding.
void ends(Mapping& m, const Step& norm = same());
/// The output matrix `theirs`.weight (and .bias), dropped where the embedding stands for it.
void output(Mapping& m, const std::string& theirs = "lm_head", bool tied_meant = false);

/// Prefixes of the names of layer i: "model.layers.3.", "blk.3.".
struct LayerNames {
    std::string theirs, ours;
};
LayerNames layer(std::int64_t i, std::string_view theirs = "model.layers.");

/// q_proj, k_proj, v_proj, o_proj of self_attn; `pairs` as neighbour_pairs() of the heads where GGUF wants that.
void attention(Mapping& m, const LayerNames& n, const Decoder& d, bool pairs = false);
/// q_norm and k_norm of self_attn.
void query_key_norms(Mapping& m, const LayerNames& n, const Step& step = same());
/// input_layernorm and post_attention_layernorm, the norms before attention and before feed-forward.
void input_norms(Mapping& m, const LayerNames& n, const Step& step = same());
/// Gemma's norms before and after attention and before and after feed-forward.
void four_norms(Mapping& m, const LayerNames& n, const Step& step);
/// gate_proj, up_proj, down_proj of mlp.
void gated_feed_forward(Mapping& m, const LayerNames& n);
/// Experts "<theirs><e>.<gate|up|down>.weight" stacked into ffn_gate_exps, ffn_up_exps and ffn_down_exps.
void experts(Mapping& m, const LayerNames& n, std::int64_t count, const std::string& theirs = "mlp.experts.", const std::string& gate = "gate_proj",
             const std::string& up = "up_proj", const std::string& down = "down_proj");

}  // namespace tailor::files::hugging_face
