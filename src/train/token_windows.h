// Packed training text: one long row of tokens cut into windows, in a new random order for each pass.
//
// Every token is predicted once per pass: windows of `length` tokens lie side by side and their targets are the tokens one later. No
// padding, no cutting at sentences: Brown et al., "Language Models are Few-Shot Learners", 2020, section 2.3. A share of the windows may be
// held out, to be evaluated and never learned: up to 32 stretches, evenly spread, each of neighbouring windows, so that a text
// of many parts is held out in all of them and few of its windows border on learned ones.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "train/tokens.h"

namespace tailor::train {

class TokenWindows {
  public:
    /// Which of the windows: those to learn, or those that are held out.
    enum class Part { learned, held_out };

    /// `held_out`: the share of all windows that is held out, at least one window if it is above 0. Throws Error(usage) if that leaves no window
    /// of length + 1 tokens.
    TokenWindows(std::shared_ptr<const Tokens> tokens, std::int64_t length, std::uint64_t seed, Part part = Part::learned, double held_out = 0);
    TokenWindows(std::vector<text::TokenId> tokens, std::int64_t length, std::uint64_t seed);

    /// Windows in one pass.
    std::int64_t count() const { return static_cast<std::int64_t>(windows_.size()); }
    /// Appends the next window to `ids` and the tokens that follow each of them to `targets`. With a `first` of 0 or more, it takes the
    /// place of the window's first token: models that were given BOS at the begin of every text expect it.
    void next(std::vector<std::int32_t>& ids, std::vector<std::int32_t>& targets, text::TokenId first = -1);

    /// Goes on where `windows` calls of next() after the beginning lead, in this or any pass.
    void seek(std::int64_t windows);
    /// What an evaluation reads: calls run(ids, targets, windows) for the first `most` windows of the first pass, `batch` of them at a time. The last
    /// batch is filled up with tokens that do not count, whose targets are -1.
    using Run = std::function<void(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, std::int64_t windows)>;
    void each_batch(std::int64_t most, std::int64_t batch, text::TokenId first, const Run& run);
    /// A hash of the tokens, their windows and their order: the same for texts that are read alike.
    std::uint64_t identity() const;

  private:
    void shuffle();
    std::shared_ptr<const Tokens> tokens_;
    std::int64_t length_, at_ = 0, pass_ = 0;
    std::uint64_t seed_;
    std::vector<std::int64_t> windows_;  ///< that take part, ascending
    std::vector<std::int64_t> order_;    ///< of them in this pass
};

}  // namespace tailor::train
