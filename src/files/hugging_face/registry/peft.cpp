// Reading and writing PEFT's folders by the rules of the base model's architecture; see peft.h.
#include "files/hugging_face/peft.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/error.h"
#include "core/mapped_file.h"
#include "core/new_folder.h"
#include "files/hugging_face/registry.h"
#include "files/quoted.h"
#include "files/safetensors/layout.h"
#include "formats/registry.h"

namespace tailor::files::hugging_face {

using core::ErrorKind;
using core::fail;
using core::Json;

namespace {

constexpr std::string_view prefix = "base_model.model.", a_suffix = ".lora_A.weight", b_suffix = ".lora_B.weight", weight_suffix = ".weight";

std::string without(const std::string& text, std::string_view suffix) { return text.substr(0, text.size() - suffix.size()); }

/// Where the rows of B stand on the other side. Conv1D's transposition is undone by PEFT itself (fan_in_fan_out).
bool moves_rows(const Step& step) { return step.apply && step.name != "transposed"; }
bool is_row_step(const Step& step) {
    constexpr std::string_view others[] = {"plus_one", "negative_exponential", "without_middle", "reshaped"};
    return std::find(std::begin(others), std::end(others), step.name) == std::end(others);
}

core::Tensor rows_of(const core::Tensor& tensor, std::int64_t first, std::int64_t rows) {
    core::Tensor part = tensor;
    part.shape[0] = rows;
    part.data = tensor.row(first);
    return part;
}

core::Tensor in_f32(const core::Tensor& tensor) { return converted(tensor, formats::get("f32")); }

core::Tensor scaled(const core::Tensor& tensor, double factor) {
    const core::Tensor result = formats::make_tensor(formats::get("f32"), tensor.shape), from = in_f32(tensor);
    for (std::int64_t i = 0; i < tensor.shape.elements(); ++i) result.row_f32(0)[i] = static_cast<float>(static_cast<double>(from.row_f32(0)[i]) * factor);
    return result;
}

/// What of adapter_config.json says how strong an adapter is.
class Config {
  public:
    explicit Config(const std::string& path) : path_(path), json_(Json::parse(core::read_text_file(path), path)) {
        if (text("peft_type") != "LORA") fail(ErrorKind::unsupported, "{}: peft_type is {}; LORA alone is read", path, quoted(text("peft_type")));
        for (const char* const key : {"use_dora", "lora_bias", "use_qalora"})
            if (const Json* const found = json_.find(key); found && found->text(-1) == "true")
                fail(ErrorKind::unsupported, "{}: {} is set, which changes the network otherwise than LoRA", path, key);
        if (const std::string bias = text("bias"); !bias.empty() && bias != "none") fail(ErrorKind::unsupported, "{}: bias is {}; only none is read", path, quoted(bias));
        if (const Json* const saved = json_.find("modules_to_save"); saved && !saved->is_null() && saved->is_array() && !saved->items().empty())
            fail(ErrorKind::unsupported, "{}: modules_to_save names whole weights; an adapter with such is not read", path);
    }
    /// alpha of all weights.
    double alpha() const { return json_.at("lora_alpha").number(); }
    /// lora_alpha / r of this module as PEFT has it, given the rank it really has.
    double factor(const std::string& module, std::int64_t rank) const {
        double alpha = this->alpha();
        if (const Json* const patterns = json_.find("alpha_pattern"); patterns && patterns->is_object())
            for (const auto& [name, value] : patterns->members())
                if (module == name || module.ends_with("." + name)) alpha = value.number();
        const Json* const rslora = json_.find("use_rslora");
        return alpha / (rslora && !rslora->is_null() && rslora->boolean() ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank));
    }

  private:
    std::string text(std::string_view key) const {
        const Json* const found = json_.find(key);
        return found && found->is_string() ? found->string() : "";
    }
    std::string path_;
    Json json_;
};

/// The matrices of a module of theirs, as the file has them.
struct Module {
    core::Tensor a, b;
};

}  // namespace

bool looks_like_adapter(const std::string& path) { return core::exists(path + "/adapter_config.json"); }

static std::map<std::string, Module> read_modules(const std::string& path, const core::MappedFile& file) {
    std::map<std::string, Module> modules;
    for (const safetensors::StoredTensor& stored : safetensors::parse_header(file.bytes(), path).tensors) {
        const bool is_a = stored.name.ends_with(a_suffix), is_b = stored.name.ends_with(b_suffix);
        if (!stored.name.starts_with(prefix) || !(is_a || is_b))
            fail(ErrorKind::unsupported, "{}: tensor {} is no part of a LoRA adapter as Tailor knows it", path, quoted(stored.name));
        const std::string name = without(stored.name, is_a ? a_suffix : b_suffix).substr(prefix.size());
        (is_a ? modules[name].a : modules[name].b) = safetensors::read_stored(stored, file.bytes().data() + stored.offset, path);
    }
    for (const auto& [name, module] : modules)
        if (!module.a || !module.b) fail(ErrorKind::format, "{}: {} has only one of its two matrices", path, quoted(name));
    return modules;
}

