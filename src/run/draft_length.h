// How many tokens to draft, from what steps cost here and how often drafts are right.
//
// With probability a that a drafted token is taken, k drafted tokens give 1 + a + a^2 + ... + a^k tokens on average (Leviathan et al.,
// 2023, equation 1), and cost c(k + 1) seconds for a step of k + 1 rows and k d for the drafting. All three are measured as the text is
// written: the k with the most tokens per second is chosen, and 0 means that drafting does not pay. Then plain steps follow, 8 at first
// and twice as many each time it still does not pay, with one draft in between to look again.
//
// Step costs are medians of the latest few; a cost that has not been seen for long is forgotten, and one that is not known follows from
// those of fewer rows. What the latest drafts brought together must also be more than plain steps bring:
// a drafter that is mostly right but at the wrong times does not pay either.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace tailor::run {

class DraftLength {
  public:
    /// The lengths that are chosen from: few, because each is a plan of its own.
    static constexpr std::array<std::int64_t, 9> lengths = {0, 1, 2, 3, 4, 6, 8, 12, 16};
    /// The longest of them that is not above `most`.
    static std::int64_t round_down(std::int64_t most);

    /// Tokens to draft next, at most `most`; called once per step.
    std::int64_t choose(std::int64_t most);
    /// A step of this many rows took so long.
    void observe_step(std::int64_t rows, double seconds);
    /// Drafting took so long and gave this many tokens (0: no idea, which costs as well).
    void observe_draft(std::int64_t tokens, double seconds);
    /// Of the drafted tokens the first `taken` were taken.
    void observe_taken(std::int64_t drafted, std::int64_t taken);
    /// A round with drafts, of all that it took, gave so many tokens.
    void observe_round(std::int64_t tokens, double seconds);

    /// Expected tokens per second of steps that draft so many; 0: not known.
    double rate(std::int64_t drafted) const;
    double taken_share() const { return right_ / tried_; }
    /// True while drafting does not pay.
    bool is_off() const { return pause_ > 0 || trial_; }

  private:
    struct Recent {
        std::array<double, 5> seconds{};
        std::int64_t count = 0, last_step = 0;
        double median() const;
    };
    double step_seconds(std::int64_t rows) const;
    bool pays(std::int64_t length) const;

    std::array<Recent, 18> steps_;  ///< by rows
    double draft_seconds_ = 0;      ///< per token
    bool draft_known_ = false;
    // Before anything is known: one of two drafted tokens is taken, which begins with two of them.
    double right_ = 1, tried_ = 2;
    double round_tokens_ = 0, round_seconds_ = 0;
    std::int64_t rounds_ = 0;  ///< since drafting began again
    std::int64_t step_ = 0, pause_ = 0, next_pause_ = 8;
    bool trial_ = false;
};

}  // namespace tailor::run
