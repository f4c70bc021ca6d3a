// Calibration texts of commands; see calibration.h.
#include "cli/calibration.h"

#include "core/error.h"
#include "core/mapped_file.h"

namespace tailor::cli {

void declare(Options& options, Calibration& calibration, const std::string& purpose) {
    options.add("--calibration", calibration.text, purpose);
    options.add("-c,--context", calibration.window, "tokens in a window of calibration text; 0: 512, or the model's context if smaller");
    options.add("--windows", calibration.windows, "most windows of calibration text; 0: all");
}

void check(const Calibration& calibration) {
    if (calibration.window < 0 || calibration.windows < 0) core::fail(core::ErrorKind::usage, "-c and --windows must not be negative");
}

compress::Importance measure_importance(const std::shared_ptr<run::LanguageModel>& model, const Calibration& calibration, core::Pool& pool) {
    if (calibration.text.empty()) return {};
    const std::int64_t window = window_length(*model, calibration.window);
    const run::Windows windows = text_windows(*model, core::read_text_file(calibration.text), calibration.text, window, calibration.windows);
    run::Session session(model, pool, {.context = window, .batch = window});
    ProgressLine line("calibration windows");
    return compress::Importance::measure(session, windows, line.callback());
}

}  // namespace tailor::cli
