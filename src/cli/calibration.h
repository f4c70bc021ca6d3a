// What commands that measure the importance of weights on a text share: the options and the measurement.
#pragma once
#include "cli/common.h"
#include "compress/importance.h"

namespace tailor::cli {

/// A text and how much of it is read; no text: nothing is measured.
struct Calibration {
    std::string text;
    std::int64_t window = 0, windows = 64;
};

/// Declares --calibration, described by `purpose`, and the options of its windows.
void declare(Options& options, Calibration& calibration, const std::string& purpose);
/// Throws Error(usage) for negative lengths.
void check(const Calibration& calibration);
/// Evaluates the windows of the text with a line of progress; empty without a text. Throws as text_windows().
compress::Importance measure_importance(const std::shared_ptr<run::LanguageModel>& model, const Calibration& calibration, core::Pool& pool);

}  // namespace tailor::cli
