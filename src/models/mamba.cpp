// Mamba: a stack of selective state spaces, without attention and without feed-forward layers.
//
// Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, figure 3. Per layer:
//     x = x + mamba(rms_norm(x))
// with the mixer of recurrent.h. Falcon-Mamba (Zuo et al., 2024) uses this architecture name too: it normalizes dt, B and C.
#include "models/recurrent.h"

namespace tailor::models::mamba_family {

static Value build(Builder& b) {
    const Config c = read_config(b, "interleaved");
    const StateSpace s = read_state_space(b, c);
    Value x = embed(b, c);
    for (const Layer& l : c.layers) x = add(b, x, mamba_mixer(b, c, l, s, b.rms_norm(x, l.name + "attn_norm", c.epsilon)), l.name + "residual");
    return logits(b, c, b.rms_norm(wanted_rows(b, x), "output_norm", c.epsilon));
}

static constexpr std::string_view architectures[] = {"mamba"};

}  // namespace tailor::models::mamba_family

namespace tailor::models::entries {
extern const Model mamba = {
    .name = "mamba",
    .architectures = mamba_family::architectures,
    .doc = "Mamba and Falcon-Mamba: selective state spaces only",
    .build = &mamba_family::build,
};
}  // namespace tailor::models::entries
