// The fit, step by step; see fit.h for what each step is for.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "compress/quantize_file.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "files/registry.h"
#include "formats/private_types.h"
#include "formats/registry.h"
#include "measure/machine.h"
#include "search/fit/evaluator.h"
#include "search/fit/proof.h"
#include "search/fit/sensitivity.h"

namespace tailor::search {
namespace {

using core::ErrorKind;
using core::fail;

// Of the search time, the part for single weights; the rest improves whole assignments.
constexpr double single_share = 0.6;

struct UniformCandidate {
    const formats::Format* format;
    Assignment assignment;
    Totals totals;
    double divergence = -1;  ///< on the search text; negative: not measured
};

// Everything a fit knows; each step below adds its part.
struct Fit {
    std::shared_ptr<run::LanguageModel> model;
    core::Pool& pool;
    measure::Store& store;
    FitOptions options;
    const FitCallbacks& callbacks;

    FitTexts texts;
    double noise = 0;
    compress::Importance importance;
    std::vector<Group> groups;
    FixedCosts fixed;
    Allocation allocation;
    std::vector<UniformCandidate> uniforms;
    Refined refined;
    std::vector<Proof> proofs;
    std::string decision;
    double search_seconds = 0;

    void note(const std::string& line) const {
        if (callbacks.note) callbacks.note(line);
    }
    run::Progress progress(const std::string& stage) const {
        return [this, stage](std::int64_t done, std::int64_t total) {
            if (callbacks.progress) callbacks.progress(stage, done, total);
        };
    }
};

void check_options(Fit& fit) {
    FitOptions& o = fit.options;
    if (o.budgets.empty()) fail(ErrorKind::usage, "fit needs a budget: --size, --decode-ms, --prompt-ms or --memory");
    if (o.output.empty()) fail(ErrorKind::usage, "fit needs a place for the result: -o fitted.gguf");
    if (o.calibration_windows < 0 || o.search_windows < 0 || o.report_windows < 0)
        fail(ErrorKind::usage, "--calibration-windows, --search-windows and --report-windows must not be negative");
    if (o.prompt_tokens < 1) fail(ErrorKind::usage, "--prompt-tokens must be at least 1, not {}", o.prompt_tokens);
    if (!(o.search_seconds >= 0)) fail(ErrorKind::usage, "--search-seconds must not be negative, it is {}", o.search_seconds);
    // Found now rather than after the search: a container that cannot be written, a folder that is not there.
    files::kind_for(o.output);
    const core::AtomicFile probe(o.output);
    if (o.session.context == 0) o.session.context = std::min<std::int64_t>(fit.model->facts().context, 4096);
    o.window = std::min(o.window, o.session.context);
    o.prompt_tokens = std::min(o.prompt_tokens, o.session.context);
    o.session.batch = std::max(o.session.batch, o.prompt_tokens);
    if (o.window < 8) fail(ErrorKind::usage, "the evaluation window needs at least 8 tokens, not {}", o.window);
}

void measure_importance(Fit& fit) {
    run::Session session(fit.model, fit.pool, window_session(fit.options));
    fit.importance = compress::Importance::measure(session, fit.texts.calibration.windows, fit.progress("measuring importance"));
    const run::Windows few(fit.texts.search.windows.begin(), fit.texts.search.windows.begin() + std::min<std::ptrdiff_t>(2, std::ssize(fit.texts.search.windows)));
    fit.noise = run::numerical_noise(fit.model, fit.pool, window_session(fit.options), few);
}

void collect_choices(Fit& fit) {
    run::Session session(fit.model, fit.pool, fit.options.session);
    measure::CostModel costs(fit.pool, fit.options.session.planning(), fit.store);
    fit.groups = make_groups(*fit.model, session, fit.importance, costs, fit.pool, fit.options, fit.callbacks);
    fit.fixed = measure_fixed_costs(session, fit.groups, fit.options);
    std::size_t choices = 0;
    for (const Group& group : fit.groups) choices += group.choices.size();
    fit.note(core::format("{} weights with {} choices; {} times measured here, the rest from {}", fit.groups.size(), choices, costs.measured(),
                          fit.store.persistent() ? fit.store.path() : std::string("memory")));
}

std::string milliseconds(double nanoseconds) { return core::format("{:.3g} ms", nanoseconds * 1e-6); }

// The nearest figures that can be reached, for the error when nothing fits.
[[noreturn]] void fail_with_least(const Fit& fit, const Allocation& allocation) {
    const Budgets& b = fit.options.budgets;
    std::vector<std::string> lines;
    const auto add = [&](bool asked, const std::string& what, const std::string& limit, const std::string& least) {
        if (asked) lines.push_back(core::format("{}: asked {}, at least {} is needed", what, limit, least));
    };
    const std::vector<double>& least = allocation.least;
    add(b.file_bytes.has_value(), "file size", core::format("{} bytes", b.file_bytes.value_or(0)), core::format("{:.0f} bytes", least[0] + static_cast<double>(fit.fixed.file_bytes)));
    add(b.memory_bytes.has_value(), "memory", core::format("{} bytes", b.memory_bytes.value_or(0)), core::format("{:.0f} bytes", least[1] + static_cast<double>(fit.fixed.memory_bytes)));
    add(b.decode_nanoseconds.has_value(), "time per token", milliseconds(b.decode_nanoseconds.value_or(0)), milliseconds(least[2] + fit.fixed.decode_nanoseconds));
    add(b.prompt_nanoseconds.has_value(), core::format("time for {} prompt tokens", fit.options.prompt_tokens), milliseconds(b.prompt_nanoseconds.value_or(0)),
        milliseconds(least[3] + fit.fixed.prompt_nanoseconds));
    fail(ErrorKind::budget, "no choice of formats meets the budget. {}{}", core::join(lines, "; "),
         lines.size() > 1 ? " (each by itself; together they may need more)" : "");
}

void allocate(Fit& fit, double time_tightening) {
    fit.allocation = solve(make_problem(fit.groups, fit.fixed, fit.options.budgets, time_tightening), {.time_limit_seconds = 10});
    if (!fit.allocation.feasible) fail_with_least(fit, fit.allocation);
}

void find_uniforms(Fit& fit) {
    for (const formats::Format* format : formats::all()) {
        if (!format->weights || !formats::is_common(*format)) continue;
        UniformCandidate u{format, uniform_assignment(fit.groups, *format), {}, -1};
        bool present = false;  // a format that no weight can take is not a candidate
        for (const Group& group : fit.groups) present |= group.index_of(*format) < group.choices.size();
        if (!present) continue;
        u.totals = totals_of(fit.groups, u.assignment, fit.fixed);
        fit.uniforms.push_back(std::move(u));
    }
    std::stable_sort(fit.uniforms.begin(), fit.uniforms.end(), [](const auto& a, const auto& b) { return a.totals.file_bytes < b.totals.file_bytes; });
}

double predicted_divergence(const std::vector<Group>& groups, const Assignment& assignment) {
    double total = 0;
    for (std::size_t g = 0; g < groups.size(); ++g) total += groups[g].choices[static_cast<std::size_t>(assignment[g])].predicted;
    return total;
}

// The uniform candidate with the least divergence (measured before predicted) among those that meet the budgets.
const UniformCandidate* best_uniform(const Fit& fit) {
    const UniformCandidate* best = nullptr;
    const auto score = [&](const UniformCandidate& u) { return u.divergence >= 0 ? u.divergence : predicted_divergence(fit.groups, u.assignment); };
    for (const UniformCandidate& u : fit.uniforms)
        if (meets(u.totals, fit.options.budgets) && (!best || score(u) < score(*best))) best = &u;
    return best;
}

void search(Fit& fit) {
    const auto start = std::chrono::steady_clock::now();
    const double seconds = fit.options.search_seconds;
    Evaluator evaluator(fit.model, fit.pool, fit.store, fit.texts.search, fit.options, fit.importance, fit.groups);
    const std::int64_t measured = measure_sensitivity(fit.groups, evaluator, seconds * single_share, fit.callbacks);
    fit.note(core::format("{} single-weight divergences measured{}", measured, seconds > 0 ? "" : " (no search time: predicted from weighted errors)"));
    find_uniforms(fit);
    allocate(fit, 1);
    if (seconds <= 0) {
        fit.refined = {fit.allocation.chosen, -1, 0};
        return;
    }
    std::vector<Assignment> starts = {fit.allocation.chosen};
    for (UniformCandidate& u : fit.uniforms)
        if (meets(u.totals, fit.options.budgets)) {
            u.divergence = evaluator.divergence(u.assignment);
            starts.push_back(u.assignment);
        }
    const double left = seconds - std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fit.refined = refine(fit.groups, fit.fixed, fit.options.budgets, 1, evaluator, starts, std::max(left, seconds * (1 - single_share) / 2), fit.callbacks);
    fit.search_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fit.note(core::format("{} evaluations, {:.2f} s each; best divergence on the search text {:.5g}", evaluator.evaluations(), evaluator.seconds_each(), fit.refined.divergence));
}

compress::ChooseFormat chooser(const Fit& fit, const Assignment& assignment) {
    return [&fit, &assignment](const files::TensorInfo& tensor) -> const formats::Format& { return format_of(fit.groups, assignment, tensor); };
}

Proof build_and_prove(Fit& fit, const std::string& name, const Assignment& assignment, const std::string& path) {
    const std::uint64_t bytes = compress::write_quantized(fit.model->file(), chooser(fit, assignment), &fit.importance, path, fit.pool, fit.progress("writing " + name));
    const auto written = run::LanguageModel::open(path);
    Proof proof = prove(name, written, bytes, fit.model, fit.pool, fit.texts.report, fit.options, fit.callbacks);
    proof.predicted = totals_of(fit.groups, assignment, fit.fixed);
    return proof;
}

// A file beside the output that is removed at the end, whatever happens, unless it is renamed.
struct TemporaryFile {
    std::string path;
    ~TemporaryFile() { std::remove(path.c_str()); }
};

std::string beside(const std::string& output, const std::string& word) {
    const std::size_t dot = output.find_last_of('.');
    return output.substr(0, dot) + ".part-" + word + (dot == std::string::npos ? "" : output.substr(dot));
}

// Times were predicted; when the measured one breaks its budget, the budget of the search is tightened by as much.
Proof build_within_budget(Fit& fit, const std::string& path) {
    double tightening = 1;
    for (int attempt = 0;; ++attempt) {
        Proof proof = build_and_prove(fit, "fitted", fit.refined.assignment, path);
        proof.predicted_divergence = fit.refined.divergence >= 0 ? fit.refined.divergence : predicted_divergence(fit.groups, fit.refined.assignment);
        const Budgets& b = fit.options.budgets;
        double excess = 1;
        if (b.decode_nanoseconds) excess = std::max(excess, proof.decode_nanoseconds.value / *b.decode_nanoseconds);
        if (b.prompt_nanoseconds) excess = std::max(excess, proof.prompt_nanoseconds.value / *b.prompt_nanoseconds);
        if (excess <= 1 || attempt == 2) return proof;
        tightening *= 0.99 / excess;
        fit.note(core::format("the measured time is {:.1f} % over the budget; searching again with a tighter one", (excess - 1) * 100));
        allocate(fit, tightening);
        fit.refined = {fit.allocation.chosen, -1, 0};
    }
}

std::string percent_below(double value, double other) { return core::format("{:.0f} % below", (1 - value / other) * 100); }

void prove_and_choose(Fit& fit) {
    const TemporaryFile fitted{beside(fit.options.output, "fitted")}, uniform{beside(fit.options.output, "uniform")};
    fit.proofs.push_back(prove("original", fit.model, fit.model->file().bytes(), fit.model, fit.pool, fit.texts.report, fit.options, fit.callbacks));
    fit.proofs.push_back(build_within_budget(fit, fitted.path));
    if (const UniformCandidate* const u = best_uniform(fit)) {
        const std::string name = "uniform " + std::string(u->format->name);
        fit.proofs.push_back(build_and_prove(fit, name, u->assignment, uniform.path));
        fit.proofs.back().predicted_divergence = u->divergence >= 0 ? u->divergence : predicted_divergence(fit.groups, u->assignment);
    }
    fit.proofs[0].evaluation = as_original(fit.proofs[1].evaluation);
    Proof& mixed = fit.proofs[1];
    Proof* const plain = fit.proofs.size() > 2 ? &fit.proofs[2] : nullptr;
    const double mixed_kl = mixed.evaluation.mean.value, plain_kl = plain ? plain->evaluation.mean.value : INFINITY;
    const bool take_plain = plain && plain->meets_budget && (!mixed.meets_budget || plain_kl < mixed_kl);
    Proof& chosen = take_plain ? *plain : mixed;
    if (!chosen.meets_budget)
        fail(ErrorKind::budget, "no file that was built meets the budget when measured: {} took {} per token and {} per prompt; ask for a little more, or quiet the machine",
             chosen.name, milliseconds(chosen.decode_nanoseconds.value), milliseconds(chosen.prompt_nanoseconds.value));
    chosen.chosen = true;
    const std::string& from = take_plain ? uniform.path : fitted.path;
    if (std::rename(from.c_str(), fit.options.output.c_str()) != 0) fail(ErrorKind::io, "cannot write {}", fit.options.output);
    if (mixed_kl == 0 && !take_plain) fit.decision = "The budget leaves room for every weight in its original format.";
    else if (!plain) fit.decision = "No single format meets the budget; the mixed formats do.";
    else if (take_plain) fit.decision = core::format("The single format {} is closer to the original on the report text than the mixed formats, so it is what you get.", plain->name.substr(8));
    else fit.decision = core::format("The mixed formats stay closest to the original: their divergence is {} that of the best single format within the budget ({}).",
                                     percent_below(mixed_kl, plain_kl), plain->name.substr(8));
}

core::Json tensors_json(const Fit& fit) {
    core::Json list{core::Json::Array{}};
    for (std::size_t g = 0; g < fit.groups.size(); ++g) {
        const Group& group = fit.groups[g];
        const FormatChoice& chosen = group.choices[static_cast<std::size_t>(fit.refined.assignment[g])];
        core::Json shape{core::Json::Array{}}, choices{core::Json::Array{}};
        for (int d = 0; d < group.shape.rank(); ++d) shape.add(group.shape[d]);
        for (const FormatChoice& c : group.choices)
            choices.add(core::Json().set("format", c.format->name).set("bytes", c.bytes).set("decode_ns", c.decode_nanoseconds).set("prompt_ns", c.prompt_nanoseconds)
                            .set("weighted_error", c.error).set("predicted_kl", c.predicted).set("measured_kl", c.divergence >= 0 ? core::Json(c.divergence) : core::Json()));
        list.add(core::Json().set("name", group.name).set("shape", std::move(shape)).set("source_format", group.source->name).set("format", chosen.format->name)
                     .set("bytes", chosen.bytes).set("decode_ns", chosen.decode_nanoseconds).set("prompt_ns", chosen.prompt_nanoseconds)
                     .set("predicted_kl", chosen.predicted).set("measured", chosen.divergence >= 0).set("choices", std::move(choices)));
    }
    return list;
}

// The best predicted divergence at a row of budgets between the least and the most this model can take.
core::Json frontier_of(const Fit& fit, bool decode) {
    core::Json points{core::Json::Array{}};
    const auto cost = [decode](const FormatChoice& c) { return decode ? c.decode_nanoseconds : static_cast<double>(c.bytes); };
    const auto cheaper = [&](const FormatChoice& a, const FormatChoice& b) { return cost(a) < cost(b); };
    double low = decode ? fit.fixed.decode_nanoseconds : static_cast<double>(fit.fixed.file_bytes), high = low;
    for (const Group& group : fit.groups) {
        low += cost(*std::min_element(group.choices.begin(), group.choices.end(), cheaper));
        high += cost(*std::max_element(group.choices.begin(), group.choices.end(), cheaper));
    }
    constexpr int count = 16;
    for (int i = 0; i <= count; ++i) {
        core::check_interrupt();
        const double limit = low * std::pow(high / low, static_cast<double>(i) / count) * (1 + 1e-9);
        Budgets budgets;
        if (decode) budgets.decode_nanoseconds = limit;
        else budgets.file_bytes = static_cast<std::uint64_t>(limit + 1);
        const Allocation a = solve(make_problem(fit.groups, fit.fixed, budgets), {.time_limit_seconds = 1, .relative_gap = 1e-2});
        if (!a.feasible) continue;
        const Totals totals = totals_of(fit.groups, a.chosen, fit.fixed);
        core::Json point;
        if (decode) point.set("decode_ns", totals.decode_nanoseconds);
        else point.set("file_bytes", totals.file_bytes);
        points.add(point.set("predicted_kl", a.loss));
    }
    return points;
}

core::Json frontier_json(const Fit& fit) {
    core::Json uniform{core::Json::Array{}};
    for (const UniformCandidate& u : fit.uniforms)
        uniform.add(core::Json().set("format", u.format->name).set("file_bytes", u.totals.file_bytes).set("decode_ns", u.totals.decode_nanoseconds)
                        .set("kl", u.divergence >= 0 ? u.divergence : predicted_divergence(fit.groups, u.assignment)).set("measured", u.divergence >= 0));
    return core::Json().set("size", frontier_of(fit, false)).set("decode", frontier_of(fit, true)).set("uniform", std::move(uniform));
}

core::Json budgets_json(const Fit& fit) {
    const Budgets& b = fit.options.budgets;
    core::Json list{core::Json::Array{}};
    const auto add = [&](const char* name, const auto& limit, const char* unit) {
        if (limit) list.add(core::Json().set("name", name).set("limit", *limit).set("unit", unit));
    };
    add("size", b.file_bytes, "bytes");
    add("decode", b.decode_nanoseconds, "ns");
    add("prompt", b.prompt_nanoseconds, "ns");
    add("memory", b.memory_bytes, "bytes");
    return list;
}

core::Json plan_json(const Fit& fit) {
    core::Json plan;
    const files::File& file = fit.model->file();
    plan.set("tailor", "0.1.0").set("command", fit.options.command);
    plan.set("model", core::Json().set("path", file.path()).set("name", file.metadata().text("general.name", "")).set("architecture", file.metadata().text("general.architecture"))
                          .set("parameters", fit.model->facts().parameters).set("file_bytes", file.bytes()));
    plan.set("machine", core::Json().set("processor", measure::processor_name()).set("isa", cpu::name(fit.options.session.isa)).set("threads", fit.pool.threads()));
    plan.set("budgets", budgets_json(fit));
    plan.set("prompt_tokens", fit.options.prompt_tokens).set("context", fit.options.session.context).set("window", fit.options.window);
    plan.set("texts", core::Json().set("calibration", fit.texts.calibration.json()).set("search", fit.texts.search.json()).set("report", fit.texts.report.json()));
    plan.set("divergence", fit.model->family().encodes ? "cosine distance" : "kl").set("noise_floor_kl", fit.noise);
    core::Json candidates{core::Json::Array{}};
    for (const Proof& proof : fit.proofs) candidates.add(proof.json());
    plan.set("candidates", std::move(candidates));
    plan.set("allocation", core::Json().set("strategy", fit.allocation.strategy).set("gap", fit.allocation.gap).set("lower_bound", fit.allocation.lower_bound)
                               .set("predicted_kl", fit.allocation.loss).set("seconds", fit.search_seconds).set("details", fit.allocation.details));
    plan.set("decision", fit.decision);
    plan.set("frontier", frontier_json(fit));
    plan.set("tensors", tensors_json(fit));
    return plan;
}

}  // namespace

core::Json fit(std::shared_ptr<run::LanguageModel> model, core::Pool& pool, measure::Store& store, const FitOptions& options, const FitCallbacks& callbacks) {
    Fit fit{std::move(model), pool, store, options, callbacks, {}, 0, {}, {}, {}, {}, {}, {}, {}, {}, 0};
    check_options(fit);
    // Calibration, search and report texts, disjoint.
    fit.texts = prepare_texts(fit.model, pool, fit.options, callbacks);
    // Which inputs of which weight are large, and what a divergence of zero looks like.
    measure_importance(fit);
    // Bytes, times and errors of every format for every weight.
    collect_choices(fit);
    // Divergences, the knapsack, and whole-model improvement.
    search(fit);
    // Files, times and divergences that can be checked by anyone.
    prove_and_choose(fit);
    return plan_json(fit);
}

}  // namespace tailor::search
