// Windows, per-token scores and their statistics; see evaluation.h.
//
// Tokens of one window are not independent, so standard errors come from the windows: for means by the variance of
// window means, for quantiles and the maximum by a bootstrap over windows.
#include "run/evaluation.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/statistics.h"
#include "run/divergence.h"

namespace tailor::run {

using core::ErrorKind;
using core::fail;

core::Json Figure::json() const { return core::Json().set("value", value).set("standard_error", standard_error); }

core::Json Evaluation::json() const {
    core::Json j;
    j.set("tokens", tokens);
    if (!of_vectors) j.set("perplexity", perplexity.json());
    if (!has_reference) return j;
    core::Json kl;
    kl.set("mean", mean.json()).set("median", median.json()).set("p99", percentile_99.json()).set("p99.9", percentile_99_9.json()).set("max", maximum.json());
    if (of_vectors) return j.set("cosine_distance", std::move(kl));
    return j.set("reference_perplexity", reference_perplexity.json()).set("kl_divergence", std::move(kl)).set("top1_agreement", top1_agreement.json());
}

Windows cut_windows(const std::vector<text::TokenId>& ids, std::int64_t context, text::TokenId bos, std::int64_t most) {
    if (context < 4) fail(ErrorKind::usage, "an evaluation window needs at least 4 tokens, not {}", context);
    const auto length = static_cast<std::size_t>(context);
    Windows windows;
    for (std::size_t start = 0; start + length <= ids.size(); start += length) {
        windows.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(start), ids.begin() + static_cast<std::ptrdiff_t>(start + length));
        if (bos >= 0) windows.back()[0] = bos;
        if (static_cast<std::int64_t>(windows.size()) == most) break;
    }
    if (windows.empty()) fail(ErrorKind::usage, "the text has {} tokens; at least one window of {} is needed (smaller windows: -c)", ids.size(), context);
    return windows;
}

const core::Tensor& answer(Session& session, std::span<const text::TokenId> window, std::int64_t wanted) {
    session.reset();
    if (!session.model().family().build_encoder) return session.evaluate(window, wanted);
    const auto first = static_cast<std::size_t>(first_scored(static_cast<std::int64_t>(window.size())));
    session.encode(window.first(first));
    std::vector<text::TokenId> written(window.begin() + static_cast<std::ptrdiff_t>(first), window.end());
    written[0] = session.first_written();
    return session.evaluate(written, std::min(wanted, static_cast<std::int64_t>(written.size())));
}

double distance_of_answers(const models::Model& family, const float* reference, const float* other, std::int64_t width, cpu::Isa isa) {
    return family.encodes ? cosine_distance(reference, other, width) : kl_divergence(reference, other, width, isa);
}

namespace {

struct Scores {
    std::vector<double> loss, reference_loss, divergence, agreement;
};

double loss_of(const float* logits, double log_sum, text::TokenId next) { return log_sum - logits[next]; }

// The vectors of the second half of one window; the last is left out as among logits.
void score_vectors(Session& model, Session& reference, const std::vector<text::TokenId>& window, Scores& scores) {
    const auto length = static_cast<std::int64_t>(window.size()), wanted = length - first_scored(length);
    const core::Tensor &vectors = answer(model, window, wanted), &expected = answer(reference, window, wanted);
    for (std::int64_t i = 0; i + 1 < wanted; ++i) {
        scores.divergence.push_back(cosine_distance(expected.row_f32(i), vectors.row_f32(i), vectors.shape.width()));
        if (!std::isfinite(scores.divergence.back())) fail(ErrorKind::numeric, "a vector at position {} of a window is not finite", first_scored(length) + i);
    }
}

// Scores the second half of one window.
void score_window(Session& model, Session* reference, const std::vector<text::TokenId>& window, Scores& scores) {
    const auto length = static_cast<std::int64_t>(window.size()), first = first_scored(length), wanted = length - first;
    const std::int64_t vocabulary = model.model().facts().vocabulary;
    const cpu::Isa isa = cpu::active_isa();
    const core::Tensor& logits = answer(model, window, wanted);
    const core::Tensor* const expected = reference ? &answer(*reference, window, wanted) : nullptr;
    for (std::int64_t i = 0; i + 1 < wanted; ++i) {
        const text::TokenId next = window[static_cast<std::size_t>(first + i + 1)];
        const float* const q = logits.row_f32(i);
        const double q_sum = log_sum_exp(q, vocabulary, isa);
        if (!std::isfinite(q_sum)) fail(ErrorKind::numeric, "a logit at position {} of a window is not finite", first + i);
        scores.loss.push_back(loss_of(q, q_sum, next));
        if (!expected) continue;
        const float* const p = expected->row_f32(i);
        const double p_sum = log_sum_exp(p, vocabulary, isa);
        if (!std::isfinite(p_sum)) fail(ErrorKind::numeric, "a logit of the reference at position {} of a window is not finite", first + i);
        scores.reference_loss.push_back(loss_of(p, p_sum, next));
        scores.divergence.push_back(kl_divergence(p, p_sum, q, q_sum, vocabulary, isa));
        scores.agreement.push_back(largest_index(p, vocabulary) == largest_index(q, vocabulary) ? 1.0 : 0.0);
    }
}

Figure mean_figure(const std::vector<double>& values, std::size_t block) {
    std::vector<double> means;
    for (std::size_t i = 0; i + block <= values.size(); i += block) means.push_back(core::mean(std::span(values).subspan(i, block)));
    return {core::mean(values), core::standard_error(means)};
}

Figure perplexity_figure(const std::vector<double>& losses, std::size_t block) {
    const Figure loss = mean_figure(losses, block);
    return {std::exp(loss.value), std::exp(loss.value) * loss.standard_error};
}

Figure quantile_figure(const std::vector<double>& values, std::size_t block, double fraction) {
    const auto statistic = [fraction](std::span<double> sample) { return core::quantile_in_place(sample, fraction); };
    std::vector<double> copy = values;
    return {core::quantile_in_place(copy, fraction), core::bootstrap_standard_error(values, statistic, {.block_size = block})};
}

}  // namespace

