// Finding special tokens in text before it is tokenized.
//
// User-defined tokens ("<|user|>", runs of spaces) stand for themselves wherever they occur; control tokens ("<s>") only
// where the caller allows it, so that a user's text cannot forge the structure of a conversation. Among overlapping
// occurrences the longest token wins, then the leftmost.
//
// A vocabulary may hold thousands of them. Their texts are sorted, and at every position the range of those that agree
// with the text so far is narrowed byte by byte: positions where nothing can begin cost one table look-up. Then the
// lengths that were seen are served from the longest to the shortest.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/regex.h"
#include "text/tokenizer.h"

namespace tailor::text {

/// A part of a text: plain text if id is -1, or a special token.
struct Fragment {
    Span span;
    TokenId id = -1;
};

class SpecialTokens {
  public:
    struct Entry {
        std::string_view text;  ///< outlives the SpecialTokens
        TokenId id = -1;
        bool control = false;       ///< found only on request
        bool strips_right = false;  ///< swallows the white space that follows it
    };
    SpecialTokens() = default;
    /// Entries with an empty text are ignored.
    explicit SpecialTokens(std::vector<Entry> entries);

    /// The fragments of `text` in order, without empty ones.
    std::vector<Fragment> split(std::string_view text, bool with_control) const;

  private:
    /// Calls visit(entry) for every entry that occurs at text[begin], the shortest first.
    template <class Visit>
    void each_at(std::string_view text, std::size_t begin, bool with_control, const Visit& visit) const;
    struct Hit {
        std::size_t begin;
        const Entry* entry;
    };
    std::vector<Hit> chosen(std::string_view text, bool with_control) const;

    std::vector<Entry> entries_;                   ///< sorted by text
    std::array<std::uint32_t, 257> first_byte_{};  ///< entries that begin with byte b: [first_byte_[b], first_byte_[b + 1])
};

}  // namespace tailor::text
