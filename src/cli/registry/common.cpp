// See common.h.
#include "cli/common.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "cli/machine.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "files/registry.h"

// The embedded default model: bytes placed by default_model.S.
extern "C" {
extern const unsigned char tailor_default_model_begin[];
extern const unsigned char tailor_default_model_end[];
}

namespace tailor::cli {

void ModelOptions::add(Options& options) {
    options.add("model,-m,--model", model, "model file (GGUF); without one, the small English model built in");
    options.add("--adapter", adapter, "adapter to compute with beside the weights: a GGUF file, or a folder of PEFT's");
    options.add("-t,--threads", threads, "threads; 0: one per core");
    options.add("-c,--context", context, "tokens of context; 0: what the model was made for");
    options.add("-b,--batch", batch, "most tokens evaluated together");
    options.add("--kv", kv_format, "number format of the KV cache: f32, f16, bf16, q8_0 ...");
    options.flag("--fast", fast, "activations of 8 bits instead of 12 to 16 in prompts and batches, for weights of 4 bits and less");
    options.flag("--no-pack", no_pack, "run weights from the file as they are: starts at once, runs slower");
}

void add_generation_options(Options& options, run::GenerateOptions& generate) {
    options.add("--temp,--temperature", generate.sampler.temperature, "0: always the most likely token");
    options.add("--top-k", generate.sampler.top_k, "keep the k most likely tokens; 0: all");
    options.add("--top-p", generate.sampler.top_p, "keep the most likely tokens that make up this probability");
    options.add("--min-p", generate.sampler.min_p, "keep tokens at least this share as likely as the best");
    options.add("--repeat-penalty", generate.sampler.repeat_penalty, "above 1: recent tokens become less likely");
    options.add("--repeat-last-n", generate.sampler.repeat_last_n, "how many recent tokens the penalty sees");
    options.add("-s,--seed", generate.sampler.seed, "the same seed writes the same text");
    options.add("--stop", generate.stop, "end before this text appears (may be given again)");
}

std::unique_ptr<files::File> embedded_model() {
    const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(tailor_default_model_begin),
                                           reinterpret_cast<const std::byte*>(tailor_default_model_end));
    return files::open_memory(bytes, "the built-in model");
}

std::shared_ptr<run::LanguageModel> open_model(const std::string& path, const std::string& adapter) {
    std::shared_ptr<run::LanguageModel> model = path.empty() || path == "default" ? run::LanguageModel::from_file(embedded_model()) : run::LanguageModel::open(path);
    if (!adapter.empty()) model->adapt(adapter);
    return model;
}

std::unique_ptr<files::File> open_file(const std::string& path) {
    return path.empty() || path == "default" ? embedded_model() : files::open(path);
}

std::string input_text(const std::string& file, std::string_view what) {
    if (file.empty() && ::isatty(STDIN_FILENO)) core::fail(core::ErrorKind::usage, "there is no {}: give it with -f FILE or on standard input", what);
    return core::read_text_file(file.empty() ? "-" : file);
}

std::int64_t window_length(const run::LanguageModel& model, std::int64_t given) {
    return given > 0 ? given : std::min<std::int64_t>(512, model.facts().context);
}

run::Windows text_windows(const run::LanguageModel& model, const std::string& text, const std::string& file, std::int64_t window, std::int64_t most) {
    const std::string name = file.empty() || file == "-" ? "standard input" : file;
    if (text.find('\0') != std::string::npos) core::fail(core::ErrorKind::usage, "{} is no text: it holds zero bytes", name);
    const text::Tokenizer& tokenizer = model.tokenizer();
    try {
        return run::cut_windows(tokenizer.encode(text), window, tokenizer.adds_bos() ? tokenizer.bos() : -1, most);
    } catch (const core::Error& error) {
        throw core::Error(error.kind(), name + ": " + error.what());
    }
}

std::string human_count(double count) {
    constexpr const char* units[] = {"", " K", " M", " G", " T"};
    int unit = 0;
    for (; count >= 999.5 && unit < 4; ++unit) count /= 1000;
    if (unit == 0) return core::format("{:.0f}", count);
    return core::format(count < 9.995 ? "{:.2f}{}" : count < 99.95 ? "{:.1f}{}" : "{:.0f}{}", count, units[unit]);
}

std::shared_ptr<run::LanguageModel> ModelOptions::open() const { return open_model(model, adapter); }

int checked_threads(std::int64_t threads) {
    if (threads < 0 || threads > 1024) core::fail(core::ErrorKind::usage, "-t must be between 1 and 1024 (or 0 for all cores), not {}", threads);
    return static_cast<int>(threads);
}

run::SessionOptions ModelOptions::session() const {
    checked_threads(threads);
    if (context < 0) core::fail(core::ErrorKind::usage, "-c must be positive, not {}", context);
    return {.context = context, .batch = batch, .kv_format = kv_format, .fast = fast, .pack = !no_pack, .preference = measured_preference()};
}

static std::int64_t now_nanoseconds() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ProgressLine::ProgressLine(std::string label) : label_(std::move(label)), start_nanoseconds_(now_nanoseconds()), last_nanoseconds_(start_nanoseconds_), terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
    if (shown_ && terminal_) std::fputs("\r\033[K", stderr);
}

void ProgressLine::update(std::int64_t done, std::int64_t total) {
    const std::int64_t now = now_nanoseconds();
    const double elapsed = static_cast<double>(now - start_nanoseconds_) * 1e-9;
    const double wait = terminal_ ? 0.2 : 10;
    if (elapsed < 2 || static_cast<double>(now - last_nanoseconds_) * 1e-9 < wait || total <= 0) return;
    last_nanoseconds_ = now;
    shown_ = true;
    const double share = static_cast<double>(done) / static_cast<double>(total);
    const std::string left = done > 0 ? core::format(", {:.0f} s left", elapsed * (1 / share - 1)) : "";
    std::fprintf(stderr, "%s%s: %lld of %lld (%.0f %%%s)%s", terminal_ ? "\r\033[K" : "", label_.c_str(), static_cast<long long>(done),
                 static_cast<long long>(total), share * 100, left.c_str(), terminal_ ? "" : "\n");
    std::fflush(stderr);
}

run::Progress ProgressLine::callback() {
    return [this](std::int64_t done, std::int64_t total) { update(done, total); };
}

void show_prompt_progress(run::Session& session) {
    session.set_progress([line = std::shared_ptr<ProgressLine>()](std::int64_t done, std::int64_t total) mutable {
        if (done == 0) line = std::make_shared<ProgressLine>("prompt tokens");
        if (line) line->update(done, total);
        if (done == total) line.reset();
    });
}

void note(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }
void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }
void print_json(const core::Json& json) { print(json.text() + "\n"); }

}  // namespace tailor::cli
