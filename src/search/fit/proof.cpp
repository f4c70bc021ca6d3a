// Timing and evaluating a finished model; see proof.h.
#include "search/fit/proof.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/error.h"
#include "core/statistics.h"

namespace tailor::search {

static core::Json figure_json(const run::Figure& figure) { return figure.value > 0 ? figure.json() : core::Json(); }

core::Json Proof::json() const {
    core::Json j;
    j.set("name", name).set("chosen", chosen).set("meets_budget", meets_budget).set("file_bytes", file_bytes).set("bits_per_weight", bits_per_weight);
    j.set("memory_bytes", memory_bytes).set("decode_ns", figure_json(decode_nanoseconds)).set("prompt_ns", figure_json(prompt_nanoseconds));
    if (predicted) {
        core::Json p;
        p.set("file_bytes", predicted->file_bytes).set("memory_bytes", predicted->memory_bytes).set("decode_ns", predicted->decode_nanoseconds);
        p.set("prompt_ns", predicted->prompt_nanoseconds).set("kl", predicted_divergence >= 0 ? core::Json(predicted_divergence) : core::Json());
        j.set("predicted", std::move(p));
    }
    const core::Json evaluated = evaluation.json();
    for (const auto& [source, target] : {std::pair{"perplexity", "perplexity"}, {"kl_divergence", "kl"}, {"cosine_distance", "kl"}, {"top1_agreement", "top1_agreement"}})
        if (const core::Json* const value = evaluated.find(source)) j.set(target, *value);
    return j;
}

// The standard error of a median of normal values is 1.2533 times that of the mean; the deviation is taken from the
// median absolute deviation, so that a neighbour's burst does not count.
static run::Figure median_figure(const std::vector<double>& values) {
    const double deviation = 1.4826 * core::median_absolute_deviation(values);
    return {core::median(values), 1.2533 * deviation / std::sqrt(static_cast<double>(values.size()))};
}

template <class Step>
static run::Figure time_steps(std::int64_t runs, double most_seconds, const Step& step) {
    using Clock = std::chrono::steady_clock;
    const auto begin = Clock::now();
    std::vector<double> times;
    for (std::int64_t i = 0; i < runs; ++i) {
        core::check_interrupt();
        const auto start = Clock::now();
        step();
        times.push_back(std::chrono::duration<double, std::nano>(Clock::now() - start).count());
        if (times.size() >= 3 && std::chrono::duration<double>(Clock::now() - begin).count() > most_seconds) break;
    }
    return median_figure(times);
}

Times time_model(std::shared_ptr<const run::LanguageModel> model, core::Pool& pool, const FitOptions& options) {
    run::Session session(model, pool, options.session);
    Times times;
    const std::int64_t rows = prompt_rows(session, options);
    const std::vector<text::TokenId> prompt(static_cast<std::size_t>(rows), 1), half(static_cast<std::size_t>(std::max<std::int64_t>(1, options.window / 2)), 1);
    read_prompt(session, prompt);
    times.prompt = time_steps(5, 10, [&] { read_prompt(session, prompt); });
    read_prompt(session, half);
    const text::TokenId next = 1;
    for (int i = 0; i < 3; ++i) session.evaluate({&next, 1});
    const std::int64_t steps = std::min<std::int64_t>(64, session.context() - session.past());
    times.decode = time_steps(steps, 10, [&] { session.evaluate({&next, 1}); });
    times.memory_bytes = model->facts().weight_bytes + session.state_bytes() + session.arena_bytes();
    return times;
}

bool keeps(const Proof& p, const Budgets& b) {
    return (!b.file_bytes || p.file_bytes <= *b.file_bytes) && (!b.memory_bytes || p.memory_bytes <= *b.memory_bytes) &&
           (!b.decode_nanoseconds || p.decode_nanoseconds.value <= *b.decode_nanoseconds) &&
           (!b.prompt_nanoseconds || p.prompt_nanoseconds.value <= *b.prompt_nanoseconds);
}

Proof prove(std::string name, std::shared_ptr<const run::LanguageModel> file, std::uint64_t file_bytes, std::shared_ptr<const run::LanguageModel> original,
            core::Pool& pool, const FitText& text, const FitOptions& options, const FitCallbacks& callbacks) {
    Proof proof;
    proof.name = std::move(name);
    proof.file_bytes = file_bytes;
    proof.bits_per_weight = 8.0 * static_cast<double>(file->facts().weight_bytes) / static_cast<double>(file->facts().parameters);
    const Times times = time_model(file, pool, options);
    proof.decode_nanoseconds = times.decode, proof.prompt_nanoseconds = times.prompt, proof.memory_bytes = times.memory_bytes;
    proof.meets_budget = keeps(proof, options.budgets);
    if (file == original) return proof;  // its perplexity comes with the first comparison: see as_original()
    run::Session session(file, pool, window_session(options)), reference(original, pool, window_session(options));
    const std::string stage = "evaluating " + proof.name;
    proof.evaluation = run::evaluate(session, &reference, text.windows, [&](std::int64_t done, std::int64_t total) {
        if (callbacks.progress) callbacks.progress(stage, done, total);
    });
    return proof;
}

run::Evaluation as_original(const run::Evaluation& compared) {
    run::Evaluation e{.tokens = compared.tokens, .of_vectors = compared.of_vectors, .perplexity = compared.reference_perplexity, .has_reference = true, .reference_perplexity = compared.reference_perplexity};
    e.top1_agreement.value = 1;
    return e;
}

}  // namespace tailor::search
