// The choices of a fit: for every weight, every format it may take, with what each costs.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "compress/importance.h"
#include "measure/cost.h"
#include "search/fit.h"
#include "search/strategy.h"

namespace tailor::search {

struct FormatChoice {
    const formats::Format* format = nullptr;
    std::uint64_t bytes = 0;         ///< in the file, alignment included
    double decode_nanoseconds = 0;   ///< of all its uses in one decode step
    double prompt_nanoseconds = 0;   ///< of all its uses in one prompt
    double error = 0;                ///< importance-weighted squared error, relative to the weighted square of the weights
    double divergence = -1;          ///< measured mean KL with this weight alone in this format; negative: not measured
    double predicted = 0;            ///< divergence, or what it is believed to be
};

/// One weight matrix of the model.
struct Group {
    std::string name;
    core::Shape shape;
    const formats::Format* source = nullptr;
    std::vector<FormatChoice> choices;  ///< by increasing bytes; the last one is the source format

    std::size_t index_of(const formats::Format& format) const;  ///< choices.size() if it is not among them
};

/// One choice index per group.
using Assignment = std::vector<int>;

/// What does not depend on the choices.
struct FixedCosts {
    std::uint64_t file_bytes = 0;          ///< header and tensors that keep their format
    std::uint64_t memory_bytes = 0;        ///< those tensors, the KV cache and intermediate values
    double decode_nanoseconds = 0;         ///< everything in a decode step but products with weights
    double prompt_nanoseconds = 0;
};

struct Totals {
    std::uint64_t file_bytes = 0, memory_bytes = 0;
    double decode_nanoseconds = 0, prompt_nanoseconds = 0;
};

/// How the model uses a weight: every product with it, in a decode step and in a prompt.
struct WeightUses {
    std::vector<measure::Product> decode, prompt;
};
std::map<std::string, WeightUses> weight_uses(run::Session& session, std::int64_t prompt_tokens);

/// All groups with bytes, times and errors; divergences are left unmeasured. A choice never takes more bits than the source.
std::vector<Group> make_groups(const run::LanguageModel& model, run::Session& session, const compress::Importance& importance, measure::CostModel& costs,
                               core::Pool& pool, const FitOptions& options, const FitCallbacks& callbacks);

/// Measured on the running session: non-weight time of a decode step and a prompt, memory, header bytes.
FixedCosts measure_fixed_costs(run::Session& session, const std::vector<Group>& groups, const FitOptions& options);

Totals totals_of(const std::vector<Group>& groups, const Assignment& assignment, const FixedCosts& fixed);
/// True if no budget is exceeded.
bool meets(const Totals& totals, const Budgets& budgets);

/// Every group in its source format.
Assignment original_assignment(const std::vector<Group>& groups);

/// Session options in which one evaluation window fits and is evaluated in one batch.
run::SessionOptions window_session(const FitOptions& options);
/// Reads a prompt from the beginning: with the encoder of a family that has one.
void read_prompt(run::Session& session, std::span<const text::TokenId> ids);
/// Tokens of the prompt that is timed: as asked, as far as the session's context and batch allow.
std::int64_t prompt_rows(const run::Session& session, const FitOptions& options);

/// Every group in `format` where it fits and is no larger than the source, else in the nearest larger choice.
Assignment uniform_assignment(const std::vector<Group>& groups, const formats::Format& format);

/// The knapsack over predicted divergences, and its budgets less the fixed costs (each scaled by `tightening` <= 1).
Problem make_problem(const std::vector<Group>& groups, const FixedCosts& fixed, const Budgets& budgets, double time_tightening = 1);

/// The file that an assignment gives.
const formats::Format& format_of(const std::vector<Group>& groups, const Assignment& assignment, const files::TensorInfo& tensor);

}  // namespace tailor::search
