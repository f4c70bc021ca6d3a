// Folders as a whole: written from a model file and read again, cut into shards, packed, damaged; and against the reference
// models, whose safetensors and GGUF forms were made independently.
#include <gtest/gtest.h>

#include <set>

#include "files/hugging_face/registry.h"
#include "files/hugging_face/test_folder.h"
#include "files/synthetic.h"
#include "formats/half.h"

namespace tailor::files::hugging_face {
namespace {

namespace fs = std::filesystem;
const fs::path golden = fs::path(TAILOR_SOURCE_DIR) / ".." / "shared" / "golden" / "models";

TEST(HuggingFace, ArchitecturesAreComplete) {
    std::set<std::string_view> classes, names;
    for (const Architecture* architecture : all()) {
        EXPECT_FALSE(architecture->gguf.empty() || architecture->doc.empty() || architecture->model_type.empty());
        EXPECT_TRUE(architecture->map);
        for (const std::string_view name : architecture->classes) EXPECT_TRUE(classes.insert(name).second) << name;
        EXPECT_TRUE(architecture->describes || names.insert(architecture->gguf).second) << architecture->gguf << " has two usual architectures";
    }
}

TEST(HuggingFace, AModelGoesToAFolderAndBack) {
    const TestFolder folder("round");
    for (const std::string_view format : {"f32", "f16", "bf16"}) {
        const auto model = make_synthetic("llama-tiny", formats::get(format));
        const std::string path = folder / std::string(format);
        std::int64_t last = 0;
        const std::uint64_t bytes = write_folder(*model, path, {}, [&](std::int64_t done, std::int64_t total) {
            EXPECT_TRUE(done > last && done <= total);
            last = done;
        });
        std::uint64_t sizes = 0;
        for (const auto& entry : fs::directory_iterator(path)) sizes += entry.file_size();
        EXPECT_EQ(bytes, sizes);
        const auto back = open(path);
        expect_same_tensors(*model, *back);
        for (const TensorInfo& info : model->tensors()) EXPECT_EQ(back->find(info.name)->format, info.format) << info.name;
        expect_same_metadata(model->metadata(), back->metadata(), [](const std::string& key) { return key != "general.file_type"; });
        // Without the keys that were kept aside, config.json alone says the same of the network.
        fs::remove(path + "/gguf_metadata.json");
        expect_same_metadata(model->metadata(), open(path)->metadata(), [](const std::string& key) { return key.starts_with("llama."); });
        // The file inside stands for the folder.
        expect_same_tensors(*model, *open(path + "/model.safetensors"));
    }
}

TEST(HuggingFace, ConfigSaysWhatTransformersReads) {
    const TestFolder folder("config");
    write_folder(*make_synthetic("llama-tiny", formats::get("bf16")), folder / "m", {});
    const core::Json config = core::Json::parse(core::read_text_file(folder / "m/config.json"));
    EXPECT_EQ(config.at("architectures").items()[0].string(), "LlamaForCausalLM");
    EXPECT_EQ(config.at("model_type").string(), "llama");
    EXPECT_EQ(config.at("hidden_size").integer(), 64);
    EXPECT_EQ(config.at("num_hidden_layers").integer(), 2);
    EXPECT_EQ(config.at("intermediate_size").integer(), 192);
    EXPECT_EQ(config.at("num_attention_heads").integer(), 4);
    EXPECT_EQ(config.at("num_key_value_heads").integer(), 2);
    EXPECT_EQ(config.at("head_dim").integer(), 16);
    EXPECT_EQ(config.at("vocab_size").integer(), 512);
    EXPECT_EQ(config.at("max_position_embeddings").integer(), 256);
    EXPECT_EQ(config.at("rms_norm_eps").text(-1), "1e-05");
    EXPECT_EQ(config.at("rope_theta").number(), 10000);
    EXPECT_TRUE(config.at("rope_scaling").is_null());
    EXPECT_FALSE(config.at("tie_word_embeddings").boolean());
    EXPECT_EQ(config.at("torch_dtype").string(), "bfloat16");
}

TEST(HuggingFace, BlocksBecomeNumbersThatSafetensorsHolds) {
    const TestFolder folder("blocks");
    const auto model = make_synthetic("llama-tiny", formats::get("q8_0"));
    write_folder(*model, folder / "half", {});
    write_folder(*model, folder / "full", {.matrices = &formats::get("f32")});
    EXPECT_EQ(open(folder / "half")->find("blk.0.attn_q.weight")->format, &formats::get("f16"));
    EXPECT_EQ(open(folder / "full")->find("blk.0.attn_q.weight")->format, &formats::get("f32"));
    expect_same_tensors(*model, *open(folder / "full"));
    expect_same_tensors(*model, *open(folder / "half"), 0x1p-11);
}

TEST(HuggingFace, AnExistingFolderIsNotOverwritten) {
    const TestFolder folder("existing");
    folder.write("precious", "x");
    const auto model = make_synthetic("llama-tiny", formats::get("f16"));
    EXPECT_NE(error_of([&] { write_folder(*model, folder.path(), {}); }).find("exists already"), std::string::npos);
    EXPECT_NE(error_of([&] { write_folder(*model, folder / "no/such", {}); }).find("cannot write"), std::string::npos);
    fs::create_directory(folder / "empty");
    write_folder(*model, folder / "empty", {});
    EXPECT_TRUE(fs::exists(folder / "empty/config.json"));
    EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 2) << "something was left beside";
}

// ---- Folders that were not written here ----

/// Splits the model.safetensors of a folder into two shards with an index.
void cut_into_shards(const TestFolder& folder) {
    const auto whole = safetensors::open(folder / "model.safetensors");
    core::Json map{core::Json::Object{}};
    for (int shard = 0; shard < 2; ++shard) {
        const std::string name = core::format("model-0000{}-of-00002.safetensors", shard + 1);
        WritePlan plan;
        for (std::size_t i = static_cast<std::size_t>(shard); i < whole->tensors().size(); i += 2) {
            const TensorInfo& info = whole->tensors()[i];
            plan.tensors.push_back({info.name, info.format, info.shape});
            map.set(info.name, name);
        }
        safetensors::write(folder / name, plan, [&](std::size_t i) { return whole->read(*whole->find(plan.tensors[i].name)); });
    }
    folder.write("model.safetensors.index.json", core::Json().set("weight_map", std::move(map)).text());
    fs::remove(folder / "model.safetensors");
}

/// A folder with a tiny Llama.
class Tiny {
  public:
    explicit Tiny(const std::string& name, std::string_view format = "f32") : outer(name), model(make_synthetic("llama-tiny", formats::get(format))) {
        fs::remove_all(outer.path());
        write_folder(*model, outer.path(), {});
    }
    TestFolder outer;
    std::unique_ptr<File> model;
};

TEST(HuggingFace, ShardsAreOneModel) {
    const Tiny tiny("shards");
    cut_into_shards(tiny.outer);
    expect_same_tensors(*tiny.model, *open(tiny.outer.path()));
    // One shard alone is a plain file with its own names.
    EXPECT_TRUE(open(tiny.outer / "model-00001-of-00002.safetensors")->find("lm_head.weight") || open(tiny.outer / "model-00002-of-00002.safetensors")->find("lm_head.weight"));

    const std::string index = core::read_text_file(tiny.outer / "model.safetensors.index.json");
    const auto with_index = [&](const std::string& from, const std::string& to) {
        std::string changed = index;
        changed.replace(changed.find(from), from.size(), to);
        tiny.outer.write("model.safetensors.index.json", changed);
        return error_of([&] { open(tiny.outer.path()); });
    };
    EXPECT_NE(with_index("model-00001-of", "../model-00001-of").find("which is no file of this folder"), std::string::npos);
    EXPECT_NE(with_index("\"lm_head.weight\"", "\"other.weight\"").find("tensor 'other.weight' is not in model-0000"), std::string::npos);
    EXPECT_NE(with_index("weight_map", "map").find("there is no object \"weight_map\""), std::string::npos);
    tiny.outer.write("model.safetensors.index.json", index);
    fs::copy_file(tiny.outer / "model-00001-of-00002.safetensors", tiny.outer / "model-00002-of-00002.safetensors", fs::copy_options::overwrite_existing);
    EXPECT_NE(error_of([&] { open(tiny.outer.path()); }).find("is in another file of the folder too"), std::string::npos);
}

TEST(HuggingFace, ErrorsNameWhatIsWrong) {
    const Tiny tiny("errors");
    const core::Json config = tiny.outer.json("config.json");
    fs::remove(tiny.outer / "gguf_metadata.json");
    const auto with = [&](std::string_view key, core::Json value) {
        core::Json changed = config;
        tiny.outer.write("config.json", changed.set(key, std::move(value)).text());
        const std::string message = error_of([&] { open(tiny.outer.path()); });
        EXPECT_NE(message.find(tiny.outer.path()), std::string::npos) << "the folder is not named: " << message;
        return message;
    };
    EXPECT_NE(with("architectures", core::Json::Array{core::Json("OtherForCausalLM")}).find("unknown architecture 'OtherForCausalLM'; this build knows"), std::string::npos);
    EXPECT_NE(with("architectures", core::Json()).find("must name the class of the model"), std::string::npos);
    EXPECT_NE(with("hidden_size", core::Json()).find("config.json has no 'hidden_size'"), std::string::npos);
    EXPECT_NE(with("hidden_size", "wide").find("'hidden_size' must be a whole number"), std::string::npos);
    EXPECT_NE(with("num_hidden_layers", 1).find("tensor 'model.layers.1.input_layernorm.weight' is not a part of LlamaForCausalLM"), std::string::npos);
    EXPECT_NE(with("num_hidden_layers", std::int64_t{1} << 40).find("between 0 and 2^32 - 1"), std::string::npos);
    EXPECT_NE(with("num_hidden_layers", 1 << 20).find("num_hidden_layers is 1048576; it must lie between 1 and 10000"), std::string::npos);
    EXPECT_NE(with("rope_scaling", core::Json().set("type", "magic")).find("rope scaling of type 'magic'"), std::string::npos);
    EXPECT_NE(with("num_attention_heads", 48).find("tensor 'model.layers.0.self_attn.q_proj.weight': a tensor of shape [64, 64] has no rows for 96 equal parts"), std::string::npos);
    EXPECT_NE(with("quantization_config", core::Json().set("quant_method", "bitsandbytes")).find("quant_method 'bitsandbytes'"), std::string::npos);
    tiny.outer.write("config.json", "[]");
    EXPECT_NE(error_of([&] { open(tiny.outer.path()); }).find("config.json: must be a JSON object"), std::string::npos);
    fs::remove(tiny.outer / "model.safetensors");
    tiny.outer.write("config.json", config.text());
    EXPECT_NE(error_of([&] { open(tiny.outer.path()); }).find("neither model.safetensors nor"), std::string::npos);
}

TEST(HuggingFace, PackedWeightsAreMatricesOfTheModel) {
    const Tiny tiny("packed", "f16");
    // Wq of layer 0 as GPTQ codes in one group: word (i / 8) of column j holds code (i + j) mod 16 at 4 (i mod 8).
    constexpr std::int64_t n = 64, k = 64;
    const std::string wanted = "model.layers.0.self_attn.q_proj.";
    core::Tensor codes = formats::make_tensor(*formats::find("i32"), {k / 8, n}), zeros = formats::make_tensor(*formats::find("i32"), {1, n / 8});
    core::Tensor scales = formats::make_tensor(formats::get("f16"), {1, n}), expected = formats::make_tensor(formats::get("f32"), {n, k});
    for (std::int64_t j = 0; j < n; ++j) {
        const float scale = 0.25f + static_cast<float>(j) / 256;
        const std::uint16_t half = formats::f32_to_f16(scale);
        std::memcpy(scales.data + 2 * j, &half, 2);
        for (std::int64_t i = 0; i < k; ++i) {
            const std::int64_t code = (i + j) % 16;
            codes.row_i32(i / 8)[j] = static_cast<std::int32_t>(static_cast<std::uint32_t>(codes.row_i32(i / 8)[j]) | static_cast<std::uint32_t>(code) << (4 * (i % 8)));
            expected.row_f32(j)[i] = scale * static_cast<float>(code - 8);
        }
    }
    std::memset(zeros.data, 0x77, static_cast<std::size_t>(n / 2));
    const auto whole = safetensors::open(tiny.outer / "model.safetensors");
    WritePlan plan;
    std::vector<core::Tensor> tensors;
    for (const TensorInfo& info : whole->tensors())
        if (info.name != wanted + "weight") plan.tensors.push_back({info.name, info.format, info.shape}), tensors.push_back(whole->read(info));
    for (const auto& [part, tensor] : {std::pair("qweight", codes), std::pair("qzeros", zeros), std::pair("scales", scales)})
        plan.tensors.push_back({wanted + part, tensor.format, tensor.shape}), tensors.push_back(tensor);
    safetensors::write(tiny.outer / "model.safetensors", plan, [&](std::size_t i) { return tensors[i]; });
    core::Json config = tiny.outer.json("config.json");
    const core::Json settings = core::Json().set("bits", 4).set("group_size", -1).set("quant_method", "gptq");
    tiny.outer.write("config.json", config.set("quantization_config", settings).text());
    const std::vector<float> turned = values_of(neighbour_pairs(4).apply(expected));
    const auto check = [&] {
        const auto file = open(tiny.outer.path());
        const TensorInfo& info = *file->find("blk.0.attn_q.weight");
        EXPECT_EQ(info.format, &formats::get("f16"));
        EXPECT_EQ(values_of(file->read(info)), turned);
        file->release(info);
        EXPECT_EQ(file->tensors().size(), tiny.model->tensors().size());
    };
    check();
    // The settings in a file of their own, as before.
    tiny.outer.write("config.json", config.set("quantization_config", core::Json()).text());
    core::Json bare{core::Json::Object{}};
    for (const auto& [key, value] : config.members())
        if (key != "quantization_config") bare.set(key, value);
    tiny.outer.write("config.json", bare.text());
    tiny.outer.write("quantize_config.json", core::Json().set("bits", 4).set("group_size", -1).text());
    check();
}

TEST(HuggingFace, TheLanguagePartOfALargerModel) {
    const Tiny tiny("text_part");
    const auto whole = safetensors::open(tiny.outer / "model.safetensors");
    WritePlan plan;
    std::vector<core::Tensor> tensors;
    for (const TensorInfo& info : whole->tensors()) plan.tensors.push_back({"language_model." + info.name, info.format, info.shape}), tensors.push_back(whole->read(info));
    plan.tensors.push_back({"vision_tower.patch.weight", tensors[0].format, tensors[0].shape});
    tensors.push_back(tensors[0]);
    safetensors::write(tiny.outer / "model.safetensors", plan, [&](std::size_t i) { return tensors[i]; });
    const core::Json inner = tiny.outer.json("config.json");
    tiny.outer.write("config.json", core::Json().set("architectures", inner.at("architectures")).set("text_config", inner).set("hidden_size", 3).text());
    expect_same_tensors(*tiny.model, *open(tiny.outer.path()));
}

TEST(HuggingFace, TokenizerFilesBecomeMetadataAndBack) {
    const Tiny tiny("tokenizer");
    fs::remove(tiny.outer / "gguf_metadata.json");
    const std::string text = "{\"version\": \"1.0\", \"model\": {}}\n";
    tiny.outer.write("tokenizer.json", text);
    tiny.outer.write("tokenizer_config.json", R"({"add_bos_token": true, "add_eos_token": null, "chat_template": [{"name": "tools", "template": "x"}, {"name": "default", "template": "{{ y }}"}]})");
    tiny.outer.write("generation_config.json", R"({"bos_token_id": 1, "eos_token_id": [2, 5, 7, 9]})");
    const auto file = open(tiny.outer.path());
    const Metadata& m = file->metadata();
    EXPECT_EQ(m.text(tokenizer_key), text);
    EXPECT_EQ(m.text("tokenizer.chat_template"), "{{ y }}");
    EXPECT_EQ(m.integer("tokenizer.ggml.bos_token_id"), 1);
    EXPECT_EQ(m.integer("tokenizer.ggml.eos_token_id"), 2);
    EXPECT_EQ(m.integer("tokenizer.ggml.eot_token_id"), 5);
    EXPECT_EQ(m.integer("tokenizer.ggml.eom_token_id"), 7);
    EXPECT_TRUE(m.boolean("tokenizer.ggml.add_bos_token", false));
    EXPECT_FALSE(m.find("tokenizer.ggml.add_eos_token"));
    const TestFolder again("tokenizer_again");
    write_folder(*file, again / "m", {});
    EXPECT_EQ(core::read_text_file(again / "m/tokenizer.json"), text);
    fs::remove(again / "m/gguf_metadata.json");
    expect_same_metadata(m, open(again / "m")->metadata(), [](const std::string& key) { return key.starts_with("tokenizer."); });
    tiny.outer.write("chat_template.jinja", "{{ z }}");
    EXPECT_EQ(open(tiny.outer.path())->metadata().text("tokenizer.chat_template"), "{{ z }}");
}

// ---- Against the reference models ----

TEST(HuggingFace, TwinsOfReferenceModels) {
    int checked = 0;
    for (const std::string name : {"llama", "qwen2"}) {
        const fs::path twin = golden / (name + "-safetensors");
        if (!fs::exists(twin)) continue;
        SCOPED_TRACE(name);
        const auto file = open((golden / name / "model.gguf").string()), folder = open(twin.string());
        expect_same_tensors(*file, *folder);
        expect_same_metadata(file->metadata(), folder->metadata(), [&](const std::string& key) { return key.starts_with(name) || key.ends_with("os_token_id") || key.ends_with("_bos_token"); });
        ++checked;
    }
    if (checked == 0) GTEST_SKIP() << "no reference models at " << golden;
}

TEST(HuggingFace, EveryReferenceModelGoesToAFolderAndBack) {
    if (!fs::exists(golden)) GTEST_SKIP() << "no reference models at " << golden;
    std::vector<std::string> checked;
    for (const auto& entry : fs::directory_iterator(golden)) {
        const fs::path path = entry.path() / "model.gguf";
        if (!fs::exists(path)) continue;
        const auto file = open(path.string());
        const std::string architecture(file->metadata().text("general.architecture")), name = entry.path().filename().string();
        SCOPED_TRACE(name);
        bool known = false, readable = true;
        for (const Architecture* a : all()) known |= a->gguf == architecture;
        for (const TensorInfo& info : file->tensors()) readable &= info.format != nullptr;
        if (!known || !readable) continue;
        const TestFolder folder("golden");
        write_folder(*file, folder / name, {.instead_of_blocks = &formats::get("f32")});
        const auto back = open(folder / name);
        // Gemma's norms go through x - 1 and Mamba's A through a logarithm, each rounded once.
        const bool rounded = architecture.starts_with("gemma") || architecture == "mamba";
        expect_same_tensors(*file, *back, rounded ? 3e-7 : 0);
        expect_same_metadata(file->metadata(), back->metadata(), [](const std::string& key) { return !key.starts_with("general.") || key == "general.architecture"; });
        fs::remove(fs::path(folder / name) / "gguf_metadata.json");
        expect_same_metadata(file->metadata(), open(folder / name)->metadata(),
                             [&](const std::string& key) { return key.starts_with(architecture + ".") && !key.ends_with("rope.scaling.finetuned"); });
        checked.push_back(name);
    }
    EXPECT_GE(checked.size(), 20u);
    std::printf("checked %zu models: %s\n", checked.size(), core::join(checked, " ").c_str());
}

}  // namespace
}  // namespace tailor::files::hugging_face
