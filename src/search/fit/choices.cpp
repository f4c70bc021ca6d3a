// Building the groups and adding up their costs; see choices.h.
#include "search/fit/choices.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "compress/quantize_file.h"
#include "compress/registry.h"
#include "core/error.h"
#include "core/statistics.h"
#include "files/registry.h"
#include "formats/private_types.h"
#include "formats/registry.h"

namespace tailor::search {

using core::ErrorKind;
using core::fail;

// Values of a weight that are encoded to estimate its error in each format: 200,000 know a relative error to a percent.
constexpr std::int64_t sampled_values = 200'000;
constexpr std::uint64_t tensor_alignment = 32;  // of the written container

std::size_t Group::index_of(const formats::Format& format) const {
    for (std::size_t i = 0; i < choices.size(); ++i)
        if (choices[i].format == &format) return i;
    return choices.size();
}

std::int64_t prompt_rows(const run::Session& session, const FitOptions& options) {
    return std::min({options.prompt_tokens, session.context(), session.options().batch});
}

void read_prompt(run::Session& session, std::span<const text::TokenId> ids) {
    session.reset();
    if (session.model().family().build_encoder) session.encode(ids);
    else session.evaluate(ids);
}

run::SessionOptions window_session(const FitOptions& options) {
    run::SessionOptions session = options.session;
    session.context = session.batch = options.window;
    return session;
}

Assignment original_assignment(const std::vector<Group>& groups) {
    Assignment assignment;
    for (const Group& group : groups) assignment.push_back(static_cast<int>(group.index_of(*group.source)));
    return assignment;
}

// A stack of matrices is read as far as rows are sent to them; without ids (one matrix per head) all of it, as one tall matrix.
static measure::Product product_of(const graph::Graph& g, const graph::Node& node, const core::Shape& w) {
    const std::int64_t rows = g.node(node.inputs[0]).type.shape.rows();
    if (w.rank() == 2) return {w[0], w[1], rows};
    const graph::Value ids = node.inputs.size() > 2 ? node.inputs[2] : graph::absent;
    if (ids == graph::absent) return {w[0] * w[1], w[2], rows};
    const core::Shape& chosen = g.node(ids).type.shape;
    return {w[1], w[2], chosen.rows(), w[0], chosen.width(), rows != chosen.rows()};
}

std::map<std::string, WeightUses> weight_uses(run::Session& session, std::int64_t prompt_tokens) {
    std::map<std::string, WeightUses> uses;
    const bool reads_first = session.model().family().build_encoder != nullptr;
    for (const bool prompt : {false, true}) {
        const graph::Graph& g = session.plan(prompt ? prompt_tokens : 1, prompt && reads_first ? -1 : 1).graph();
        for (const graph::Node& node : g.nodes()) {
            if (!node.op || node.op->weight_input < 0) continue;
            const graph::Node& weight = g.node(node.inputs[static_cast<std::size_t>(node.op->weight_input)]);
            if (!weight.is_constant()) continue;
            WeightUses& use = uses[weight.name];
            (prompt ? use.prompt : use.decode).push_back(product_of(g, node, weight.type.shape));
        }
    }
    return uses;
}

namespace {

// Evenly spaced rows of a weight: enough of them to know its error.
core::Tensor sample_rows(const core::Tensor& weight) {
    const std::int64_t rows = weight.shape.rows(), width = weight.shape.width();
    const std::int64_t matrices = weight.shape.rank() == 3 ? weight.shape[0] : 1, all = rows / matrices;
    const std::int64_t wanted = std::clamp<std::int64_t>(sampled_values / std::max<std::int64_t>(width * matrices, 1), 1, all);
    if (wanted == all) return weight;
    // As many rows of each matrix of a stack, since each has its own importance.
    core::Tensor sample = formats::make_tensor(*weight.format, weight.shape.rank() == 3 ? core::Shape{matrices, wanted, width} : core::Shape{wanted, width});
    for (std::int64_t i = 0; i < matrices * wanted; ++i)
        std::memcpy(sample.row(i), weight.row(i / wanted * all + i % wanted * all / wanted), static_cast<std::size_t>(sample.row_stride_bytes));
    return sample;
}

std::vector<const formats::Format*> candidate_formats(const FitOptions& options) {
    std::vector<const formats::Format*> list;
    if (options.formats.empty()) {
        for (const formats::Format* format : formats::all())
            if (format->weights && format->encode && formats::is_common(*format)) list.push_back(format);
    } else {
        for (const std::string& name : options.formats) list.push_back(&formats::get(name));
    }
    return list;
}

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + tensor_alignment - 1) / tensor_alignment * tensor_alignment; }

