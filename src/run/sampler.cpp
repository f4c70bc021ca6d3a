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

static bool better(const Choice& a, const Choice& b) { return a.probability > b.probability || (a.probability == b.probability && a.id < b.id); }

// Logits are passed over in blocks, one for each word of a mask.
constexpr std::size_t block = 64;

static float largest_of(const float* values, std::size_t count) {
    constexpr std::size_t width = 16;
    float most[width];
    std::fill(most, most + width, -INFINITY);
    std::size_t i = 0;
    for (; i + width <= count; i += width)
        for (std::size_t j = 0; j < width; ++j) most[j] = values[i + j] > most[j] ? values[i + j] : most[j];
    for (; i < count; ++i) most[0] = std::max(most[0], values[i]);
    return *std::max_element(most, most + width);
}

// Most logits are below those that are kept already: a block is taken apart only if its largest is not.
void Sampler::keep_best(std::span<const float> logits, std::span<const std::uint64_t> allowed, std::size_t count) {
    candidates_.clear();
    const bool all = count >= logits.size();  // sorted at once
    for (std::size_t begin = 0; begin < logits.size(); begin += block) {
        const std::uint64_t open = allowed.empty() ? ~std::uint64_t{0} : allowed[begin / block];
        const std::size_t size = std::min(block, logits.size() - begin);
        if (!open || (candidates_.size() == count && static_cast<double>(largest_of(&logits[begin], size)) <= candidates_.front().probability)) continue;
        for (std::size_t i = 0; i < size; ++i) {
            const Choice choice{static_cast<text::TokenId>(begin + i), logits[begin + i]};
            if (!(open >> i & 1) || (candidates_.size() == count && !better(choice, candidates_.front()))) continue;
            if (candidates_.size() == count) std::pop_heap(candidates_.begin(), candidates_.end(), better), candidates_.pop_back();
            candidates_.push_back(choice);
            if (!all) std::push_heap(candidates_.begin(), candidates_.end(), better);
        }
    }
    if (all) std::sort(candidates_.begin(), candidates_.end(), better);
    else std::sort_heap(candidates_.begin(), candidates_.end(), better);
}

const Distribution& Sampler::distribution(std::span<const float> logits, std::span<const text::TokenId> history, std::span<const std::uint64_t> allowed) {
    if (options_.repeat_penalty != 1) {
        penalized_.assign(logits.begin(), logits.end());
        std::vector<text::TokenId> recent(history.end() - std::min<std::ptrdiff_t>(options_.repeat_last_n, static_cast<std::ptrdiff_t>(history.size())), history.end());
        std::sort(recent.begin(), recent.end());
        recent.erase(std::unique(recent.begin(), recent.end()), recent.end());
        for (const text::TokenId id : recent) {
            float& logit = penalized_[static_cast<std::size_t>(id)];
            logit = static_cast<float>(logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty);
        }
        logits = penalized_;
    }
    const bool greedy = options_.temperature == 0;
    keep_best(logits, allowed, greedy ? 1 : options_.top_k ? static_cast<std::size_t>(options_.top_k) : logits.size());
    if (greedy) {
        candidates_[0].probability = 1;
        return candidates_;
    }
    const double best = candidates_[0].probability;
    double total = 0;
    for (Choice& c : candidates_) total += c.probability = std::exp((c.probability - best) / options_.temperature);
    std::size_t count = 0;
    double sum = 0;
    while (count < candidates_.size() && (count == 0 || (sum < options_.top_p * total && candidates_[count].probability >= options_.min_p))) sum += candidates_[count++].probability;
    candidates_.resize(count);
    for (Choice& c : candidates_) c.probability /= sum;
    return candidates_;
}

// 53 random bits as a fraction: std::uniform_real_distribution is not the same everywhere.
double Sampler::uniform() { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }

text::TokenId Sampler::draw(const Distribution& from) {
    if (options_.temperature == 0) return from[0].id;
    double left = uniform();
    for (std::size_t i = 0; i + 1 < from.size(); ++i)
        if ((left -= from[i].probability) < 0) return from[i].id;
    return from.back().id;
}

static double probability_of(const Distribution& distribution, text::TokenId id) {
    const auto it = std::find_if(distribution.begin(), distribution.end(), [&](const Choice& c) { return c.id == id; });
    return it == distribution.end() ? 0 : it->probability;
}

text::TokenId Sampler::draw_over(const Distribution& wanted, const Distribution& proposed, text::TokenId drafted) {
    const double p = probability_of(wanted, drafted), q = probability_of(proposed, drafted);
    if (p >= q || uniform() * q < p) return drafted;
    rest_.clear();
    double sum = 0;
    for (const Choice& c : wanted)
        if (const double more = c.probability - probability_of(proposed, c.id); more > 0) rest_.push_back({c.id, more}), sum += more;
    if (rest_.empty()) return drafted;  // p and q differ by rounding only
    for (Choice& c : rest_) c.probability /= sum;
    return draw(rest_);
}

}  // namespace tailor::run
