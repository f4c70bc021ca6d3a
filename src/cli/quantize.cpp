// tailor quantize: a copy of a model in other number formats, tensor by tensor.
#include <chrono>
#include <cmath>
#include <map>

#include "cli/calibration.h"
#include "cli/common.h"
#include "cli/fallbacks.h"
#include "cli/outputs.h"
#include "cli/rules.h"
#include "compress/quantize_file.h"
#include "core/error.h"
#include "files/registry.h"
#include "formats/registry.h"

namespace tailor::cli::quantize_command {

struct Settings {
    std::string model, output, format;
    Calibration calibration;
    std::vector<std::string> rules;
    std::int64_t threads = 0;
};

static void declare(Options& options, Settings& s) {
    options.add("model,-m,--model", s.model, "model file; without one, the small English model built in");
    options.add("format,--format", s.format, "number format of weight matrices: q4_k, q8_0, f16 ...");
    options.add("-o,--output", s.output, "file to write; its extension says the container (.gguf)");
    options.add("-r,--rule", s.rules, "'expression=format' for matrices whose name matches; may be given again, the first match wins");
    declare(options, s.calibration, "text to measure how much each input of each matrix matters");
    options.add("-t,--threads", s.threads, "threads; 0: one per core");
}

/// Which format each tensor gets, decided once.
struct Choices {
    std::map<std::string, const formats::Format*, std::less<>> formats;
    std::vector<Fallback> fallbacks;
};

static Choices decide(const files::File& file, const Settings& s) {
    const formats::Format* const everywhere = s.format.empty() ? nullptr : &formats::get(s.format);
    FormatRules rules(s.rules);
    Choices choices;
    for (const files::TensorInfo& tensor : file.tensors()) {
        const formats::Format* format = tensor.format;
        if (compress::is_weight_matrix(tensor)) {
            const formats::Format* const ruled = rules.find(tensor.name);
            if (const formats::Format* const wanted = ruled ? ruled : everywhere) {
                format = &compress::fitting_format(*wanted, tensor.shape.width());
                if (format != wanted) choices.fallbacks.push_back({tensor.name, wanted, format});
            }
        }
        choices.formats[tensor.name] = format;
    }
    rules.require_all_used();
    return choices;
}

/// What became of all tensors that got one format.
struct Row {
    std::int64_t tensors = 0, parameters = 0;
    std::uint64_t bytes_before = 0, bytes_after = 0;
    compress::WeightedError error;

