// The mixers of recurrent layers, shared by the families that use them alone or beside attention.
//
// Each takes the normalized input of a layer [rows, dim] and returns what is added to the residual stream. Tensors have
// GGUF's names: ssm_in, ssm_conv1d, ssm_x, ssm_dt, ssm_a (already -exp(A_log)), ssm_d, ssm_norm, ssm_out. A short convolution runs over
// the last ssm.conv_kernel rows; it and the scan keep states, so these layers cost the same at every position.
#pragma once
#include "models/blocks.h"

namespace tailor::models {

/// The sizes that a file states under ssm.*.
struct StateSpace {
    std::int64_t inner = 0;      ///< inner_size: columns of x
    std::int64_t state = 0;      ///< state_size: values of memory per column, or the width of a key
    std::int64_t step_rank = 0;  ///< time_step_rank: rank of dt in Mamba, heads in Mamba-2, value heads in a delta network
    std::int64_t groups = 1;     ///< group_count: groups of heads that share B and C, or key heads
    std::int64_t taps = 0;       ///< conv_kernel
    double epsilon = 0;          ///< of norms inside the mixer
};

/// Throws Error(format) for sizes that cannot be.
StateSpace read_state_space(const Builder& b, const Config& c);

/// silu(conv(x)) with the weights `name`.weight [width, taps] and, if there is one, `name`.bias.
Value convolve(Builder& b, const StateSpace& s, Value x, const std::string& name);

/// Mamba: x, z = Win n;  x = silu(conv(x));  dt, B, C = Wx x;  y = selective_scan(x, softplus(Wdt dt), A, B, C, D);  Wout (y * silu(z)).
/// dt, B and C are normalized where the file has weights for that (Jamba) or says so (ssm.dt_b_c_rms, Falcon-Mamba).
Value mamba_mixer(Builder& b, const Config& c, const Layer& l, const StateSpace& s, Value x);

/// Mamba-2: z, xBC, dt = Win n;  x, B, C = silu(conv(xBC));  y = ssd(x, softplus(dt + bias), A, B, C, D);  Wout norm(y * silu(z)), the
/// norm over each group where the file has ssm_norm.
Value mamba2_mixer(Builder& b, const Config& c, const Layer& l, const StateSpace& s, Value x);

/// What a gated delta network mixes: the projections before the convolution, and the two numbers per value head.
struct DeltaInputs {
    Value qkv;    ///< [rows, 2 * groups * state + inner]: queries, keys, values
    Value z;      ///< [rows, inner]: gate of the output
    Value beta;   ///< [rows, heads], before its sigmoid
    Value alpha;  ///< [rows, heads], before bias and softplus
};

/// Gated DeltaNet: q, k, v = silu(conv(qkv));  q and k of norm 1;  y = gated_delta(q, k, v, A softplus(alpha + bias), sigmoid(beta));
/// Wout (rms_norm(y) * silu(z)), the norm over each head. `spread`: see the operator gated_delta.
Value delta_mixer(Builder& b, const Config& c, const Layer& l, const StateSpace& s, const DeltaInputs& in, std::string_view spread);

/// Attention with a gate on its output, as the Qwen hybrids have it: attn_q holds query and gate of each head side by side, q and k
/// are normalized per head, and Wo (attention * sigmoid(gate)).
Value gated_attention(Builder& b, const Config& c, const Layer& l, Value x);

/// Which layers are recurrent in the Qwen hybrids: attention.recurrent_layers, or all but every full_attention_interval-th (4).
std::vector<bool> recurrent_layers(const Builder& b, const Config& c);

}  // namespace tailor::models
