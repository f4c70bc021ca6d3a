// What a tokenizer.json file does to text before cutting it: Unicode forms, lower case, replacements.
//
// They are those of the Hugging Face library "tokenizers", and follow what it does where names promise otherwise.
#pragma once
#include <functional>
#include <string>

#include "text/regex.h"
#include "text/tokenizer_json/element.h"

namespace tailor::text::tokenizer_json {

/// A text under way, which may grow only within reason; see check_growth().
class Draft {
  public:
    explicit Draft(std::string text) : text_(std::move(text)), original_bytes_(text_.size()) {}
    const std::string& text() const { return text_; }
    void set(std::string text) {
        check_growth(text.size(), original_bytes_);
        text_ = std::move(text);
    }
    /// The text no longer begins where the user's text did, because what stood there was stripped.
    void lose_start() { has_start_ = false; }
    bool has_start() const { return has_start_; }

  private:
    std::string text_;
    bool has_start_ = true;
    std::size_t original_bytes_;
};

/// Rewrites valid UTF-8 to valid UTF-8. Safe to call from several threads.
using Normalizer = std::function<void(Draft&)>;

/// The normalizer of an element; of null, the one that changes nothing. Throws Error(format) or Error(unsupported).
Normalizer make_normalizer(const Element& element);

/// A member "pattern": what it matches in valid UTF-8, given by {"String": ...} or {"Regex": ...}. Appends spans.
using Pattern = std::function<void(std::string_view text, Span piece, std::vector<Span>& matches)>;
Pattern make_pattern(const Element& element);

/// `text` with `content` for every match.
std::string replaced(std::string_view text, const Pattern& pattern, std::string_view content);

}  // namespace tailor::text::tokenizer_json
