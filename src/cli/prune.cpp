// tailor prune: narrower feed-forward parts and layers without attention, written as a model of their own.
#include <map>

#include "cli/calibration.h"
#include "cli/common.h"
#include "cli/outputs.h"
#include "compress/cut.h"
#include "compress/quantize_file.h"
#include "compress/unit_scores.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "files/registry.h"

namespace tailor::cli::prune_command {

struct Settings {
    std::string model, output;
    Calibration calibration;
    std::string criterion = "activation";
    std::vector<std::string> units;
    std::vector<std::int32_t> attention;
    std::int64_t threads = 0;
};

static void declare(Options& options, Settings& s) {
    options.add("model,-m,--model", s.model, "model file; without one, the small English model built in");
    options.add("-o,--output", s.output, "file to write; its extension says the container (.gguf)");
    options.add("--ffn", s.units, "'layer=units' for the units that its feed-forward part keeps, 'all=units' for every layer; may be given again");
    options.add("--drop-attention", s.attention, "layers that lose their attention: 3,5");
    declare(options, s.calibration, "text to measure which units are active; without it they are judged by their weights");
    options.add("--criterion", s.criterion, "how units are judged on that text: 'activation', by their size, or 'fisher', by what the loss feels (unquantized models; takes gradients)");
    options.add("-t,--threads", s.threads, "threads; 0: one per core");
}

static std::int64_t layers_of(const files::File& file) {
    return file.metadata().integer(std::string(file.metadata().text("general.architecture")) + ".block_count");
}

/// Units that each layer keeps, by the rules in their order; later ones win.
static std::map<std::int64_t, std::int64_t> units_by_layer(const files::File& file, const std::vector<std::string>& rules) {
    std::map<std::int64_t, std::int64_t> units;
    for (const std::string& rule : rules) {
        const std::size_t equals = rule.find('=');
        const auto number = [&](const std::string& text) {
            if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string::npos)
                core::fail(core::ErrorKind::usage, "--ffn '{}': write layer=units, such as 3=512, or all=512", rule);
            return static_cast<std::int64_t>(std::stol(text));
        };
        const std::string layer = rule.substr(0, equals);
        const std::int64_t count = number(equals == std::string::npos ? "" : rule.substr(equals + 1));
        if (layer != "all") units[number(layer)] = count;
        else for (std::int64_t i = 0; i < layers_of(file); ++i) units[i] = count;
    }
    return units;
}

/// Scores by layer, and how large activations are: whichever the settings ask for.
struct Judgement {
    compress::Importance importance;
    std::map<std::int64_t, std::vector<double>> fisher;
};

static Judgement judge(const std::shared_ptr<run::LanguageModel>& model, const Settings& s, core::Pool& pool) {
    if (s.criterion == "activation") return {measure_importance(model, s.calibration, pool), {}};
    const std::int64_t window = window_length(*model, s.calibration.window);
    ProgressLine line("calibration windows");
    return {{}, compress::fisher_of_units(model->file(), pool, text_windows(*model, core::read_text_file(s.calibration.text), s.calibration.text, window, s.calibration.windows), line.callback())};
}

static std::vector<std::int64_t> units_of(const files::File& file, std::int64_t layer, std::int64_t count, const Settings& s, const Judgement& judgement) {
    if (s.criterion == "activation") return compress::strongest_units(file, layer, count, s.calibration.text.empty() ? nullptr : &judgement.importance);
    if (const auto found = judgement.fisher.find(layer); found != judgement.fisher.end()) return compress::highest_units(found->second, count);
    core::fail(core::ErrorKind::unsupported, "{}: layer {} has no ffn_down.weight with a gradient; judge it by --criterion activation", file.path(), layer);
}

static std::vector<compress::LayerCut> cuts_of(const files::File& file, const Settings& s, const Judgement& judgement) {
    std::map<std::int64_t, compress::LayerCut> cuts;
    for (const auto& [layer, count] : units_by_layer(file, s.units)) {
        cuts[layer].layer = layer;
        cuts[layer].kept_units = units_of(file, layer, count, s, judgement);
    }
    for (const std::int32_t layer : s.attention) cuts[layer].layer = layer, cuts[layer].keeps_attention = false;
    std::vector<compress::LayerCut> list;
    for (const auto& [layer, cut] : cuts) list.push_back(cut);
    return list;
}

static std::int64_t parameters_of(const files::File& file) {
    std::int64_t total = 0;
    for (const files::TensorInfo& tensor : file.tensors()) total += tensor.shape.elements();
    return total;
}

static void run(Options& options) {
    Settings s;
    declare(options, s);
    options.parse();
    if (s.output.empty()) core::fail(core::ErrorKind::usage, "say where to write the pruned model: -o FILE.gguf");
    if (s.units.empty() && s.attention.empty()) core::fail(core::ErrorKind::usage, "say what to cut: --ffn LAYER=UNITS or --drop-attention LAYER");
    check(s.calibration);
    if (s.criterion != "activation" && s.criterion != "fisher") core::fail(core::ErrorKind::usage, "--criterion {}: there are activation and fisher", s.criterion);
    if (s.criterion == "fisher" && s.calibration.text.empty()) core::fail(core::ErrorKind::usage, "--criterion fisher needs a text: --calibration FILE");
    files::kind_for(s.output);
    check_outputs({{"-o", s.output}}, {{"the model", s.model}, {"the text", s.calibration.text}});
    core::Pool pool(checked_threads(s.threads));
    const std::shared_ptr<run::LanguageModel> model = open_model(s.model);
    for (const auto& [layer, count] : units_by_layer(model->file(), s.units)) compress::require_units(model->file(), layer, count);
    const std::unique_ptr<files::File> pruned = compress::cut(model->file(), cuts_of(model->file(), s, judge(model, s, pool)));
    ProgressLine line("values written");
    const std::uint64_t bytes = compress::write_quantized(
        *pruned, [](const files::TensorInfo& t) -> const formats::Format& { return *t.format; }, nullptr, s.output, pool, line.callback());
    const std::int64_t before = parameters_of(model->file()), after = parameters_of(*pruned);
    if (options.json())
        return print_json(core::Json().set("output", s.output).set("architecture", pruned->metadata().text("general.architecture")).set("bytes", bytes)
                              .set("parameters", after).set("parameters_before", before));
    print(core::format("{}: {} of {} parameters, {} ({} bytes)\n", s.output, human_count(static_cast<double>(after)), human_count(static_cast<double>(before)),
                       core::human_bytes(static_cast<double>(bytes)), bytes));
}

}  // namespace tailor::cli::prune_command

namespace tailor::cli::entries {
extern const Command prune = {
    .name = "prune",
    .doc = "narrow feed-forward parts and remove attention, layer by layer",
    .examples = "tailor prune model.gguf --ffn 3=512 -o narrow.gguf\n"
                "tailor prune model.gguf --ffn all=4096 --ffn 0=8192 --calibration text.txt -o narrow.gguf\n"
                "tailor prune model.gguf --drop-attention 5,6 -o pruned.gguf\n"
                "tailor prune --ffn 3=512 --drop-attention 5 -o built-in-pruned.gguf",
    .run = &prune_command::run,
    .place = 53,
};
}  // namespace tailor::cli::entries
