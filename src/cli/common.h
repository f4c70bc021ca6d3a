// What commands share: opening the model a user named, common options, text input, progress, and numbers in text.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "cli/options.h"
#include "core/json.h"
#include "core/pool.h"
#include "run/evaluation.h"
#include "run/generate.h"
#include "run/session.h"

namespace tailor::cli {

/// Options of every command that runs a model; add() declares them, and a model may be given as the first argument, by
/// -m, or not at all: then the embedded default model is used.
struct ModelOptions {
    std::string model, adapter;
    std::int64_t threads = 0;   ///< 0: one per core
    std::int64_t context = 0;   ///< 0: the model's own
    std::int64_t batch = 512;
    std::string kv_format = "f16";
    bool no_pack = false;
    bool fast = false;

    void add(Options& options);
    std::shared_ptr<run::LanguageModel> open() const;
    run::SessionOptions session() const;
};

/// How to choose the next token and when to stop: what `run` and `chat` share.
void add_generation_options(Options& options, run::GenerateOptions& generate);

/// Opens a path, or the embedded default for an empty one (or "default"), with the adapter of another path beside it if one is given.
std::shared_ptr<run::LanguageModel> open_model(const std::string& path, const std::string& adapter = {});
/// The embedded default model as a file.
std::unique_ptr<files::File> embedded_model();
/// The same choice as a file alone: also for models that this build cannot run.
std::unique_ptr<files::File> open_file(const std::string& path);

/// The text a user gave: the content of `file` ('-': standard input), or standard input if it is empty. Throws
/// Error(usage) saying `what` is missing when standard input is a terminal.
std::string input_text(const std::string& file, std::string_view what);
/// The windows of evaluation and calibration: BOS first if the model's tokenizer adds one. Throws Error(usage) naming
/// `file` (empty: standard input) if the text is too short or holds zero bytes, as a file of another kind would.
run::Windows text_windows(const run::LanguageModel& model, const std::string& text, const std::string& file, std::int64_t window, std::int64_t most);
/// `given`, or the smaller of 512 and the model's own context for 0: what a window should be.
std::int64_t window_length(const run::LanguageModel& model, std::int64_t given);
/// "8.39 M", "1.10 G": a count with three digits; "512" below a thousand.
std::string human_count(double count);

/// One line on standard error, rewritten as work goes on: label, share, time left. Shown only for a terminal and after
/// two seconds, or every ten seconds as lines of their own when standard error is not a terminal.
class ProgressLine {
  public:
    explicit ProgressLine(std::string label);
    ~ProgressLine();
    void update(std::int64_t done, std::int64_t total);
    /// A callback for library functions; refers to this object.
    run::Progress callback();

  private:
    std::string label_;
    std::int64_t start_nanoseconds_, last_nanoseconds_;
    bool shown_ = false, terminal_;
};

/// Shows how far a long prompt is, each time the session reads one.
void show_prompt_progress(run::Session& session);

/// The value of -t as a pool takes it; Error(usage) if it cannot be.
int checked_threads(std::int64_t threads);

/// Prints a line to standard error.
void note(const std::string& line);
void print(const std::string& text);
void print_json(const core::Json& json);

}  // namespace tailor::cli
