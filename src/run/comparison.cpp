// Steps in turns; see comparison.h.
#include "run/comparison.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/statistics.h"
#include "run/divergence.h"

namespace tailor::run {

constexpr std::int64_t most_compared = 128;

core::Json Comparison::json() const {
    core::Json j;
    j.set("gain", gain() > 0 ? core::Json(gain()) : core::Json()).set("step_seconds", gain() > 0 ? core::Json(seconds) : core::Json());
    j.set("plain_step_seconds", gain() > 0 ? core::Json(plain_seconds) : core::Json()).set("kl_divergence", divergence).set("top1_agreement", agreement);
    return j.set("tokens", tokens).set("compared", compared).set("state_bytes", state_bytes).set("plain_state_bytes", plain_state_bytes);
}

std::string Comparison::text() const {
    const std::string speed = gain() > 0 ? core::format("{:.2f} times as fast behind {} tokens ({:.1f} tokens/s, {:.1f} without); ", gain(), tokens, 1 / seconds, 1 / plain_seconds) : "";
    return speed + core::format("divergence {:.2g} nats per token, same most likely token {:.1f} % ({} positions)", divergence, 100 * agreement, compared);
}

// Evaluates one token; the time is added to `seconds`.
static const core::Tensor& timed_step(Session& session, text::TokenId id, std::vector<double>& seconds) {
    const auto start = std::chrono::steady_clock::now();
    const core::Tensor& logits = session.evaluate({&id, 1});
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return logits;
}

Comparison compare_steps(Session& cheaper, Session& plain, std::span<const text::TokenId> ids, std::int64_t last) {
    ids = ids.first(std::min(ids.size(), static_cast<std::size_t>(std::min(cheaper.context(), plain.context()))));
    Comparison result;
    result.tokens = static_cast<std::int64_t>(ids.size());
    result.compared = std::min({last, most_compared, result.tokens - 1});
    cheaper.reset(), plain.reset();
    if (result.compared < 1) return result;
    const auto before = ids.first(ids.size() - static_cast<std::size_t>(result.compared));
    cheaper.prefill(before), plain.prefill(before);
    cheaper.plan(1, 1), plain.plan(1, 1);
    std::vector<double> seconds, plain_seconds;
    const std::int64_t vocabulary = plain.model().facts().vocabulary;
    const auto share = 1 / static_cast<double>(result.compared);
    for (const text::TokenId id : ids.subspan(before.size())) {
        const float *const ours = timed_step(cheaper, id, seconds).row_f32(0), *const theirs = timed_step(plain, id, plain_seconds).row_f32(0);
        result.divergence += share * kl_divergence(theirs, ours, vocabulary, plain.options().isa);
        result.agreement += largest_index(theirs, vocabulary) == largest_index(ours, vocabulary) ? share : 0;
    }
    if (result.compared > 2) result.seconds = core::quantile(seconds, 0.25), result.plain_seconds = core::quantile(plain_seconds, 0.25);
    result.state_bytes = cheaper.state_bytes(), result.plain_state_bytes = plain.state_bytes();
    return result;
}

}  // namespace tailor::run
