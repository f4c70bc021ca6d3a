// Rounds of drafting and checking; see speculation.h.
#include "run/speculation.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/statistics.h"
#include "run/divergence.h"

namespace tailor::run {

// Rounds between two in which the first row is evaluated alone as well: a thirtieth of the work tells the gain and the divergence.
constexpr std::int64_t rounds_between = 30;

static double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

core::Json SpeculationReport::json() const {
    core::Json j;
    j.set("tokens_per_second", tokens_per_second);
    j.set("plain_tokens_per_second", plain_tokens_per_second > 0 ? core::Json(plain_tokens_per_second) : core::Json()).set("plain_steps", plain_steps);
    j.set("gain", gain() > 0 ? core::Json(gain()) : core::Json()).set("rounds", rounds).set("drafted", drafted).set("taken", taken);
    j.set("taken_share", drafted > 0 ? core::Json(static_cast<double>(taken) / static_cast<double>(drafted)) : core::Json());
    j.set("kl_divergence", compared > 0 ? core::Json(divergence) : core::Json()).set("compared", compared);
    return j.set("switched_off", is_off);
}

std::string SpeculationReport::text() const {
    if (rounds == 0) return "drafts: none was made; the text was written without";
    std::string text = plain_steps > 0 ? core::format("drafts: {:.2f} times as fast as without ({:.1f} tokens/s, {:.1f} without by {} steps of one token)", gain(), tokens_per_second, plain_tokens_per_second, plain_steps)
                                       : core::format("drafts: {:.1f} tokens/s", tokens_per_second);
    text += core::format("; {} of {} drafted tokens taken ({:.0f} %) in {} rounds", taken, drafted, 100 * static_cast<double>(taken) / static_cast<double>(drafted), rounds);
    if (compared > 0) text += core::format("; divergence {:.1e} nats, by rounding alone ({} positions)", divergence, compared);
    if (is_off) text += "; switched off in the end, since they did not pay";
    return text;
}

Speculation::Speculation(Session& session, drafts::Drafter& drafter, const core::Tensor& logits)
    : session_(session), drafter_(drafter), goes_back_(session.goes_back()), logits_(&logits), past_(session.past()) {}

std::span<const float> Speculation::logits() const { return {logits_->row_f32(row_), static_cast<std::size_t>(logits_->shape.width())}; }

// Ends a round: the session forgets the drafted tokens that were not taken.
void Speculation::settle() {
    const std::int64_t count = drafted_count();
    length_.observe_taken(count, row_);
    if (count > 0) length_.observe_round(row_ + 1, round_seconds_);
    report_.taken += row_;
    past_ += row_;
    if (row_ < count) {
        if (goes_back_) {
            session_.keep(past_);
        } else {
            session_.restore(checkpoint_);
            owed_.assign(tokens_.begin(), tokens_.begin() + 1 + row_);
        }
    }
    row_ = 0;
    proposal_.clear();
}

void Speculation::draft(std::span<const text::TokenId> history, std::int64_t most) {
    const std::int64_t length = length_.choose(most);
    if (length == 0) return;
    const auto start = std::chrono::steady_clock::now();
    drafter_.propose(history, session_.past(), length, proposal_);
    const double seconds = seconds_since(start);
    drafting_ += seconds, round_seconds_ = seconds;
    // After a pause a model reads what was written meanwhile: no measure of a draft.
    const auto size = static_cast<std::int64_t>(history.size());
    if (size - last_history_ <= DraftLength::lengths.back() + 1) length_.observe_draft(drafted_count(), seconds);
    last_history_ = size;
    const auto kept = static_cast<std::size_t>(DraftLength::round_down(drafted_count()));
    proposal_.ids.resize(kept);
    if (!proposal_.drawn_from.empty()) proposal_.drawn_from.resize(kept);
}

// The step that the round is compared with.
void Speculation::evaluate_alone(text::TokenId id) {
    if (!goes_back_) session_.save(checkpoint_);
    const auto start = std::chrono::steady_clock::now();
    const core::Tensor& logits = session_.evaluate({&id, 1});
    const double seconds = seconds_since(start);
    stepping_ += seconds;
    plain_seconds_.push_back(seconds);
    length_.observe_step(1, seconds);
    alone_.assign(logits.row_f32(0), logits.row_f32(0) + logits.shape.width());
    goes_back_ ? void(session_.keep(past_)) : session_.restore(checkpoint_);
}

void Speculation::compare() {
    report_.divergence += kl_divergence(alone_.data(), logits_->row_f32(0), logits_->shape.width(), session_.options().isa);
    ++report_.compared;
    alone_.clear();
}

void Speculation::step(text::TokenId id) {
    tokens_ = owed_;
    tokens_.push_back(id);
    tokens_.insert(tokens_.end(), proposal_.ids.begin(), proposal_.ids.end());
    const auto rows = static_cast<std::int64_t>(tokens_.size()), wanted = drafted_count() + 1;
    session_.plan(rows, wanted);  // making one is no part of what a step costs
    const auto start = std::chrono::steady_clock::now();
    if (!goes_back_ && wanted > 1) session_.save(checkpoint_);
    logits_ = &session_.evaluate(tokens_, wanted);
    const double seconds = seconds_since(start);
    stepping_ += seconds, round_seconds_ += seconds;
    if (owed_.empty()) length_.observe_step(rows, seconds);
    if (rows == 1) plain_seconds_.push_back(seconds);
    owed_.clear();
    past_ = session_.past() - drafted_count();
}

void Speculation::advance(std::span<const text::TokenId> history, std::int64_t left) {
    const text::TokenId id = history.back();
    if (drafted() == id) {
        ++row_;
        return;
    }
    settle();
    // A row for `id`, one for each draft; and no more drafts than tokens that will be chosen after the next.
    if (owed_.empty()) draft(history, std::min(left - 1, session_.context() - session_.past() - 1));
    if (drafted_count() > 0) {
        report_.drafted += drafted_count();
        if (report_.rounds++ == 0 || report_.rounds - last_alone_ >= rounds_between) {
            last_alone_ = report_.rounds;
            evaluate_alone(id);
        }
    }
    step(id);
    if (!alone_.empty()) compare();
}

void Speculation::finish() {
    settle();
    if (!owed_.empty()) session_.evaluate(owed_, 0);
    owed_.clear();
}

SpeculationReport Speculation::report(std::int64_t tokens, double seconds) const {
    SpeculationReport report = report_;
    report.taken += row_;
    report.tokens = tokens;
    report.tokens_per_second = static_cast<double>(tokens) / seconds;
    report.plain_steps = static_cast<std::int64_t>(plain_seconds_.size());
    if (report.compared > 0) report.divergence /= static_cast<double>(report.compared);
    report.is_off = length_.is_off();
    if (plain_seconds_.empty()) return report;
    // Choosing tokens and printing them costs the same either way. Means, not medians: what disturbs the steps with drafts is in theirs.
    const double other = std::max(0.0, seconds - stepping_ - drafting_) / static_cast<double>(std::max<std::int64_t>(tokens, 1));
    report.plain_tokens_per_second = 1 / (core::mean(plain_seconds_) + other);
    return report;
}

}  // namespace tailor::run