void add_times(FormatChoice& choice, const WeightUses& uses, std::uint64_t model_bytes, measure::CostModel& costs) {
    for (const measure::Product& product : uses.decode) choice.decode_nanoseconds += costs.nanoseconds(*choice.format, product, model_bytes);
    for (const measure::Product& product : uses.prompt) choice.prompt_nanoseconds += costs.nanoseconds(*choice.format, product, model_bytes);
}

}  // namespace

std::vector<Group> make_groups(const run::LanguageModel& model, run::Session& session, const compress::Importance& importance, measure::CostModel& costs,
                               core::Pool& pool, const FitOptions& options, const FitCallbacks& callbacks) {
    const std::map<std::string, WeightUses> uses = weight_uses(session, prompt_rows(session, options));
    const std::vector<const formats::Format*> candidates = candidate_formats(options);
    const compress::Method& method = compress::get(options.method);
    std::vector<Group> groups;
    std::int64_t done = 0;
    for (const files::TensorInfo& tensor : model.file().tensors()) {
        core::check_interrupt();
        if (callbacks.progress) callbacks.progress("costs and errors", ++done, static_cast<std::int64_t>(model.file().tensors().size()));
        if (!compress::is_weight_matrix(tensor)) continue;
        Group group{tensor.name, tensor.shape, tensor.format, {}};
        const core::Tensor sample = sample_rows(model.weights().find(tensor.name));
        const std::span<const float> weights = importance.of(tensor.name);
        const auto use = uses.find(tensor.name);
        std::vector<const formats::Format*> own = candidates;  // leaving a weight as it is is always a choice
        if (std::find(own.begin(), own.end(), tensor.format) == own.end()) own.push_back(tensor.format);
        for (const formats::Format* format : own) {
            const bool is_source = format == tensor.format;
            if (!format->holds(tensor.shape.width()) || (!is_source && format->bits_per_value() >= tensor.format->bits_per_value())) continue;
            FormatChoice choice{.format = format, .bytes = aligned(static_cast<std::uint64_t>(formats::tensor_bytes(*format, tensor.shape)))};
            if (!is_source) {
                const compress::WeightedError e = compress::weighted_error(sample, method.apply({sample, *format, weights, pool}), weights, pool);
                choice.error = e.energy > 0 ? e.error / e.energy : 0;
            } else {
                choice.divergence = 0;
            }
            const double share = static_cast<double>(choice.bytes) / static_cast<double>(std::max<std::uint64_t>(tensor.bytes, 1));
            if (use != uses.end()) add_times(choice, use->second, static_cast<std::uint64_t>(share * static_cast<double>(model.facts().weight_bytes)), costs);
            group.choices.push_back(choice);
        }
        std::stable_sort(group.choices.begin(), group.choices.end(), [](const FormatChoice& a, const FormatChoice& b) { return a.bytes < b.bytes; });
        groups.push_back(std::move(group));
    }
    if (groups.empty()) fail(ErrorKind::unsupported, "{}: no weight can take any of the candidate formats", model.file().path());
    return groups;
}

// Time of all nodes that are not products with a weight, per run; the median over runs, so that one interruption of the
// machine does not count.
template <class Step>
static double other_nanoseconds(run::Session& session, int runs, const Step& step) {
    std::vector<double> times;
    session.set_runner([&](graph::Plan& plan, const ops::Batch& batch) {
        plan.clear_times();
        plan.run_timed(batch);
        double total = 0;
        for (const graph::Plan::NodeTime& node : plan.node_times())
            if (!node.reads_weight) total += node.nanoseconds;
        times.push_back(total);
    });
    for (int i = 0; i < runs; ++i) step();
    session.set_runner({});
    return core::median(times);
}

