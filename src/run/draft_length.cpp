// Measuring and choosing; see draft_length.h.
#include "run/draft_length.h"

#include <algorithm>
#include <span>

#include "core/statistics.h"

namespace tailor::run {

// Steps without drafts until the cost of one is known: the first may make a plan or fault pages.
constexpr std::int64_t first_plain_steps = 3;
// After so many steps a cost is looked at again; the context has grown by then.
constexpr std::int64_t lasting_steps = 256;
// What one more row is supposed to cost until it is known, in steps of one: little, so that it is tried.
constexpr double supposed_row = 0.1;
// A draft that only looks again need not be long to tell how often drafts are right.
constexpr std::int64_t longest_trial = 2;
// A text changes its character: what was drafted 20 steps ago counts a third.
constexpr double memory = 0.95;
// What rounds really brought is judged from the fourth on, over the latest ten or so.
constexpr std::int64_t least_rounds = 4;
constexpr double round_memory = 0.9;
constexpr std::int64_t first_pause = 8;
constexpr std::int64_t longest_pause = 128;
// A gain below this share is within what is measured from one step to the next.
constexpr double least_gain = 1.02;

std::int64_t DraftLength::round_down(std::int64_t most) { return *(std::upper_bound(lengths.begin(), lengths.end(), std::max<std::int64_t>(most, 0)) - 1); }

double DraftLength::Recent::median() const { return core::median(std::span(seconds).first(std::min(static_cast<std::size_t>(count), seconds.size()))); }

void DraftLength::observe_step(std::int64_t rows, double seconds) {
    if (rows < 1 || rows >= static_cast<std::int64_t>(steps_.size())) return;
    Recent& recent = steps_[static_cast<std::size_t>(rows)];
    recent.seconds[static_cast<std::size_t>(recent.count++) % recent.seconds.size()] = seconds;
    recent.last_step = step_;
}

void DraftLength::observe_draft(std::int64_t tokens, double seconds) {
    const double each = seconds / static_cast<double>(std::max<std::int64_t>(tokens, 1));
    draft_seconds_ = draft_known_ ? memory * draft_seconds_ + (1 - memory) * each : each;
    draft_known_ = true;
}

void DraftLength::observe_taken(std::int64_t drafted, std::int64_t taken) {
    if (drafted == 0) return;
    right_ = memory * right_ + static_cast<double>(taken);
    tried_ = memory * tried_ + static_cast<double>(std::min(drafted, taken + 1));  // what follows the first wrong one is not looked at
}

void DraftLength::observe_round(std::int64_t tokens, double seconds) {
    ++rounds_;
    round_tokens_ = round_memory * round_tokens_ + static_cast<double>(tokens);
    round_seconds_ = round_memory * round_seconds_ + seconds;
}

// Measured lately, or on the line through one row and the most rows below that were.
double DraftLength::step_seconds(std::int64_t rows) const {
    const double one = steps_[1].count ? steps_[1].median() : 0;
    for (std::int64_t known = rows; known > 1; --known) {
        const Recent& recent = steps_[static_cast<std::size_t>(known)];
        if (recent.count == 0 || step_ - recent.last_step >= lasting_steps) continue;
        return one + (recent.median() - one) * static_cast<double>(rows - 1) / static_cast<double>(known - 1);
    }
    return one * (1 + supposed_row * static_cast<double>(rows - 1));
}

double DraftLength::rate(std::int64_t drafted) const {
    const double seconds = step_seconds(drafted + 1) + static_cast<double>(drafted) * draft_seconds_;
    if (seconds <= 0) return 0;
    double tokens = 0, probability = 1;
    for (std::int64_t i = 0; i <= drafted; ++i) tokens += probability, probability *= taken_share();
    return tokens / seconds;
}

bool DraftLength::pays(std::int64_t length) const {
    const double plain = rate(0);
    return length > 0 && rate(length) > least_gain * plain && (rounds_ < least_rounds || round_tokens_ > plain * round_seconds_);
}

std::int64_t DraftLength::choose(std::int64_t most) {
    ++step_;
    if (steps_[1].count < first_plain_steps) return 0;
    if (pause_ > 0) {
        trial_ = --pause_ == 0;
        if (trial_) rounds_ = 0, round_tokens_ = round_seconds_ = 0;
        return 0;
    }
    const std::int64_t longest = round_down(most);
    std::int64_t best = 0;
    for (const std::int64_t length : lengths)
        if (length > 0 && length <= longest && (best == 0 || rate(length) > rate(best))) best = length;
    if (pays(best)) {
        trial_ = false;
        if (rounds_ > 2 * least_rounds) next_pause_ = first_pause;
        return best;
    }
    // One draft to look again, if a pause has just ended; then the next pause.
    const std::int64_t length = trial_ ? std::min(best, longest_trial) : 0;
    trial_ = false;
    pause_ = next_pause_;
    next_pause_ = std::min(2 * next_pause_, longest_pause);
    return length;
}

}  // namespace tailor::run
