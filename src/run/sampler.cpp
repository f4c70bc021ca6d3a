// The filters, in the order of sampler.h.
#include "run/sampler.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace tailor::run {

using core::ErrorKind;
using core::fail;

void SamplerOptions::check() const {
    if (!(temperature >= 0)) fail(ErrorKind::usage, "--temp must be 0 or more, not {}", temperature);
    if (top_k < 0) fail(ErrorKind::usage, "--top-k must be 0 (all) or more, not {}", top_k);
    if (!(top_p > 0 && top_p <= 1)) fail(ErrorKind::usage, "--top-p must be above 0 and at most 1, not {}", top_p);
    if (!(min_p >= 0 && min_p <= 1)) fail(ErrorKind::usage, "--min-p must be between 0 and 1, not {}", min_p);
    if (!(repeat_penalty > 0)) fail(ErrorKind::usage, "--repeat-penalty must be above 0, not {}", repeat_penalty);
    if (repeat_last_n < 0) fail(ErrorKind::usage, "--repeat-last-n must be 0 or more, not {}", repeat_last_n);
}

Sampler::Sampler(const SamplerOptions& options) : options_(options), random_(options.seed) { options_.check(); }

text::TokenId Sampler::sample(std::span<const float> logits, std::span<const text::TokenId> history, std::span<const std::uint64_t> allowed) {
    candidates_.resize(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) candidates_[i] = {static_cast<text::TokenId>(i), logits[i]};
    if (options_.repeat_penalty != 1) {
        std::vector<text::TokenId> recent(history.end() - std::min<std::ptrdiff_t>(options_.repeat_last_n, static_cast<std::ptrdiff_t>(history.size())), history.end());
        std::sort(recent.begin(), recent.end());
        recent.erase(std::unique(recent.begin(), recent.end()), recent.end());
        for (const text::TokenId id : recent) {
            double& logit = candidates_[static_cast<std::size_t>(id)].value;
            logit = logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
        }
    }
    if (!allowed.empty())
        std::erase_if(candidates_, [&](const Candidate& c) { return !(allowed[static_cast<std::size_t>(c.id) / 64] >> c.id % 64 & 1); });
    const auto better = [](const Candidate& a, const Candidate& b) { return a.value > b.value || (a.value == b.value && a.id < b.id); };
    if (options_.temperature == 0) return std::min_element(candidates_.begin(), candidates_.end(), better)->id;

    const auto kept = options_.top_k ? std::min<std::size_t>(static_cast<std::size_t>(options_.top_k), candidates_.size()) : candidates_.size();
    std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(kept), candidates_.end(), better);
    candidates_.resize(kept);
    const double best = candidates_[0].value;
    double total = 0;
    for (Candidate& c : candidates_) total += c.value = std::exp((c.value - best) / options_.temperature);
    std::size_t count = 0;
    double sum = 0;
    while (count < kept && (count == 0 || (sum < options_.top_p * total && candidates_[count].value >= options_.min_p))) sum += candidates_[count++].value;
    // 53 random bits as a fraction: std::uniform_real_distribution is not the same everywhere.
    double left = static_cast<double>(random_() >> 11) * 0x1.0p-53 * sum;
    for (std::size_t i = 0; i + 1 < count; ++i)
        if ((left -= candidates_[i].value) < 0) return candidates_[i].id;
    return candidates_[count - 1].id;
}

}  // namespace tailor::run
