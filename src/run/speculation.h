// Writing with drafts: several guessed tokens are checked in one step of the model.
//
// A round evaluates the token that was chosen last and the k drafted ones after it; row i of the logits then tells what follows the i-th
// of them. The caller chooses a token from the logits of row 0; if it is the drafted one, row 1 is the next to choose from, and so on;
// the first that differs ends the round, and the session forgets what follows. So the caller never sees anything but logits of the
// model for the text as it stands: grammars, penalties and stop strings work as without drafts. Where the drafter tells what it drew a
// token from, the caller chooses by Sampler::draw_over.
//
// Models with a state that summarizes all tokens cannot forget: their state is copied before a round and put back if a draft is rejected,
// and the tokens that were taken are evaluated once more, together with the next.
//
// The number of drafted tokens follows draft_length.h. Now and then the first row of a round is also evaluated alone: that says what a
// step without drafts costs, and how far logits of several rows are from those of one (other kernels round differently).
#pragma once
#include <memory>
#include <optional>
#include <span>

#include "core/json.h"
#include "run/draft_length.h"
#include "run/drafts/drafter.h"

namespace tailor::run {

struct SpeculationReport {
    std::int64_t tokens = 0;        ///< written after the prompt
    std::int64_t rounds = 0;        ///< steps that checked drafts
    std::int64_t drafted = 0, taken = 0;  ///< tokens
    std::int64_t plain_steps = 0;   ///< steps of one row that were timed
    double tokens_per_second = 0;
    double plain_tokens_per_second = 0;  ///< what it would have been without drafts, from the steps of one row; 0: none was timed
    std::int64_t compared = 0;      ///< positions at which both ways were compared
    double divergence = 0;          ///< mean of KL(one row || several rows) there, in nats
    bool is_off = false;            ///< drafting did not pay in the end
    double gain() const { return plain_tokens_per_second > 0 ? tokens_per_second / plain_tokens_per_second : 0; }
    core::Json json() const;
    /// "drafts: 1.72 times as fast (...)": one line for people.
    std::string text() const;
};

class Speculation {
  public:
    /// `logits` [1, vocabulary] are what the session's latest step gave. Session and drafter must outlive it.
    Speculation(Session& session, drafts::Drafter& drafter, const core::Tensor& logits);

    /// What the next token is to be chosen from.
    std::span<const float> logits() const;
    /// The drafted token for that place, -1 if there is none, and what it was drawn from, null if it was not drawn.
    text::TokenId drafted() const { return row_ < drafted_count() ? proposal_.ids[static_cast<std::size_t>(row_)] : -1; }
    const Distribution* drawn_from() const { return drafted() >= 0 && !proposal_.drawn_from.empty() ? &proposal_.drawn_from[static_cast<std::size_t>(row_)] : nullptr; }
    /// Goes on behind the token that was chosen, the last of `history`; at most `left` more will be chosen.
    void advance(std::span<const text::TokenId> history, std::int64_t left);
    /// Tokens of the text that stand in the session.
    std::int64_t past() const { return past_ + row_; }
    /// Leaves the session with past() tokens, as if there had been no drafts.
    void finish();
    /// `seconds`: from the end of the prompt until now, for `tokens` tokens.
    SpeculationReport report(std::int64_t tokens, double seconds) const;

  private:
    std::int64_t drafted_count() const { return static_cast<std::int64_t>(proposal_.ids.size()); }
    void settle();
    void draft(std::span<const text::TokenId> history, std::int64_t most);
    void step(text::TokenId id);
    void evaluate_alone(text::TokenId id);
    void compare();

    Session& session_;
    drafts::Drafter& drafter_;
    bool goes_back_;
    DraftLength length_;
    drafts::Proposal proposal_;
    const core::Tensor* logits_;
    std::int64_t row_ = 0;    ///< of logits_, which the next token is chosen from
    std::int64_t past_;       ///< tokens of the text in the session at row 0
    Session::Checkpoint checkpoint_;
    std::vector<text::TokenId> tokens_;  ///< of the round
    std::vector<text::TokenId> owed_;    ///< taken, but not in the state since it was put back
    std::vector<float> alone_;           ///< logits of the first row when it was evaluated alone; empty: it was not
    std::int64_t last_alone_ = 0, last_history_ = 0;
    std::vector<double> plain_seconds_;
    double stepping_ = 0, drafting_ = 0;  ///< seconds
    double round_seconds_ = 0;            ///< of the round at hand
    SpeculationReport report_;
};

}  // namespace tailor::run
