// Mamba-2: a stack of state spaces with one decay per head, without attention and without feed-forward layers.
//
// Dao and Gu, "Transformers are SSMs", 2024, figure 6 (right). Per layer:
//     x = x + mamba2(rms_norm(x))
// with the mixer of recurrent.h. Codestral Mamba uses this architecture name too.
#include "models/recurrent.h"

namespace tailor::models::mamba2_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const StateSpace s = read_state_space(b, c);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) x = add(b, x, mamba2_mixer(b, c, l, s, b.rms_norm(x, l.name + "attn_norm", c.epsilon)), l.name + "residual");
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"mamba2"};

}  // namespace tailor::models::mamba2_family

namespace tailor::models::entries {
extern const Model mamba2 = {
    .name = "mamba2",
    .architectures = mamba2_family::architectures,
    .doc = "Mamba-2, Codestral Mamba: state spaces with one decay per head",
    .build = &mamba2_family::build,
};
}  // namespace tailor::models::entries
