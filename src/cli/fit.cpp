// tailor fit: make a model meet a budget, with proof.
#include "search/fit.h"

#include <unistd.h>

#include <memory>

#include "cli/common.h"
#include "cli/outputs.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "search/report.h"

namespace tailor::cli::fit_command {

struct Settings {
    ModelOptions model;
    search::FitOptions fit;
    std::optional<std::string> size, memory;
    std::optional<double> decode_ms, prompt_ms;
    std::string shape, shape_format = "f16", report, plan;
};

static void declare(Options& options, Settings& s) {
    s.model.add(options);
    options.add("--size", s.size, "the file may have this many bytes: 1.5GB, 700MiB");
    options.add("--decode-ms", s.decode_ms, "milliseconds per generated token on this machine");
    options.add("--prompt-ms", s.prompt_ms, "milliseconds for a prompt of --prompt-tokens");
    options.add("--memory", s.memory, "weights + KV cache at the asked context + intermediate values");
    options.add("-o,--output", s.fit.output, "the fitted model");
    options.add("--report", s.report, "one-page report (default: beside the output, .html)");
    options.add("--plan", s.plan, "every decision and measurement as JSON (default: beside the output, .plan.json)");
    options.add("--calibration", s.fit.calibration, "text for calibration and search; without any text the model writes its own");
    options.add("--text", s.fit.report_text, "held-out text for the report");
    options.add("--search-seconds", s.fit.search_seconds, "time for measuring divergences; 0: predict them from weight errors");
    options.add("--prompt-tokens", s.fit.prompt_tokens, "length of the prompt that --prompt-ms means");
    options.add("--window", s.fit.window, "tokens per evaluation window");
    options.add("--calibration-windows", s.fit.calibration_windows, "most windows for calibration");
    options.add("--search-windows", s.fit.search_windows, "most windows for the search");
    options.add("--report-windows", s.fit.report_windows, "most windows for the report; 0: all");
    options.add("--formats", s.fit.formats, "allow only this format (may be given again)");
    options.add("--method", s.fit.method, "compression method");
    options.add("--seed", s.fit.seed, "of the text the model writes itself");
    options.add("--shape", s.shape, "instead of a model: a synthetic one of this shape, llama-1.1b for example");
    options.add("--shape-format", s.shape_format, "number format of the synthetic model's weights");
}

static std::shared_ptr<run::LanguageModel> open(const Settings& s) {
    if (s.shape.empty()) return s.model.open();
    if (!s.model.model.empty()) core::fail(core::ErrorKind::usage, "give a model or --shape, not both");
    return run::LanguageModel::from_file(files::make_synthetic(s.shape, formats::get(s.shape_format)));
}

static void read_budgets(Settings& s) {
    search::Budgets& b = s.fit.budgets;
    if (s.size) b.file_bytes = core::parse_bytes(*s.size, "--size");
    if (s.memory) b.memory_bytes = core::parse_bytes(*s.memory, "--memory");
    const auto nanoseconds = [](const std::optional<double>& ms, const char* name) -> std::optional<double> {
        if (ms && !(*ms > 0)) core::fail(core::ErrorKind::usage, "{} must be above 0, not {}", name, *ms);
        return ms ? std::optional(*ms * 1e6) : std::nullopt;
    };
    b.decode_nanoseconds = nanoseconds(s.decode_ms, "--decode-ms");
    b.prompt_nanoseconds = nanoseconds(s.prompt_ms, "--prompt-ms");
}

static std::string with_ending(const std::string& path, const std::string& ending) {
    const std::size_t slash = path.find_last_of('/'), dot = path.find_last_of('.');
    return (dot == std::string::npos || (slash != std::string::npos && dot < slash) ? path : path.substr(0, dot)) + ending;
}

/// The report and the plan stand beside the model, unless they are told a place; all three are known to have one before the search.
static void choose_places(Settings& s) {
    if (s.fit.output.empty()) core::fail(core::ErrorKind::usage, "fit needs a place for the result: -o fitted.gguf");
    if (s.plan.empty()) s.plan = with_ending(s.fit.output, ".plan.json");
    if (s.report.empty()) s.report = with_ending(s.fit.output, ".html");
    check_outputs({{"-o", s.fit.output}, {"--plan", s.plan}, {"--report", s.report}},
                  {{"the model", s.model.model}, {"the adapter", s.model.adapter}, {"the text", s.fit.calibration}, {"the text", s.fit.report_text}});
}

static std::string figure(const core::Json* value, double scale, const char* pattern) {
    if (!value || !value->is_object()) return "-";
    return core::format(pattern, value->at("value").number() * scale, value->at("standard_error").number() * scale);
}

// The before/after table.
static std::string summary(const core::Json& plan) {
    const std::string distance = plan.at("divergence").string() == "kl" ? "KL" : "distance";
    std::vector<std::vector<std::string>> rows = {{"", "file", "bits/weight", "memory", "ms/token", "ms/prompt", "perplexity", distance + " mean", distance + " 99 %", "same top token", "budget"}};
    for (const core::Json& c : plan.at("candidates").items()) {
        const core::Json* const kl = c.find("kl");
        rows.push_back({(c.at("chosen").boolean() ? "* " : "  ") + c.at("name").string(), core::human_bytes(c.at("file_bytes").number()),
                        core::format("{:.2f}", c.at("bits_per_weight").number()), core::human_bytes(c.at("memory_bytes").number()),
                        figure(c.find("decode_ns"), 1e-6, "{:.3f} ± {:.3f}"), figure(c.find("prompt_ns"), 1e-6, "{:.1f} ± {:.1f}"),
                        figure(c.find("perplexity"), 1, "{:.3f} ± {:.3f}"), figure(kl ? kl->find("mean") : nullptr, 1, "{:.3g} ± {:.1g}"),
                        figure(kl ? kl->find("p99") : nullptr, 1, "{:.3g} ± {:.1g}"), figure(c.find("top1_agreement"), 100, "{:.2f} ± {:.2f} %"),
                        c.at("meets_budget").boolean() ? "met" : "not met"});
    }
    return core::table(rows);
}

static std::string provenance(const core::Json& plan) {
    std::string lines;
    for (const auto& [name, text] : plan.at("texts").members())
        lines += core::format("{} text: {}, {} tokens, hash {}\n", name, text.at("source").string(), text.at("tokens").integer(), text.at("hash").string());
    const core::Json& allocation = plan.at("allocation");
    return lines + core::format("allocation by {}, gap {:.2g}; numerical noise of the divergence {:.2g}\n", allocation.at("strategy").string(),
                                allocation.at("gap").number(), plan.at("noise_floor_kl").number());
}

static void run(Options& options) {
    Settings s;
    declare(options, s);
    options.parse();
    read_budgets(s);
    choose_places(s);
    s.fit.session = s.model.session();
    s.fit.command = options.command_line();
    const auto model = open(s);
    core::Pool pool(checked_threads(s.model.threads));
    measure::Store store(measure::Store::default_directory(), [](const std::string& message) { note("tailor: " + message); });
    std::unique_ptr<ProgressLine> line;
    std::string stage;
    search::FitCallbacks callbacks;
    callbacks.progress = [&](const std::string& now, std::int64_t done, std::int64_t total) {
        if (now != stage) stage = now, line = std::make_unique<ProgressLine>(now);
        line->update(done, total);
    };
    callbacks.note = [&](const std::string& text) {
        line.reset(), stage.clear();
        if (!options.json()) note(text);
    };
    const core::Json plan = search::fit(model, pool, store, s.fit, callbacks);
    line.reset();
    core::write_text_file(s.plan, plan.text() + "\n");
    core::write_text_file(s.report, search::report_html(plan));
    if (options.json()) return print_json(plan);
    print(summary(plan) + "\n" + plan.at("decision").string() + "\n" + provenance(plan));
    print(core::format("model:  {}\nplan:   {}\nreport: {}\n", s.fit.output, s.plan, s.report));
}

}  // namespace tailor::cli::fit_command

namespace tailor::cli::entries {
extern const Command fit = {
    .name = "fit",
    .doc = "choose the number format of every weight so that a budget is met",
    .examples = "tailor fit model.gguf --size 1.5GB -o fitted.gguf\n"
                "tailor fit model.gguf --size 1.5GB --decode-ms 40 -o fitted.gguf --report report.html\n"
                "tailor fit --size 4MB -o fitted.gguf\n"
                "tailor fit model.gguf --memory 2GiB -c 4096 --calibration train.txt --text heldout.txt -o fitted.gguf\n"
                "tailor fit --shape llama-1.1b --decode-ms 60 --search-seconds 0 -o fitted.gguf",
    .run = &fit_command::run,
    .place = 20,
};
}  // namespace tailor::cli::entries