FixedCosts measure_fixed_costs(run::Session& session, const std::vector<Group>& groups, const FitOptions& options) {
    FixedCosts fixed;
    const run::LanguageModel& model = session.model();
    const std::int64_t rows = prompt_rows(session, options);
    const std::vector<text::TokenId> prompt(static_cast<std::size_t>(rows), 1);
    read_prompt(session, prompt);
    fixed.prompt_nanoseconds = other_nanoseconds(session, 3, [&] { read_prompt(session, prompt); });
    const std::vector<text::TokenId> half(static_cast<std::size_t>(std::max<std::int64_t>(1, options.window / 2)), 1);
    read_prompt(session, half);
    const text::TokenId next = 1;
    const auto steps = static_cast<int>(std::min<std::int64_t>(32, session.context() - session.past() - 1));
    session.evaluate({&next, 1});
    fixed.decode_nanoseconds = other_nanoseconds(session, steps, [&] { session.evaluate({&next, 1}); });

    std::uint64_t grouped = 0, largest_header = 0;
    for (const Group& group : groups) grouped += model.file().find(group.name)->bytes;
    fixed.memory_bytes = model.facts().weight_bytes - grouped + session.state_bytes() + session.arena_bytes();
    // The header differs by a few bytes with the format of most values; the largest one is counted.
    for (const formats::Format* format : formats::all()) {
        if (!format->weights || format->gguf_type < 0) continue;
        const Assignment uniform = uniform_assignment(groups, *format);
        const files::WritePlan plan = compress::quantized_plan(model.file(), [&](const files::TensorInfo& t) -> const formats::Format& { return format_of(groups, uniform, t); });
        std::uint64_t bytes = files::kind_for(options.output).written_bytes(plan);
        for (std::size_t g = 0; g < groups.size(); ++g) bytes -= groups[g].choices[static_cast<std::size_t>(uniform[g])].bytes;
        largest_header = std::max(largest_header, bytes);
    }
    fixed.file_bytes = largest_header;
    return fixed;
}

Totals totals_of(const std::vector<Group>& groups, const Assignment& assignment, const FixedCosts& fixed) {
    Totals t{fixed.file_bytes, fixed.memory_bytes, fixed.decode_nanoseconds, fixed.prompt_nanoseconds};
    for (std::size_t g = 0; g < groups.size(); ++g) {
        const FormatChoice& c = groups[g].choices[static_cast<std::size_t>(assignment[g])];
        t.file_bytes += c.bytes, t.memory_bytes += c.bytes;
        t.decode_nanoseconds += c.decode_nanoseconds, t.prompt_nanoseconds += c.prompt_nanoseconds;
    }
    return t;
}

bool meets(const Totals& t, const Budgets& b) {
    return (!b.file_bytes || t.file_bytes <= *b.file_bytes) && (!b.memory_bytes || t.memory_bytes <= *b.memory_bytes) &&
           (!b.decode_nanoseconds || t.decode_nanoseconds <= *b.decode_nanoseconds) && (!b.prompt_nanoseconds || t.prompt_nanoseconds <= *b.prompt_nanoseconds);
}

Assignment uniform_assignment(const std::vector<Group>& groups, const formats::Format& format) {
    Assignment assignment;
    for (const Group& group : groups) {
        std::size_t index = group.index_of(format);
        if (index == group.choices.size()) {
            index = 0;
            while (index + 1 < group.choices.size() && group.choices[index].format->bits_per_value() < format.bits_per_value()) ++index;
        }
        assignment.push_back(static_cast<int>(index));
    }
    return assignment;
}

Problem make_problem(const std::vector<Group>& groups, const FixedCosts& fixed, const Budgets& budgets, double time_tightening) {
    Problem problem;
    const auto bytes_left = [](const std::optional<std::uint64_t>& limit, std::uint64_t used) {
        return limit ? static_cast<double>(*limit) - static_cast<double>(used) : INFINITY;
    };
    const auto time_left = [&](const std::optional<double>& limit, double used) { return limit ? *limit * time_tightening - used : INFINITY; };
    problem.budgets = {bytes_left(budgets.file_bytes, fixed.file_bytes), bytes_left(budgets.memory_bytes, fixed.memory_bytes),
                       time_left(budgets.decode_nanoseconds, fixed.decode_nanoseconds), time_left(budgets.prompt_nanoseconds, fixed.prompt_nanoseconds)};
    for (const Group& group : groups) {
        std::vector<Choice> choices;
        for (const FormatChoice& c : group.choices) {
            const auto bytes = static_cast<double>(c.bytes);
            choices.push_back({c.predicted, {bytes, bytes, c.decode_nanoseconds, c.prompt_nanoseconds}});
        }
        problem.groups.push_back(std::move(choices));
    }
    return problem;
}

const formats::Format& format_of(const std::vector<Group>& groups, const Assignment& assignment, const files::TensorInfo& tensor) {
    for (std::size_t g = 0; g < groups.size(); ++g)
        if (groups[g].name == tensor.name) return *groups[g].choices[static_cast<std::size_t>(assignment[g])].format;
    return *tensor.format;
}

}  // namespace tailor::search