    void operator+=(const Row& other) {
        tensors += other.tensors, parameters += other.parameters;
        bytes_before += other.bytes_before, bytes_after += other.bytes_after;
        error.error += other.error.error, error.energy += other.error.energy;
    }
    /// Root of the weighted squared error over the weighted sum of squares.
    double relative_error() const { return error.energy > 0 ? std::sqrt(error.error / error.energy) : 0; }
    double bits() const { return 8.0 * static_cast<double>(bytes_after) / static_cast<double>(parameters); }
};

using Rows = std::map<std::string, Row>;

static Row row_of(const compress::QuantizedTensor& t) {
    return {1, t.source.shape.elements(), t.source.bytes, static_cast<std::uint64_t>(formats::tensor_bytes(t.format, t.source.shape)), t.error};
}

static void print_report(const Rows& rows, const Row& total) {
    std::vector<std::vector<std::string>> table{{"format", "tensors", "parameters", "before", "after", "bits", "error %"}};
    const auto add = [&](const std::string& name, const Row& row) {
        table.push_back({name, std::to_string(row.tensors), human_count(static_cast<double>(row.parameters)),
                         core::human_bytes(static_cast<double>(row.bytes_before)), core::human_bytes(static_cast<double>(row.bytes_after)),
                         core::format("{:.2f}", row.bits()), row.error.energy > 0 ? core::format("{:.3f}", 100 * row.relative_error()) : ""});
    };
    for (const auto& [name, row] : rows) add(name, row);
    add("all", total);
    print(core::table(table));
}

static core::Json error_json(const Row& row) { return row.error.energy > 0 ? core::Json(row.relative_error()) : core::Json(); }

static core::Json row_json(const Row& row) {
    core::Json j;
    j.set("tensors", row.tensors).set("parameters", row.parameters).set("bytes_before", row.bytes_before).set("bytes_after", row.bytes_after);
    return j.set("bits_per_weight", row.bits()).set("relative_error", error_json(row));
}

static core::Json report_json(const Settings& s, const Rows& rows, const Row& total, const Choices& choices, core::Json tensors, std::uint64_t bytes,
                              double seconds) {
    core::Json formats{core::Json::Object{}}, fallbacks{core::Json::Array{}};
    for (const auto& [name, row] : rows) formats.set(name, row_json(row));
    for (const Fallback& f : choices.fallbacks)
        fallbacks.add(core::Json().set("tensor", f.tensor).set("wanted", f.wanted->name).set("used", f.used->name));
    core::Json j;
    j.set("output", s.output).set("bytes", bytes).set("seconds", seconds).set("total", row_json(total)).set("formats", std::move(formats));
    return j.set("fallbacks", std::move(fallbacks)).set("tensors", std::move(tensors));
}

static void check(Settings& s) {
    // "tailor quantize q4_k -o x.gguf" converts the built-in model.
    if (s.format.empty() && formats::find(core::lower(s.model))) std::swap(s.format, s.model);
    if (s.output.empty()) core::fail(core::ErrorKind::usage, "say where to write the copy: -o FILE.gguf");
    if (s.format.empty() && s.rules.empty()) core::fail(core::ErrorKind::usage, "say the number format, such as q4_k, or a --rule");
    check(s.calibration);
    if (!s.format.empty()) formats::get(s.format);
    files::kind_for(s.output);
    check_outputs({{"-o", s.output}}, {{"the model", s.model}, {"the text", s.calibration.text}});
}

static void run(Options& options) {
    Settings s;
    declare(options, s);
    options.parse();
    check(s);
    const auto start = std::chrono::steady_clock::now();
    core::Pool pool(checked_threads(s.threads));
    // Calibration needs a model that runs; conversion alone only a file.
    std::shared_ptr<run::LanguageModel> model = s.calibration.text.empty() ? nullptr : open_model(s.model);
    const std::unique_ptr<files::File> opened = model ? nullptr : open_file(s.model);
    const files::File& file = model ? model->file() : *opened;
    const Choices choices = decide(file, s);
    note_fallbacks(choices.fallbacks);
    compress::Importance importance;
    if (model) importance = measure_importance(model, s.calibration, pool);
    Rows rows;
    Row total;
    core::Json tensors{core::Json::Array{}};
    ProgressLine line("values converted");
    const std::uint64_t bytes = compress::write_quantized(
        file, [&](const files::TensorInfo& t) -> const formats::Format& { return *choices.formats.find(t.name)->second; }, model ? &importance : nullptr,
        s.output, pool, line.callback(), [&](const compress::QuantizedTensor& t) {
            const Row row = row_of(t);
            rows[std::string(t.format.name)] += row;
            total += row;
            tensors.add(core::Json().set("name", t.source.name).set("format", t.format.name)
                            .set("bytes", row.bytes_after).set("relative_error", error_json(row)));
        });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (options.json()) return print_json(report_json(s, rows, total, choices, std::move(tensors), bytes, seconds));
    print_report(rows, total);
    print(core::format("{}: {} ({} bytes), from {} bytes; {:.1f} s\n", s.output, core::human_bytes(static_cast<double>(bytes)), bytes, file.bytes(), seconds));
}

}  // namespace tailor::cli::quantize_command

namespace tailor::cli::entries {
extern const Command quantize = {
    .name = "quantize",
    .doc = "write a model in another number format",
    .examples = "tailor quantize model.gguf q4_k -o model-q4_k.gguf\n"
                "tailor quantize model.gguf q4_k -o small.gguf --calibration text.txt\n"
                "tailor quantize model.gguf q4_k -o mixed.gguf --rule 'output|ffn_down=q6_k' --rule 'attn_v=q5_k'\n"
                "tailor quantize model.gguf --rule 'ffn_up=q3_k' -o one-part.gguf --json\n"
                "tailor quantize q8_0 -o built-in-q8_0.gguf",
    .run = &quantize_command::run,
    .place = 50,
};
}  // namespace tailor::cli::entries
