// Regular expressions with look-ahead and Unicode properties, for cutting text into words.
//
// std::regex knows neither; PCRE2 does, and compiles expressions to machine code where it can (interpreting them where
// the system forbids that, with the same results). Two meanings are fixed here:
// - \s and \S stand for the Unicode property White_Space, as in the engines that the published expressions were
//   written for. PCRE2's own \s has one character more, U+180E.
// - A match never looks outside the piece that is being cut: at its ends, look-ahead and \b see the end of the text.
#pragma once
#include <cstddef>
#include <string_view>
#include <vector>

namespace tailor::text {

/// A part of a text, in bytes.
struct Span {
    std::size_t begin = 0, length = 0;
};

class Regex {
  public:
    /// Throws Error(bug) with the position if the expression does not compile.
    explicit Regex(std::string_view expression);
    /// An expression that someone else wrote for the Oniguruma engine in its Ruby syntax, as tokenizer.json files have
    /// them. Throws Error(unsupported) naming `what` if it does not compile or holds what the engines understand differently.
    static Regex oniguruma(std::string_view expression, std::string_view what);
    ~Regex();
    Regex(Regex&& other) noexcept;
    Regex(const Regex&) = delete;
    Regex& operator=(const Regex&) = delete;

    /// Cuts each of `pieces` of `text`, which must be valid UTF-8: every match becomes a piece of its own, and so does
    /// every gap between matches. An empty match cuts where it stands. Appends to `result`; nothing is lost or reordered.
    /// Safe to call from several threads. Throws Error(unsupported) if the matcher runs out of its own limits.
    void cut(std::string_view text, const std::vector<Span>& pieces, std::vector<Span>& result) const;

    /// Appends every match in `piece` of `text`, as cut() finds them. An empty one counts unless another ends where it stands.
    /// Throws as cut() does.
    void matches(std::string_view text, Span piece, std::vector<Span>& result) const;

  private:
    Regex() = default;
    void* code_ = nullptr;
    bool matches_empty_ = false;  ///< it can match the empty text
};

}  // namespace tailor::text