Evaluation evaluate(Session& model, Session* reference, const Windows& windows, const Progress& progress) {
    Scores scores;
    const models::Model& family = model.model().family();
    if (family.encodes && !reference)
        fail(ErrorKind::usage, "{}: the {} family writes no text, so there is no next token to judge; its vectors can be compared with those of a reference model",
             model.model().file().path(), family.name);
    for (std::size_t w = 0; w < windows.size(); ++w) {
        core::check_interrupt();
        if (family.encodes) score_vectors(model, *reference, windows[w], scores);
        else score_window(model, reference, windows[w], scores);
        if (progress) progress(static_cast<std::int64_t>(w + 1), static_cast<std::int64_t>(windows.size()));
    }
    const std::size_t scored = family.encodes ? scores.divergence.size() : scores.loss.size(), block = scored / windows.size();
    Evaluation e;
    e.tokens = static_cast<std::int64_t>(scored);
    e.of_vectors = family.encodes;
    if (!family.encodes) e.perplexity = perplexity_figure(scores.loss, block);
    if (!reference) return e;
    e.has_reference = true;
    if (!family.encodes) e.reference_perplexity = perplexity_figure(scores.reference_loss, block);
    e.mean = mean_figure(scores.divergence, block);
    e.median = quantile_figure(scores.divergence, block, 0.5);
    e.percentile_99 = quantile_figure(scores.divergence, block, 0.99);
    e.percentile_99_9 = quantile_figure(scores.divergence, block, 0.999);
    e.maximum = quantile_figure(scores.divergence, block, 1.0);
    if (!family.encodes) e.top1_agreement = mean_figure(scores.agreement, block);
    return e;
}

double numerical_noise(std::shared_ptr<const LanguageModel> model, core::Pool& pool, const SessionOptions& options, const Windows& windows) {
    SessionOptions other = options;
    if (options.isa > cpu::Isa::base) other.isa = static_cast<cpu::Isa>(static_cast<int>(options.isa) - 1);
    Session first(model, pool, options), second(model, pool, other);
    double total = 0;
    std::int64_t count = 0;
    const bool one_by_one = !model->family().encodes && !model->family().build_encoder;
    for (const std::vector<text::TokenId>& window : windows) {
        const auto length = static_cast<std::int64_t>(window.size());
        const core::Tensor& a = answer(first, window, length);
        const auto compare = [&](const core::Tensor& b, std::int64_t begin) {
            for (std::int64_t i = 0; i < b.shape.rows(); ++i, ++count)
                total += distance_of_answers(model->family(), a.row_f32(begin + i), b.row_f32(i), a.shape.width(), options.isa);
        };
        if (!one_by_one) {
            compare(answer(second, window, length), 0);
            continue;
        }
        // Halves instead of one batch: other shapes reach other kernels even where there is one level only.
        second.reset();
        for (const auto& [begin, size] : {std::pair{std::int64_t{0}, length / 2}, {length / 2, length - length / 2}})
            compare(second.evaluate(std::span(window).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(size)), size), begin);
    }
    return total / static_cast<double>(count);
}

}  // namespace tailor::run