Adapter read_adapter_folder(const std::string& path, const File& base) {
    const Config config(path + "/adapter_config.json");
    const std::string weights = path + "/adapter_model.safetensors";
    const auto file = std::make_shared<core::MappedFile>(weights);
    std::map<std::string, Module> modules = read_modules(weights, *file);
    Adapter adapter;
    adapter.path = path, adapter.alpha = config.alpha(), adapter.memory = file;
    const Mapping mapping(architecture_of(base), base);
    for (const Rule& rule : mapping.rules()) {
        const auto it = rule.theirs.size() == 1 && rule.theirs[0].ends_with(weight_suffix) ? modules.find(without(rule.theirs[0], weight_suffix)) : modules.end();
        if (it == modules.end()) continue;
        const Module& module = it->second;
        if (!is_row_step(rule.step)) fail(ErrorKind::unsupported, "{}: {} is stored otherwise in GGUF ({}) and cannot have an adapter", path, quoted(it->first), rule.step.name);
        const std::int64_t rank = module.a.shape.rows();
        // Every pair gets the factor alpha / rank; what a module has beyond that goes into its B.
        const double more = config.factor(it->first, rank) / (adapter.alpha / static_cast<double>(rank));
        core::Tensor b = more == 1 ? module.b : scaled(module.b, more);
        if (moves_rows(rule.step)) b = rule.step.apply(b);
        std::int64_t first = 0;
        for (std::size_t part = 0; part < rule.ours.size(); ++part) {
            const std::int64_t rows = rule.ours.size() == 1 ? b.shape[0] : rule.rows[part];
            if (first + rows > b.shape[0]) fail(ErrorKind::format, "{}: lora_B of {} has {} rows, fewer than its weight", path, quoted(it->first), b.shape[0]);
            adapter.pairs.push_back({rule.ours[part], module.a, rows_of(b, first, rows)});
            first += rows;
        }
        modules.erase(it);
    }
    if (!modules.empty()) fail(ErrorKind::unsupported, "{}: it changes {}, which {} does not have; is it of another model?", path, quoted(modules.begin()->first), base.path());
    return adapter;
}

static Json config_of(const Adapter& adapter, const std::set<std::string>& targets, bool transposed) {
    Json config, names = Json(Json::Array{});
    for (const std::string& name : targets) names.add(name);
    config.set("peft_type", "LORA").set("task_type", "CAUSAL_LM").set("base_model_name_or_path", nullptr).set("inference_mode", true);
    config.set("r", adapter.pairs.front().rank()).set("lora_alpha", adapter.alpha).set("lora_dropout", 0.0).set("bias", "none").set("fan_in_fan_out", transposed);
    return config.set("target_modules", names).set("modules_to_save", nullptr).set("init_lora_weights", true);
}

std::uint64_t write_adapter_folder(const std::string& path, const Adapter& adapter, const File& base, const formats::Format& format) {
    const Mapping mapping(architecture_of(base), base);
    safetensors::Contents contents{.metadata = {{"format", "pt"}}, .tensors = {}};
    std::vector<core::Tensor> tensors;
    std::set<std::string> written, targets;
    bool transposed = false;
    for (const Rule& rule : mapping.rules()) {
        const Adapter::Pair* const pair = rule.ours.size() == 1 && rule.theirs.size() == 1 ? adapter.find(rule.ours[0]) : nullptr;
        if (!pair || !rule.theirs[0].ends_with(weight_suffix) || !is_row_step(rule.step)) continue;
        if (pair->rank() != adapter.pairs.front().rank()) fail(ErrorKind::unsupported, "{}: an adapter of several ranks is written to GGUF only", path);
        const std::string module = without(rule.theirs[0], weight_suffix);
        core::Tensor b = in_f32(pair->b);
        if (moves_rows(rule.step)) b = rule.step.undo(b);
        for (const auto& [suffix, tensor] : {std::pair{a_suffix, in_f32(pair->a)}, {b_suffix, b}}) {
            contents.tensors.push_back({std::string(prefix) + module + std::string(suffix), &format, tensor.shape});
            tensors.push_back(converted(tensor, format));
        }
        transposed |= rule.step.name == "transposed";
        written.insert(pair->weight), targets.insert(module.substr(module.rfind('.') + 1));
    }
    for (const Adapter::Pair& pair : adapter.pairs)
        if (!written.contains(pair.weight))
            fail(ErrorKind::unsupported, "{}: {} has no single weight of its own in a folder of {}; write a .gguf file", path, quoted(pair.weight),
                 architecture_of(base).classes[0]);
    core::NewFolder folder(path);
    const std::string config = config_of(adapter, targets, transposed).text() + "\n";
    const std::uint64_t bytes = safetensors::write_contents(folder.temporary() + "/adapter_model.safetensors", contents, [&](std::size_t index) { return tensors[index]; });
    core::write_text_file(folder.temporary() + "/adapter_config.json", config);
    folder.commit();
    return bytes + config.size();
}

}  // namespace tailor::files::hugging_face
