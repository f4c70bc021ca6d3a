// Fitting a model to budgets: the whole path from a file and a few numbers to a smaller file with proof.
//
//  1. texts       calibration, search and report text, disjoint; from the user or written by the model itself
//  2. importance  mean square of every weight's inputs on the calibration text
//  3. choices     for every weight and every number format that fits it: bytes exactly, time measured here, error
//  4. sensitivity the KL divergence of the whole model with one weight's format swapped, on the search text, within a time
//                 limit; the rest is predicted from weighted errors, which the measurements scale. An encoder has no
//                 distributions: the cosine distance of its vectors takes the place of the divergence
//  5. allocation  a multiple-choice knapsack over all budgets at once, then the answer is improved by measuring whole
//                 allocations, since divergences of single weights do not quite add up
//  6. proof       the chosen file is written, opened, timed and evaluated on the report text; so is the best uniform format
//                 within the same budgets, and the better of the two is what the user gets
//
// Every measured divergence is kept in the store, so a fit that was stopped goes on where it was.
// Per-weight sensitivity by swapping formats follows Dong et al., "HAWQ", 2019 in aim, but measures the divergence itself.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/json.h"
#include "measure/store.h"
#include "run/evaluation.h"

namespace tailor::search {

/// What must hold; any subset.
struct Budgets {
    std::optional<std::uint64_t> file_bytes;
    std::optional<double> decode_nanoseconds;  ///< one token of one sequence, half a window into the context
    std::optional<double> prompt_nanoseconds;  ///< one prompt of FitOptions::prompt_tokens
    std::optional<std::uint64_t> memory_bytes; ///< weights + KV cache at the asked context + intermediate values
    bool empty() const { return !file_bytes && !decode_nanoseconds && !prompt_nanoseconds && !memory_bytes; }
};

struct FitOptions {
    Budgets budgets;
    std::string output;              ///< path of the fitted file; the container by its extension
    std::string calibration;         ///< text file for calibration and search; empty: see texts()
    std::string report_text;         ///< held-out text file for the report
    std::int64_t window = 256;       ///< tokens per evaluation window, at most the context
    std::int64_t calibration_windows = 32, search_windows = 12, report_windows = 64;  ///< most windows of each
    std::int64_t prompt_tokens = 512;
    double search_seconds = 120;     ///< for steps 4 and 5
    std::string method = "round";    ///< compression method
    std::vector<std::string> formats;  ///< candidates; empty: all
    std::uint64_t seed = 1;          ///< of text the model writes itself
    std::string command;             ///< for the record
    run::SessionOptions session;
};

/// How fit tells what it does; both may be empty.
struct FitCallbacks {
    std::function<void(const std::string& stage, std::int64_t done, std::int64_t total)> progress;
    std::function<void(const std::string& line)> note;
};

/// Fits the model, writes FitOptions::output, and returns the plan: every decision, prediction and measurement, as
/// docs/plan-json.md describes it. Throws Error(budget) with the nearest reachable figures if no candidate meets the
/// budgets, Error(usage) for options that cannot be; then nothing is written.
core::Json fit(std::shared_ptr<run::LanguageModel> model, core::Pool& pool, measure::Store& store, const FitOptions& options,
               const FitCallbacks& callbacks);

}  // namespace tailor::search
