// Llama: a decoder of RMSNorm, rotary grouped-query attention and SwiGLU layers.
//
// Touvron et al., "LLaMA", 2023; grouped queries from Llama 2; long contexts by linear or YaRN scaling of the rotary
// angles, or by Llama 3.1's per-pair divisors (tensor rope_freqs.weight). Per layer:
//     h = x + Wo attention(rope(Wq n), rope(Wk n), Wv n),  n = rms_norm(x)
//     x = h + Wdown (silu(Wgate m) * Wup m),               m = rms_norm(h)
// GGUF stores Wq and Wk permuted so that rotary pairs are neighbours. Every projection may have a bias; the output
// matrix may be the embedding (tied). Mixtral (Jiang et al., 2024) has experts in place of the feed-forward part, weighed by the
// softmax over the chosen ones. Mistral, SmolLM, TinyLlama and Yi use this architecture name too.
#include "models/experts.h"

namespace tailor::models::llama_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const Experts e = read_experts(b, {.normalize = true});
    Value x = embed(b, c);
    for (const Layer& l : c.layers) {
        x = add(b, x, rotary_attention(b, c, l, b.rms_norm(x, l.name + "attn_norm", c.epsilon)));
        x = add(b, x, expert_or_plain_feed_forward(b, c, l, e, b.rms_norm(x, l.name + "ffn_norm", c.epsilon)));
    }
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"llama"};

}  // namespace tailor::models::llama_family

namespace tailor::models::entries {
extern const Model llama = {
    .name = "llama",
    .architectures = llama_family::architectures,
    .doc = "Llama 1 to 3, Mistral, Mixtral, TinyLlama, SmolLM, Yi: RMSNorm, rotary grouped-query attention, SwiGLU or experts of it",
    .build = &llama_family::build,
};
}  // namespace tailor::models::entries
