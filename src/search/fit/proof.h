// Proof: a written file is opened like any stranger's, timed on this machine, and evaluated on the report text.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "search/fit/choices.h"
#include "search/fit/texts.h"

namespace tailor::search {

/// What was measured of one model file.
struct Proof {
    std::string name;            ///< "original", "fitted" or "uniform q4_k"
    std::uint64_t file_bytes = 0, memory_bytes = 0;
    double bits_per_weight = 0;
    run::Figure decode_nanoseconds, prompt_nanoseconds;
    run::Evaluation evaluation;  ///< against the original
    std::optional<Totals> predicted;
    double predicted_divergence = -1;
    bool meets_budget = false, chosen = false;
    core::Json json() const;
};

/// Times of one decode step (half a window into the context) and of one prompt; medians with the error of the median.
struct Times {
    run::Figure decode, prompt;
    std::uint64_t memory_bytes = 0;
};
Times time_model(std::shared_ptr<const run::LanguageModel> model, core::Pool& pool, const FitOptions& options);

/// True if the measured figures keep every budget.
bool keeps(const Proof& proof, const Budgets& budgets);

/// Opens, times and evaluates. `original` is the reference; if `file` is the original itself it is only timed.
Proof prove(std::string name, std::shared_ptr<const run::LanguageModel> file, std::uint64_t file_bytes, std::shared_ptr<const run::LanguageModel> original,
            core::Pool& pool, const FitText& text, const FitOptions& options, const FitCallbacks& callbacks);

/// The evaluation of the original against itself, given one of another model against it: divergence zero.
run::Evaluation as_original(const run::Evaluation& compared);

}  // namespace tailor::search
