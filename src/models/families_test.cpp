// Dense families on hand-made models: where two families are the same but for one thing, they must agree without it and
// differ with it. What each family computes is held to independent logits by run/golden_test.cpp.
#include <gtest/gtest.h>

#include "core/error.h"
#include "models/tiny_model.h"

namespace tailor::models {
namespace {

using namespace testing;

// Rounding of sums in another order.
constexpr double same = 1e-6;

std::string error_of(const TinyModel& model) {
    try {
        graph_of(model);
        return "";
    } catch (const core::Error& error) {
        return error.what();
    }
}

// A model whose scores and widths are Llama's and whose norms are LayerNorms, as some families have.
TinyModel without_gates(const std::string& architecture) {
    TinyModel model(architecture);
    model.remove_from_layers("ffn_gate.weight");
    return model;
}

TEST(Families, LlamaShapedOnesAgree) {
    const std::vector<float> expected = logits_of(TinyModel("llama"));
    EXPECT_EQ(expected, logits_of(TinyModel("internlm2")));
    EXPECT_EQ(expected, logits_of(TinyModel("deci")));
    EXPECT_EQ(expected, logits_of(TinyModel("granite")));
    EXPECT_EQ(logits_of(TinyModel("qwen2")), logits_of(TinyModel("qwen2vl")));
    EXPECT_GT(difference(expected, logits_of(TinyModel("qwen2"))), 0.01) << "rotary pairs of another layout";
}

// Turning halves is turning neighbours after the rows of each head of Wq and Wk are reordered.
TEST(Families, HalvesAreNeighboursReordered) {
    TinyModel model("qwen2");
    for (std::int64_t i = 0; i < model.layers(); ++i)
        for (const char* const part : {"attn_q", "attn_k"}) {
            const std::string name = "blk." + std::to_string(i) + "." + part + ".weight";
            const core::Tensor from = model.at(name), to = formats::make_tensor(formats::get("f32"), from.shape);
            for (std::int64_t r = 0; r < from.shape[0]; ++r) {
                const std::int64_t head = r / head_dim * head_dim, j = r % head_dim;
                std::copy(from.row_f32(r), from.row_f32(r) + dim, to.row_f32(head + (j % 2) * head_dim / 2 + j / 2));
            }
            model.put(name, to);
        }
    EXPECT_LT(difference(logits_of(TinyModel("llama")), logits_of(model)), same);
}

TEST(Families, FusedMatricesAreTheirParts) {
    TinyModel fused("phi3");
    for (std::int64_t i = 0; i < fused.layers(); ++i) {
        const std::string layer = "blk." + std::to_string(i) + ".";
        fused.put(layer + "attn_qkv.weight", stacked({fused.at(layer + "attn_q.weight"), fused.at(layer + "attn_k.weight"), fused.at(layer + "attn_v.weight")}));
        fused.put(layer + "ffn_up.weight", stacked({fused.at(layer + "ffn_gate.weight"), fused.at(layer + "ffn_up.weight")}));
    }
    for (const char* const part : {"attn_q.weight", "attn_k.weight", "attn_v.weight", "ffn_gate.weight"}) fused.remove_from_layers(part);
    EXPECT_LT(difference(logits_of(TinyModel("qwen2")), logits_of(fused)), same);
}

TEST(Families, LongRotaryFactorsHoldBeyondTheOriginalContext) {
    TinyModel model("phi3");
    model.set("rope.scaling.original_context_length", std::int64_t{16});
    const core::Tensor factors_short = model.add("rope_factors_short.weight", {head_dim / 2});
    const core::Tensor factors_long = formats::make_tensor(formats::get("f32"), {head_dim / 2});
    for (std::int64_t i = 0; i < head_dim / 2; ++i) factors_long.row_f32(0)[i] = 3 + static_cast<float>(i);
    model.put("rope_factors_long.weight", factors_long);
    const std::vector<float> within = logits_of(model, 16), beyond = logits_of(model, 17);
    EXPECT_EQ(beyond, logits_of(model)) << "the context a model was made for, 64, is beyond 16";
    EXPECT_GT(difference(within, beyond), 1e-3);
    model.put("rope_factors_long.weight", factors_short);
    EXPECT_EQ(within, logits_of(model, 17));
}

TEST(Families, ConstantsOfGraniteAndMiniCpm) {
    TinyModel granite("granite"), mini("minicpm"), defaults("minicpm");
    for (TinyModel* const model : {&granite, &mini}) {
        model->set("embedding_scale", 12.0);
        model->set("residual_scale", 1.4 / 2);
        model->set("logit_scale", 32.0 / 256);
    }
    EXPECT_EQ(logits_of(granite), logits_of(mini));
    EXPECT_EQ(logits_of(mini), logits_of(defaults)) << "12, 1.4 / sqrt(4 layers), 32 / 256";
    const std::vector<float> once = logits_of(granite);
    granite.set("logit_scale", 64.0 / 256);
    std::vector<float> half = logits_of(granite);
    for (float& v : half) v *= 2;
    EXPECT_LT(difference(once, half), same);
    granite.metadata().set_boolean("granite.rope.scaling.finetuned", false);
    EXPECT_EQ("----", rotations_of(granite));
}

TEST(Families, WindowsStandOnTheRightLayers) {
    const auto windows = [](const std::string& architecture, std::int64_t layers, const auto& change) {
        TinyModel model(architecture, layers);
        model.set("attention.sliding_window", std::int64_t{5});
        change(model);
        return windows_of(model) + " " + rotations_of(model);
    };
    const auto post_norms = [](TinyModel& m) { m.add_to_layers("post_attention_norm.weight", {dim}), m.add_to_layers("post_ffw_norm.weight", {dim}); };
    const auto head_norms = [](TinyModel& m) { m.add_to_layers("attn_q_norm.weight", {head_dim}), m.add_to_layers("attn_k_norm.weight", {head_dim}); };
    const auto only_post_norms = [&](TinyModel& m) { post_norms(m), m.remove_from_layers("attn_norm.weight"), m.remove_from_layers("ffn_norm.weight"); };
    EXPECT_EQ("50505 rrrrr", windows("gemma2", 5, post_norms));
    EXPECT_EQ("55555055 rrrrrrrr", windows("gemma3", 8, [&](TinyModel& m) { post_norms(m), head_norms(m); }));
    EXPECT_EQ("55505550 rrr-rrr-", windows("cohere2", 8, [](TinyModel& m) { m.remove_from_layers("ffn_norm.weight"); }));
    EXPECT_EQ("55505 rrr-r", windows("exaone4", 5, [&](TinyModel& m) { only_post_norms(m), head_norms(m); }));
    EXPECT_EQ("55505 rrrrr", windows("olmo2", 5, [&](TinyModel& m) {
        only_post_norms(m), m.add_to_layers("attn_q_norm.weight", {heads * head_dim}), m.add_to_layers("attn_k_norm.weight", {kv_heads * head_dim});
    }));
    EXPECT_EQ("555 rrr", windows("phi3", 3, [](TinyModel&) {}));
    EXPECT_EQ("0000 rrr-", windows("smollm3", 4, [](TinyModel&) {}));
    const auto stated = [&](TinyModel& m) { post_norms(m), m.set("attention.sliding_window_pattern", std::vector<std::int64_t>{0, 1, 1, 0}); };
    EXPECT_EQ("0550 rrrr", windows("gemma2", 4, stated)) << "an array in the file decides";
    EXPECT_EQ("5550 rrrr", windows("gemma2", 4, [&](TinyModel& m) { post_norms(m), m.set("attention.sliding_window_pattern", std::int64_t{4}); }));
}

TEST(Families, WindowedLayersTurnWithoutScaling) {
    TinyModel model("gemma3", 6);
    for (const char* const norm : {"post_attention_norm.weight", "post_ffw_norm.weight"}) model.add_to_layers(norm, {dim});
    for (const char* const norm : {"attn_q_norm.weight", "attn_k_norm.weight"}) model.add_to_layers(norm, {head_dim});
    model.set("attention.sliding_window", std::int64_t{5});
    model.set("rope.freq_base", 1e6);
    model.metadata().set_text("gemma3.rope.scaling.type", "linear");
    model.set("rope.scaling.factor", 8.0);
    const graph::Graph g = graph_of(model);
    const ops::Attributes &local = g.node(g.find("blk.0.rope_q")).attributes, &full = g.node(g.find("blk.5.rope_q")).attributes;
    EXPECT_EQ(1e4, local.real("base"));
    EXPECT_EQ(1.0, local.real("factor"));
    EXPECT_EQ(1e6, full.real("base"));
    EXPECT_EQ(8.0, full.real("factor"));
    EXPECT_EQ("linear", full.word("scaling", ""));
}

TEST(Families, SequentialAndParallelParts) {
    TinyModel neox = without_gates("gptneox");
    const std::vector<float> parallel = logits_of(neox);
    neox.metadata().set_boolean("gptneox.use_parallel_residual", false);
    EXPECT_GT(difference(parallel, logits_of(neox)), 0.01);

    TinyModel falcon = without_gates("falcon");
    falcon.remove_from_layers("ffn_norm.weight");
    const std::vector<float> one_norm = logits_of(falcon);
    for (std::int64_t i = 0; i < falcon.layers(); ++i)
        falcon.put("blk." + std::to_string(i) + ".attn_norm_2.weight", falcon.at("blk." + std::to_string(i) + ".attn_norm.weight"));
    EXPECT_EQ(one_norm, logits_of(falcon)) << "a second norm like the first";

    TinyModel stable("stablelm"), command("command-r");
    stable.remove_from_layers("ffn_norm.weight");
    command.remove_from_layers("ffn_norm.weight");
    EXPECT_EQ(4, count_nodes(graph_of(stable), "attention"));
    for (std::int64_t i = 0; i < stable.layers(); ++i)  // one position, so that the layouts of rotary pairs do not matter
        for (const char* const part : {"attn_q", "attn_k"}) {
            const std::string name = "blk." + std::to_string(i) + "." + part + ".weight";
            const core::Tensor zeros = formats::make_tensor(formats::get("f32"), stable.at(name).shape);
            stable.put(name, zeros), command.put(name, zeros);
        }
    EXPECT_EQ(logits_of(stable), logits_of(command));
    command.set("logit_scale", 0.25);
    std::vector<float> scaled_back = logits_of(command);
    for (float& v : scaled_back) v *= 4;
    EXPECT_LT(difference(logits_of(stable), scaled_back), same);
}

TEST(Families, NemotronSquaresWithoutAGate) {
    const graph::Graph g = graph_of(without_gates("nemotron"));
    EXPECT_EQ(4, count_nodes(g, "relu_squared"));
    EXPECT_EQ(0, count_nodes(g, "multiply"));
    EXPECT_EQ(9, count_nodes(g, "layer_norm"));
}

TEST(Families, GemmaScalesEmbeddings) {
    TinyModel gemma("gemma");
    const graph::Graph g = graph_of(gemma);
    const graph::Node& first = g.node(g.node(g.find("blk.0.attn_norm")).inputs[0]);
    EXPECT_EQ("scale", first.op->name);
    EXPECT_NEAR(std::sqrt(32.0), first.attributes.real("factor"), 1e-12);
    EXPECT_EQ(4, count_nodes(g, "gelu"));
}

TEST(Families, BitNetAppliesTheScaleOfAMatrix) {
    TinyModel plain("bitnet"), with_scale("bitnet");
    for (TinyModel* const model : {&plain, &with_scale}) {
        model->add_to_layers("attn_sub_norm.weight", {heads * head_dim});
        model->add_to_layers("ffn_sub_norm.weight", {ffn});
    }
    core::Tensor two = formats::make_tensor(formats::get("f32"), {1}), doubled = formats::make_tensor(formats::get("f32"), {heads * head_dim, dim});
    two.row_f32(0)[0] = 2;
    const core::Tensor q = plain.at("blk.1.attn_q.weight");
    for (std::int64_t i = 0; i < q.shape.elements(); ++i) doubled.row_f32(0)[i] = 2 * q.row_f32(0)[i];
    plain.put("blk.1.attn_q.weight", doubled);
    with_scale.put("blk.1.attn_q.scale", two);
    EXPECT_EQ(logits_of(plain), logits_of(with_scale));
}

TEST(Families, DeciLayersMayLackParts) {
    TinyModel full("deci", 3), pruned("deci", 4);
    pruned.set("attention.head_count", std::vector<std::int64_t>{4, 4, 0, 4});
    pruned.set("attention.head_count_kv", std::vector<std::int64_t>{2, 2, 0, 2});
    pruned.set("feed_forward_length", std::vector<std::int64_t>{48, 48, 0, 48});
    for (const auto& info : std::vector<files::TensorInfo>(pruned.tensors()))
        if (info.name.starts_with("blk.2.")) pruned.remove(info.name);
    for (const auto& info : std::vector<files::TensorInfo>(full.tensors()))
        if (info.name.starts_with("blk.2.")) pruned.put("blk.3." + info.name.substr(6), full.at(info.name));
    EXPECT_EQ(logits_of(full), logits_of(pruned));

    TinyModel linear("deci", 2);
    linear.set("attention.head_count_kv", std::vector<std::int64_t>{2, 0});
    for (const char* const part : {"attn_q", "attn_k", "attn_v"}) linear.remove(std::string("blk.1.") + part + ".weight");
    const graph::Graph g = graph_of(linear);
    EXPECT_EQ(1, count_nodes(g, "attention"));
    EXPECT_EQ("matmul", g.node(g.find("blk.1.attn_output")).op->name);

    TinyModel wrong("llama");
    wrong.set("attention.head_count", std::vector<std::int64_t>{4, 4, 0, 4});
    EXPECT_NE(std::string::npos, error_of(wrong).find("llama.gguf: layer 2 has 0 attention heads")) << error_of(wrong);
    TinyModel length("deci");
    length.set("feed_forward_length", std::vector<std::int64_t>{48, 48});
    EXPECT_NE(std::string::npos, error_of(length).find("deci.gguf: deci.feed_forward_length has 2 integers for 4 layers")) << error_of(length);
}

// Layers 0 and 2 look back over a window; the last two layers have no keys and values.
TinyModel tiny_gemma4() {
    TinyModel model("gemma4");
    for (const char* const norm : {"post_attention_norm.weight", "post_ffw_norm.weight", "post_norm.weight"}) model.add_to_layers(norm, {dim});
    for (const char* const norm : {"attn_q_norm.weight", "attn_k_norm.weight"}) model.add_to_layers(norm, {head_dim});
    model.add_to_layers("inp_gate.weight", {6, dim});
    model.add_to_layers("proj.weight", {dim, 6});
    model.add("per_layer_token_embd.weight", {vocabulary, 24});
    model.add("per_layer_model_proj.weight", {24, dim});
    model.add("per_layer_proj_norm.weight", {6});
    model.set("attention.sliding_window", std::int64_t{5});
    model.set("attention.sliding_window_pattern", std::vector<std::int64_t>{1, 0, 1, 0});
    model.set("attention.shared_kv_layers", std::int64_t{2});
    model.set("embedding_length_per_layer_input", std::int64_t{6});
    for (const char* const layer : {"blk.2.", "blk.3."})
        for (const char* const part : {"attn_k.weight", "attn_v.weight", "attn_k_norm.weight"}) model.remove(std::string(layer) + part);
    return model;
}

TEST(Families, Gemma4SharesKeysWithinAKind) {
    TinyModel model = tiny_gemma4();
    const graph::Graph g = graph_of(model);
    const auto keys_of = [&](const std::string& layer) { return g.node(g.node(g.find(layer + "attention")).inputs[1]).name; };
    EXPECT_EQ("blk.0.rope_k", keys_of("blk.2."));
    EXPECT_EQ("blk.1.rope_k", keys_of("blk.3."));
    EXPECT_EQ("5050", windows_of(model));
    EXPECT_EQ(1.0, g.node(g.find("blk.0.attention")).attributes.real("scale"));
    EXPECT_LT(difference(logits_of(model), logits_of(model)), same);
    model.add("blk.0.layer_output_scale.weight", {1});
    const std::vector<float> with_scale = logits_of(model);
    EXPECT_GT(difference(logits_of(tiny_gemma4()), with_scale), 1e-3);
}

TEST(Families, LearnedPositionsEnd) {
    TinyModel model = without_gates("gpt2");
    model.add("position_embd.weight", {64, dim});
    EXPECT_EQ(1, count_nodes(graph_of(model), "add") % 2) << "one sum of embeddings, two per layer";
    try {
        graph_of(model, 65);
        FAIL() << "a context beyond the table";
    } catch (const core::Error& error) {
        EXPECT_EQ(core::ErrorKind::usage, error.kind());
        EXPECT_NE(std::string::npos, std::string(error.what()).find("longer than the 64 positions")) << error.what();
    }
}

TEST(Families, EveryArchitectureHasOneFamily) {
    std::vector<std::string_view> names;
    for (const Model* const model : all())
        for (const std::string_view name : model->architectures) names.push_back(name);
    std::sort(names.begin(), names.end());
    EXPECT_EQ(names.end(), std::adjacent_find(names.begin(), names.end()));
}

}  // namespace
}  // namespace tailor::models
