// Packed training text: one long row of tokens cut into windows, in a new random order for each pass.
//
// Every token is predicted once per pass: windows of `length` tokens lie side by side and their targets are the tokens one later. No
// padding, no cutting at sentences: Brown et al., "Language Models are Few-Shot Learners", 2020, section 2.3.
#pragma once
#include <cstdint>
#include <vector>

#include "text/tokenizer.h"

namespace tailor::train {

class TokenWindows {
  public:
    /// Throws Error(usage) if there are fewer than length + 1 tokens.
    TokenWindows(std::vector<text::TokenId> tokens, std::int64_t length, std::uint64_t seed);

    /// Windows in one pass.
    std::int64_t count() const { return count_; }
    /// Appends the next window to `ids` and the tokens that follow each of them to `targets`. With a `first` of 0 or more, it takes the
    /// place of the window's first token: models that were given BOS at the begin of every text expect it.
    void next(std::vector<std::int32_t>& ids, std::vector<std::int32_t>& targets, text::TokenId first = -1);

    /// Goes on where `windows` calls of next() after the beginning lead, in this or any pass.
    void seek(std::int64_t windows);
    /// A hash of the tokens, their windows and their order: the same for texts that are read alike.
    std::uint64_t identity() const;

  private:
    void shuffle();
    std::vector<text::TokenId> tokens_;
    std::int64_t length_, count_, at_ = 0, pass_ = 0;
    std::uint64_t seed_;
    std::vector<std::int64_t> order_;
};

}  // namespace tailor::train
