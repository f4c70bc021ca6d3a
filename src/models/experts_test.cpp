// Families with experts on hand-made models: what routing, shared experts and latent attention must leave the same, and what they
// must change. What each family computes is held to independent logits by run/golden_test.cpp.
#include <gtest/gtest.h>

#include "core/error.h"
#include "models/tiny_model.h"

namespace tailor::models {
namespace {

using namespace testing;

// Rounding of sums in another order.
constexpr double same = 1e-6;
constexpr std::int64_t experts = 6, used = 2;

std::string error_of(const TinyModel& model) {
    try {
        graph_of(model);
        return "";
    } catch (const core::Error& error) {
        return error.what();
    }
}

std::string layer_name(std::int64_t i) { return "blk." + std::to_string(i) + "."; }

core::Tensor copies(const core::Tensor& matrix, std::int64_t count) {
    core::Tensor stack = stacked(std::vector<core::Tensor>(static_cast<std::size_t>(count), matrix));
    stack.shape = {count, matrix.shape[0], matrix.shape[1]};
    return stack;
}

void fill(const core::Tensor& tensor, float value) { std::fill(tensor.row_f32(0), tensor.row_f32(0) + tensor.shape.elements(), value); }

// Routers in every layer, and experts that all are the layer's feed-forward part.
TinyModel with_equal_experts(const std::string& architecture) {
    TinyModel model(architecture);
    model.set("expert_count", experts);
    model.set("expert_used_count", used);
    model.add_to_layers("ffn_gate_inp.weight", {experts, dim});
    for (std::int64_t i = 0; i < model.layers(); ++i)
        for (const char* const part : {"ffn_gate", "ffn_up", "ffn_down"}) {
            model.put(layer_name(i) + part + "_exps.weight", copies(model.at(layer_name(i) + part + ".weight"), experts));
            model.remove(layer_name(i) + part + ".weight");
        }
    return model;
}

TinyModel with_experts(const std::string& architecture) {
    TinyModel model = with_equal_experts(architecture);
    model.add_to_layers("ffn_gate_exps.weight", {experts, ffn, dim});
    model.add_to_layers("ffn_up_exps.weight", {experts, ffn, dim});
    model.add_to_layers("ffn_down_exps.weight", {experts, dim, ffn});
    return model;
}

TEST(Experts, EqualOnesAreThePlainPart) {
    EXPECT_LT(difference(logits_of(TinyModel("llama")), logits_of(with_equal_experts("llama"))), same);
    EXPECT_GT(difference(logits_of(TinyModel("llama")), logits_of(with_experts("llama"))), 0.01);
}

TEST(Experts, WeightsAreNormalizedWhereTheFamilyOrTheFileSaysSo) {
    const TinyModel plain("qwen2");
    TinyModel model = with_equal_experts("qwen2moe");
    EXPECT_GT(difference(logits_of(plain), logits_of(model)), 1e-3) << "weights of two of six experts sum to less than 1";
    model.metadata().set_boolean("qwen2moe.expert_weights_norm", true);
    EXPECT_LT(difference(logits_of(plain), logits_of(model)), same);
    model.set("expert_weights_scale", 2.0);
    EXPECT_GT(difference(logits_of(plain), logits_of(model)), 1e-3);
}

TEST(Experts, ScoringIsTheFiles) {
    TinyModel model = with_experts("llama");
    const std::vector<float> normalized = logits_of(model);
    model.set("expert_gating_func", std::int64_t{1});
    EXPECT_EQ(normalized, logits_of(model));
    model.set("expert_gating_func", std::int64_t{3});
    EXPECT_LT(difference(normalized, logits_of(model)), same) << "softmax of the chosen is softmax normalized";
    model.set("expert_gating_func", std::int64_t{2});
    EXPECT_GT(difference(normalized, logits_of(model)), 1e-3);
    model.set("expert_gating_func", std::int64_t{9});
    EXPECT_NE(std::string::npos, error_of(model).find("expert_gating_func 9")) << error_of(model);
}

TEST(Experts, JoinedGateAndUpAreTheirParts) {
    TinyModel model = with_experts("qwen3moe");
    model.add_to_layers("attn_q_norm.weight", {head_dim});
    model.add_to_layers("attn_k_norm.weight", {head_dim});
    const std::vector<float> apart = logits_of(model);
    for (std::int64_t i = 0; i < model.layers(); ++i) {
        const core::Tensor gate = model.at(layer_name(i) + "ffn_gate_exps.weight"), up = model.at(layer_name(i) + "ffn_up_exps.weight");
        const core::Tensor both = formats::make_tensor(formats::get("f32"), {experts, 2 * ffn, dim});
        for (std::int64_t r = 0; r < experts * ffn; ++r) {
            const std::int64_t to = r / ffn * 2 * ffn + r % ffn;
            std::copy(gate.row_f32(r), gate.row_f32(r) + dim, both.row_f32(to));
            std::copy(up.row_f32(r), up.row_f32(r) + dim, both.row_f32(to + ffn));
        }
        model.put(layer_name(i) + "ffn_gate_up_exps.weight", both);
    }
    model.remove_from_layers("ffn_gate_exps.weight");
    model.remove_from_layers("ffn_up_exps.weight");
    EXPECT_EQ(apart, logits_of(model));
}

// Down projections of zero silence experts: a bias that keeps the choice away from the silent ones changes nothing.
TEST(Experts, BiasMovesTheChoiceOnly) {
    TinyModel model = with_equal_experts("glm4moe");
    model.metadata().set_boolean("glm4moe.expert_weights_norm", true);
    for (std::int64_t i = 0; i < model.layers(); ++i) model.put(layer_name(i) + "post_attention_norm.weight", model.at(layer_name(i) + "ffn_norm.weight"));
    model.remove_from_layers("ffn_norm.weight");
    const std::vector<float> all = logits_of(model);
    for (std::int64_t i = 0; i < model.layers(); ++i) {
        const core::Tensor down = model.at(layer_name(i) + "ffn_down_exps.weight");
        std::fill(down.row_f32(2 * dim), down.row_f32(0) + down.shape.elements(), 0.0f);
    }
    EXPECT_GT(difference(all, logits_of(model)), 0.01);
    model.add_to_layers("exp_probs_b.bias", {experts});
    for (std::int64_t i = 0; i < model.layers(); ++i)
        for (std::int64_t e = 0; e < experts; ++e) model.at(layer_name(i) + "exp_probs_b.bias").row_f32(0)[e] = e < 2 ? 10.0f : 0.0f;
    EXPECT_LT(difference(all, logits_of(model)), same);
}

TEST(Experts, GroupsCloseTheirExperts) {
    TinyModel model = with_experts("llama");
    const std::vector<float> open = logits_of(model);
    model.set("expert_group_count", std::int64_t{3});
    EXPECT_EQ(open, logits_of(model)) << "all groups may be used";
    model.set("expert_group_used_count", std::int64_t{1});
    EXPECT_GT(difference(open, logits_of(model)), 1e-3);
    model.set("expert_used_count", std::int64_t{3});
    EXPECT_NE(std::string::npos, error_of(model).find("3 of 6 experts in 1 of 3 groups")) << error_of(model);
}

TEST(Experts, SharedOneAnswersEveryToken) {
    TinyModel model = with_experts("qwen2moe"), silent = with_experts("qwen2moe");
    for (TinyModel* const m : {&model, &silent})
        for (const char* const part : {"gate", "up", "down"})
            for (std::int64_t i = 0; i < m->layers(); ++i) m->put(layer_name(i) + "ffn_" + part + "_shexp.weight", TinyModel("qwen2").at(layer_name(i) + "ffn_" + part + ".weight"));
    for (std::int64_t i = 0; i < silent.layers(); ++i) fill(silent.at(layer_name(i) + "ffn_down_exps.weight"), 0);
    EXPECT_LT(difference(logits_of(TinyModel("qwen2")), logits_of(silent)), same);
    EXPECT_GT(difference(logits_of(model), logits_of(silent)), 0.01);
    silent.add_to_layers("ffn_gate_inp_shexp.weight", {dim});
    EXPECT_GT(difference(logits_of(TinyModel("qwen2")), logits_of(silent)), 1e-3);
    for (std::int64_t i = 0; i < silent.layers(); ++i) fill(silent.at(layer_name(i) + "ffn_gate_inp_shexp.weight"), 0);
    const std::vector<float> halved = logits_of(silent);  // sigmoid(0)
    for (std::int64_t i = 0; i < silent.layers(); ++i) {
        const core::Tensor down = silent.at(layer_name(i) + "ffn_down_shexp.weight");
        for (std::int64_t j = 0; j < down.shape.elements(); ++j) down.row_f32(0)[j] /= 2;
    }
    silent.remove_from_layers("ffn_gate_inp_shexp.weight");
    EXPECT_LT(difference(halved, logits_of(silent)), same);
}

// Gemma 4 with a second branch of experts beside the dense one.
TinyModel gemma4(bool with_branch) {
    TinyModel model = with_branch ? with_equal_experts("gemma4") : TinyModel("gemma4");
    for (const char* const norm : {"post_attention_norm.weight", "post_ffw_norm.weight"}) model.add_to_layers(norm, {dim});
    for (const char* const norm : {"attn_q_norm.weight", "attn_k_norm.weight"}) model.add_to_layers(norm, {head_dim});
    model.set("attention.sliding_window", std::int64_t{5});
    if (!with_branch) return model;
    const TinyModel plain("llama");
    for (std::int64_t i = 0; i < model.layers(); ++i) {
        for (const char* const part : {"ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"}) model.add(layer_name(i) + part, plain.at(layer_name(i) + part).shape);
        fill(model.add(layer_name(i) + "post_ffw_norm_1.weight", {dim}), 1);
        fill(model.add(layer_name(i) + "post_ffw_norm_2.weight", {dim}), 1);
        model.put(layer_name(i) + "pre_ffw_norm_2.weight", model.at(layer_name(i) + "ffn_norm.weight"));
        model.add(layer_name(i) + "ffn_gate_inp.scale", {dim});
    }
    return model;
}

void silence(TinyModel& model, const std::string& down) {
    for (std::int64_t i = 0; i < model.layers(); ++i) fill(model.at(layer_name(i) + down), 0);
}

TEST(Gemma4, ExpertsStandBesideTheDensePart) {
    const std::vector<float> dense = logits_of(gemma4(false));
    // With one branch silent, what is left is normalized twice.
    TinyModel silent_experts = gemma4(true), silent_dense = gemma4(true), both = gemma4(true);
    silence(silent_experts, "ffn_down_exps.weight");
    silence(silent_dense, "ffn_down.weight");
    EXPECT_LT(difference(dense, logits_of(silent_experts)), 1e-3);
    EXPECT_LT(difference(dense, logits_of(silent_dense)), 1e-3);
    EXPECT_LT(difference(dense, logits_of(both)), 1e-3) << "twice the same, normalized";
    both.add_to_layers("ffn_down_exps.weight", {experts, dim, ffn});
    const std::vector<float> mixed = logits_of(both);
    EXPECT_GT(difference(dense, mixed), 0.01);
    // The router sees the residual, by a scale of its own; every expert's answer may have one too.
    TinyModel other_scale = both, rescaled = both;
    other_scale.add_to_layers("ffn_down_exps.scale", {experts});
    for (std::int64_t i = 0; i < both.layers(); ++i) {
        const core::Tensor router = formats::make_tensor(formats::get("f32"), {experts, dim}), scale = formats::make_tensor(formats::get("f32"), {dim});
        for (std::int64_t j = 0; j < experts * dim; ++j) router.row_f32(0)[j] = both.at(layer_name(i) + "ffn_gate_inp.weight").row_f32(0)[j] / 2;
        for (std::int64_t j = 0; j < dim; ++j) scale.row_f32(0)[j] = both.at(layer_name(i) + "ffn_gate_inp.scale").row_f32(0)[j] * 2;
        rescaled.put(layer_name(i) + "ffn_gate_inp.weight", router);
        rescaled.put(layer_name(i) + "ffn_gate_inp.scale", scale);
    }
    EXPECT_LT(difference(mixed, logits_of(rescaled)), same);
    EXPECT_GT(difference(mixed, logits_of(other_scale)), 1e-3);
    const graph::Graph g = graph_of(both);
    const graph::Node& seen = g.node(g.find("blk.1.ffn_route_input"));
    EXPECT_EQ("column_scale", seen.op->name);
    const graph::Node& shrunk = g.node(seen.inputs[0]);
    EXPECT_NEAR(1 / std::sqrt(32.0), shrunk.attributes.real("factor"), 1e-12);
    EXPECT_EQ(g.node(g.find("blk.1.ffn_norm")).inputs[0], g.node(shrunk.inputs[0]).inputs[0]) << "the residual";
}

TEST(NomicBert, ExpertsWithoutGates) {
    TinyModel model("nomic-bert-moe"), plain("nomic-bert-moe");
    for (TinyModel* const m : {&model, &plain}) {
        for (const char* const name : {"attn_norm", "ffn_norm", "ffn_gate"}) m->remove_from_layers(std::string(name) + ".weight");
        for (const char* const name : {"attn_output_norm.weight", "layer_output_norm.weight"}) m->add_to_layers(name, {dim});
        m->add("token_embd_norm.weight", {dim});
        m->remove("output_norm.weight");
    }
    // Every other layer has experts, all alike; the weights of two of six do not sum to 1.
    model.set("expert_count", experts);
    model.set("expert_used_count", used);
    for (const std::int64_t i : {1, 3}) {
        model.add(layer_name(i) + "ffn_gate_inp.weight", {experts, dim});
        for (const char* const part : {"ffn_up", "ffn_down"}) {
            model.put(layer_name(i) + part + "_exps.weight", copies(model.at(layer_name(i) + part + ".weight"), experts));
            model.remove(layer_name(i) + part + ".weight");
        }
    }
    EXPECT_GT(difference(logits_of(plain), logits_of(model)), 1e-3);
    model.metadata().set_boolean("nomic-bert-moe.expert_weights_norm", true);
    EXPECT_LT(difference(logits_of(plain), logits_of(model)), same);
    EXPECT_EQ(2, count_nodes(graph_of(model), "route"));
}

TEST(Experts, RefusesWithTheNameOfWhatIsWrong) {
    TinyModel no_count("llama");
    no_count.add_to_layers("ffn_gate_inp.weight", {experts, dim});
    EXPECT_NE(std::string::npos, error_of(no_count).find("expert_count is missing")) << error_of(no_count);
    TinyModel too_many = with_experts("llama");
    too_many.set("expert_used_count", std::int64_t{7});
    EXPECT_NE(std::string::npos, error_of(too_many).find("7 of 6 experts")) << error_of(too_many);
    TinyModel no_sinks = with_experts("gpt-oss");
    EXPECT_NE(std::string::npos, error_of(no_sinks).find("attn_sinks.weight")) << error_of(no_sinks);
}

TEST(Experts, LayersOfGlmThatPredictFurtherTokensAreLeftOut) {
    TinyModel model("glm4moe", 3);
    for (std::int64_t i = 0; i < 3; ++i) model.put(layer_name(i) + "post_attention_norm.weight", model.at(layer_name(i) + "ffn_norm.weight"));
    model.remove_from_layers("ffn_norm.weight");
    model.add("blk.2.nextn.eh_proj.weight", {dim, 2 * dim});
    EXPECT_NE("", error_of(model));
    model.set("nextn_predict_layers", std::int64_t{1});
    const std::vector<float> two_layers = logits_of(model);
    EXPECT_EQ("rr-", rotations_of(model));
    model.put("blk.2.attn_q.weight", model.at("blk.1.attn_q.weight"));
    EXPECT_EQ(two_layers, logits_of(model));
}

TEST(Llama4, EveryFourthLayerSeesAllWithoutPositions) {
    TinyModel model("llama4", 5);
    EXPECT_EQ("rrr-r", rotations_of(model));
    const graph::Graph g = graph_of(model);
    EXPECT_EQ(8192, g.node(g.find("blk.0.attention")).attributes.integer("chunk", 0));
    EXPECT_EQ(0, g.node(g.find("blk.3.attention")).attributes.integer("chunk", 0));
    EXPECT_EQ(1, count_nodes(g, "position_scale"));
    EXPECT_EQ(2 * 5 + 1 + 2 * 4, count_nodes(g, "rms_norm")) << "queries and keys of the four layers with positions";
    model.set("expert_count", std::int64_t{128});
    model.set("expert_used_count", std::int64_t{1});
    EXPECT_EQ(2 * 5 + 1, count_nodes(graph_of(model), "rms_norm")) << "Maverick";
    model.set("attention.sliding_window", std::int64_t{0});
    EXPECT_EQ("rrrrr", rotations_of(model));
}

TEST(GptOss, WindowsStandOnEvenLayers) {
    TinyModel model = with_experts("gpt-oss");
    for (std::int64_t i = 0; i < model.layers(); ++i) model.put(layer_name(i) + "post_attention_norm.weight", model.at(layer_name(i) + "ffn_norm.weight"));
    model.remove_from_layers("ffn_norm.weight");
    model.add_to_layers("attn_sinks.weight", {heads});
    model.set("attention.sliding_window", std::int64_t{5});
    EXPECT_EQ("5050", windows_of(model));
    EXPECT_EQ(4, count_nodes(graph_of(model), "clamped_swiglu"));
}

// ---- Latent attention ----

constexpr std::int64_t rank = 12, rotated = 6, plain = 10, value = 14;

// Two layers with keys and values through attn_kv_b.
TinyModel latent_model() {
    TinyModel model("deepseek2", 2);
    model.set("attention.head_count_kv", heads);
    model.set("attention.kv_lora_rank", rank);
    model.set("attention.key_length", plain + rotated);
    model.set("attention.value_length", value);
    model.set("rope.dimension_count", rotated);
    for (const char* const part : {"attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight"}) model.remove_from_layers(part);
    model.add_to_layers("attn_q.weight", {heads * (plain + rotated), dim});
    model.add_to_layers("attn_kv_a_mqa.weight", {rank + rotated, dim});
    model.add_to_layers("attn_kv_a_norm.weight", {rank});
    model.add_to_layers("attn_kv_b.weight", {heads * (plain + value), rank});
    model.add_to_layers("attn_output.weight", {dim, heads * value});
    return model;
}

// The same network as newer files hold it: attn_k_b [heads, rank, plain] and attn_v_b [heads, value, rank].
TinyModel absorbed_model() {
    TinyModel model = latent_model();
    model.set("attention.head_count_kv", std::int64_t{1});
    model.set("attention.key_length", rank + rotated);
    model.set("attention.value_length", rank);
    model.set("attention.key_length_mla", plain + rotated);
    model.set("attention.value_length_mla", value);
    for (std::int64_t i = 0; i < model.layers(); ++i) {
        const core::Tensor both = model.at(layer_name(i) + "attn_kv_b.weight");
        const core::Tensor k = formats::make_tensor(formats::get("f32"), {heads, rank, plain}), v = formats::make_tensor(formats::get("f32"), {heads, value, rank});
        for (std::int64_t h = 0; h < heads; ++h) {
            for (std::int64_t j = 0; j < plain; ++j)
                for (std::int64_t c = 0; c < rank; ++c) k.row_f32(h * rank + c)[j] = both.row_f32(h * (plain + value) + j)[c];
            for (std::int64_t j = 0; j < value; ++j) std::copy(both.row_f32(h * (plain + value) + plain + j), both.row_f32(h * (plain + value) + plain + j) + rank, v.row_f32(h * value + j));
        }
        model.put(layer_name(i) + "attn_k_b.weight", k);
        model.put(layer_name(i) + "attn_v_b.weight", v);
    }
    model.remove_from_layers("attn_kv_b.weight");
    return model;
}

TEST(DeepSeek2, AbsorbedAttentionIsExpandedAttention) {
    EXPECT_LT(difference(logits_of(latent_model()), logits_of(absorbed_model())), same);
    const graph::Graph g = graph_of(absorbed_model());
    const graph::Node& attention = g.node(g.find("blk.0.attention"));
    EXPECT_EQ(1, attention.attributes.integer("kv_heads"));
    EXPECT_EQ(rank + rotated, g.node(attention.inputs[1]).type.shape.width()) << "what the cache keeps of a token";
}

TEST(DeepSeek2, QueriesThroughANarrowVector) {
    TinyModel model = latent_model();
    model.set("attention.q_lora_rank", std::int64_t{20});
    model.remove_from_layers("attn_q.weight");
    model.add_to_layers("attn_q_a.weight", {20, dim});
    model.add_to_layers("attn_q_a_norm.weight", {20});
    model.add_to_layers("attn_q_b.weight", {heads * (plain + rotated), 20});
    EXPECT_EQ("", error_of(model));
    EXPECT_GT(difference(logits_of(latent_model()), logits_of(model)), 0.01);
}

TEST(DeepSeek2, YarnScalesScoresInsteadOfTheTurnedPart) {
    TinyModel model = latent_model();
    model.metadata().set_text("deepseek2.rope.scaling.type", "yarn");
    model.set("rope.scaling.factor", 40.0);
    model.set("rope.scaling.original_context_length", std::int64_t{16});
    model.set("rope.scaling.yarn_log_multiplier", 0.0707);
    const graph::Graph g = graph_of(model);
    const double magnitude = 1 + 0.0707 * std::log(40.0);
    EXPECT_NEAR(magnitude * magnitude / std::sqrt(16.0), g.node(g.find("blk.0.attention")).attributes.real("scale"), 1e-9);
    EXPECT_NEAR(1.0, g.node(g.find("blk.0.rope_q")).attributes.real("attention_factor") * (1 + 0.1 * std::log(40.0)), 1e-9);
    EXPECT_EQ(plain, g.node(g.find("blk.0.rope_q")).attributes.integer("begin"));
}

}  // namespace
}  // namespace tailor::models
