// The feed-forward part of a layer as a mixture of experts.
//
// A router sends each token to a few of many gated feed-forward networks, and sums their answers by its weights; a shared expert,
// where there is one, answers every token:
//     s = scores(Wr x),  chosen = the `used` largest of s + bias,  w = s[chosen]
//     y = sum over e in chosen of w_e Wdown[e] (act(Wgate[e] x) * Wup[e] x)  +  sigmoid(g x) shared(x)
// Shazeer et al., "Outrageously Large Neural Networks", 2017; gated as in Mixtral (Jiang et al., 2024); shared experts: DeepSeekMoE
// (Dai et al., 2024). Families differ in scores and in what is normalized, and say so in one line:
//     const Experts e = read_experts(b, {.scoring = "sigmoid", .normalize = true});
//     x = add(b, x, expert_feed_forward(b, c, l, e, norm));
// Tensors in GGUF: ffn_gate_inp (router), ffn_{gate,up,down}_exps [experts, n, k] (or ffn_gate_up_exps, gate first),
// ffn_{gate,up,down}_shexp with ffn_gate_inp_shexp, and exp_probs_b.bias; biases and scales where the file has them.
#pragma once
#include <string>
#include <string_view>

#include "models/blocks.h"

namespace tailor::models {

/// What a family says of its router; what a file states instead is read over it.
struct Experts {
    std::string_view scoring = "softmax";  ///< over all experts; "sigmoid"; "chosen": softmax over the chosen ones (expert_gating_func 1, 2, 3)
    bool normalize = false;                ///< weights of a token sum to 1 (expert_weights_norm)
    double scale = 1;                      ///< on the weights (expert_weights_scale)
    bool weigh_input = false;              ///< weights go on what an expert is asked rather than on what it answers
    std::string_view activation = "silu";  ///< of the gate, or an operator of gate and up: "clamped_swiglu"
    bool gated = true;                     ///< false: Wdown act(Wup x), without ffn_gate_exps

    // From the file alone.
    std::int64_t count = 0, used = 0;             ///< expert_count, expert_used_count
    std::int64_t groups = 1, groups_used = 1;     ///< expert_group_count, expert_group_used_count
    std::string_view group_score = "two best";    ///< of the experts of a group: see the operator route
};

/// `family` with what the metadata states. Throws Error(format) for counts that cannot be.
Experts read_experts(const Builder& b, Experts family = {});

/// True if the layer has a router; in most models some layers, the first ones, have none.
bool has_experts(const Builder& b, const Layer& l);

/// The block above for x [rows, dim].
Value expert_feed_forward(Builder& b, const Config& c, const Layer& l, const Experts& e, Value x);
/// The same with scores [rows, experts] that were made elsewhere, before scoring: of a router that sees something else than x.
Value mix_experts(Builder& b, const Config& c, const Layer& l, const Experts& e, Value x, Value scores);

/// The same if the layer has experts, else a gated feed-forward part with silu.
Value expert_or_plain_feed_forward(Builder& b, const Config& c, const Layer& l, const Experts& e, Value x);

}  // namespace tailor::models
