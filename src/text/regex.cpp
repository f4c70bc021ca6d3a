// The only file that includes PCRE2; see regex.h.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "core/error.h"
#include "text/unicode.h"

namespace tailor::text {

static std::string message(int code) {
    PCRE2_UCHAR buffer[256];
    pcre2_get_error_message(code, buffer, sizeof buffer);
    return reinterpret_cast<const char*>(buffer);
}

/// \s becomes \p{White_Space}, inside and outside of brackets.
static std::string with_white_space(std::string_view expression) {
    std::string result;
    for (std::size_t i = 0; i < expression.size(); ++i) {
        if (expression[i] != '\\' || i + 1 == expression.size()) {
            result += expression[i];
            continue;
        }
        const char escaped = expression[++i];
        if (escaped == 's') result += "\\p{White_Space}";
        else if (escaped == 'S') result += "\\P{White_Space}";
        else (result += '\\') += escaped;
    }
    return result;
}

/// Rewrites an expression in Oniguruma's Ruby syntax for PCRE2, one construct at a time.
class Translation {
  public:
    Translation(std::string_view expression, std::string_view what) : in_(expression), what_(what) {}

    std::string run() {
        while (at_ < in_.size()) {
            const char c = in_[at_];
            if (c == '\\' && at_ + 1 < in_.size()) escape();
            else if (in_class_) class_member(c);
            else if (c == '[') open_class();
            else if (in_.substr(at_, 2) == "(?") group();
            else copy(1);
        }
        return std::move(out_);
    }

  private:
    void copy(std::size_t count) {
        out_ += in_.substr(at_, count);
        at_ += count;
    }
    [[noreturn]] void refuse(std::string_view construct) const {
        core::fail(core::ErrorKind::unsupported, "{}: the expression '{}' has {} at byte {}, which is not supported", what_, in_, construct, at_);
    }
    /// A set of characters, written as the inside of brackets.
    void set(std::string_view inside, bool complement = false) {
        if (in_class_ && complement) refuse("a complement inside of brackets");
        if (in_class_) out_ += inside;
        else ((out_ += complement ? "[^" : "[") += inside) += ']';
        at_ += 2;
    }
    void escape() {
        // Annex 18 of Unicode, as Oniguruma has it.
        static constexpr std::string_view word = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
        switch (in_[at_ + 1]) {
            case 's': return set("\\p{White_Space}");
            case 'S': out_ += "\\P{White_Space}"; at_ += 2; return;
            case 'w': return set(word);
            case 'W': return set(word, true);
            case 'h': return set("0-9A-Fa-f");
            case 'H': return set("0-9A-Fa-f", true);
            case 'p': case 'P': return property();
            case 'u':
                if (at_ + 6 > in_.size()) refuse("an unfinished \\u");
                ((out_ += "\\x{") += in_.substr(at_ + 2, 4)) += '}';
                at_ += 6;
                return;
            default: copy(2);
        }
    }
    /// \p{Han} means the script; PCRE2 would also take characters that other scripts share with it. Longer names of categories
    /// it does not know.
    void property() {
        const std::size_t end = in_.find('}', at_);
        if (in_.substr(at_ + 2, 1) != "{" || end == std::string_view::npos) return copy(2);
        static constexpr std::string_view categories[][2] = {{"Letter", "L"}, {"Mark", "M"},   {"Number", "N"}, {"Punctuation", "P"},
                                                             {"Symbol", "S"}, {"Separator", "Z"}, {"Other", "C"},  {"Alpha", "Alphabetic"},
                                                             {"Digit", "Nd"}, {"Punct", "P"},  {"Space", "White_Space"}};
        std::string_view name = in_.substr(at_ + 3, end - at_ - 3);
        const bool negated = !name.empty() && name[0] == '^';
        if (negated) name.remove_prefix(1);
        std::string ours = name.size() > 2 && name != "Any" && name != "Alphabetic" && name != "White_Space" ? "sc:" + std::string(name)
                                                                                                            : std::string(name);
        for (const auto& [theirs, short_name] : categories)
            if (name == theirs) ours = short_name;
        ((((out_ += '\\') += (in_[at_ + 1] == 'P') != negated ? 'P' : 'p') += '{') += ours) += '}';
        at_ = end + 1;
    }
    void open_class() {
        in_class_ = true;
        copy(1);
        if (at_ < in_.size() && in_[at_] == '^') copy(1);
        if (at_ < in_.size() && in_[at_] == ']') copy(1);
    }
    void class_member(char c) {
        if (in_.substr(at_, 2) == "[:") {
            const std::size_t end = in_.find(":]", at_ + 2);
            if (end != std::string_view::npos) return copy(end + 2 - at_);
        }
        if (c == '[') refuse("brackets inside of brackets");
        if (in_.substr(at_, 2) == "&&") refuse("an intersection of sets");
        in_class_ = c != ']';
        copy(1);
    }
    /// In Ruby (?m) lets the dot match line ends, which is (?s) elsewhere.
    void group() {
        copy(2);
        const std::size_t end = in_.find_first_not_of("imx-", at_);
        if (end == std::string_view::npos || (in_[end] != ':' && in_[end] != ')')) return;
        for (; at_ < end; ++at_) out_ += in_[at_] == 'm' ? 's' : in_[at_];
    }

    std::string_view in_, what_;
    std::string out_;
    std::size_t at_ = 0;
    bool in_class_ = false;
};

static bool can_match_empty(const pcre2_code* code) {
    std::uint32_t result = 0;
    pcre2_pattern_info(code, PCRE2_INFO_MATCHEMPTY, &result);
    return result != 0;
}

/// Compiled code, or nullptr with the reason in `error`.
static pcre2_code* compile(const std::string& text, std::uint32_t options, std::string& error) {
    int code = 0;
    PCRE2_SIZE position = 0;
    pcre2_code* const result = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_UTF | PCRE2_UCP | options, &code,
                                             &position, nullptr);
    if (!result) error = core::format("{} at byte {}", message(code), position);
    // A failure here only means that matches are interpreted.
    else pcre2_jit_compile(result, PCRE2_JIT_COMPLETE);
    return result;
}

Regex::Regex(std::string_view expression) {
    const std::string text = with_white_space(expression);
    std::string error;
    code_ = compile(text, PCRE2_DOLLAR_ENDONLY, error);
    if (!code_) core::fail(core::ErrorKind::bug, "expression '{}' does not compile: {}", text, error);
    matches_empty_ = can_match_empty(static_cast<pcre2_code*>(code_));
}

Regex Regex::oniguruma(std::string_view expression, std::string_view what) {
    const std::string text = Translation(expression, what).run();
    std::string error;
    Regex result;
    // \C would match a part of a character.
    result.code_ = compile(text, PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, error);
    if (!result.code_)
        core::fail(core::ErrorKind::unsupported, "{}: the expression '{}' does not compile: {}", what, expression, error);
    result.matches_empty_ = can_match_empty(static_cast<pcre2_code*>(result.code_));
    return result;
}

Regex::~Regex() { pcre2_code_free(static_cast<pcre2_code*>(code_)); }
Regex::Regex(Regex&& other) noexcept : code_(std::exchange(other.code_, nullptr)), matches_empty_(other.matches_empty_) {}

void Regex::matches(std::string_view text, Span piece, std::vector<Span>& result) const {
    const auto* const code = static_cast<const pcre2_code*>(code_);
    // Kept between calls: making one costs more than most matches.
    thread_local const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match(pcre2_match_data_create(1, nullptr),
                                                                                            &pcre2_match_data_free);
    if (!match) throw std::bad_alloc();
    const PCRE2_SIZE* const bounds = pcre2_get_ovector_pointer(match.get());
    const auto* const subject = reinterpret_cast<PCRE2_SPTR>(text.data() + piece.begin);
    std::size_t last_end = SIZE_MAX;
    for (std::size_t at = 0; at < piece.length || (matches_empty_ && at == piece.length);) {
        int status = pcre2_match(code, subject, piece.length, at, PCRE2_NO_UTF_CHECK, match.get(), nullptr);
        // Compiled code has a small fixed stack; the interpreter keeps its own on the heap.
        if (status == PCRE2_ERROR_JIT_STACKLIMIT)
            status = pcre2_match(code, subject, piece.length, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match.get(), nullptr);
        if (status == PCRE2_ERROR_NOMATCH) return;
        if (status < 0)
            core::fail(core::ErrorKind::unsupported,
                       "a text of {} bytes cannot be cut into words: {}; give it in shorter parts", piece.length, message(status));
        // \K may put the beginning of a match behind its end.
        const std::size_t end = bounds[1], begin = std::min<std::size_t>(bounds[0], end);
        if (end > begin || end != last_end) result.push_back({piece.begin + begin, end - begin});
        last_end = end;
        at = end > begin ? end : begin < piece.length ? begin + code_point(text, piece.begin + begin).bytes : piece.length + 1;
    }
}

void Regex::cut(std::string_view text, const std::vector<Span>& pieces, std::vector<Span>& result) const {
    std::vector<Span> found;
    for (const Span& piece : pieces) {
        found.clear();
        matches(text, piece, found);
        std::size_t at = piece.begin;
        const auto keep = [&](std::size_t end) {
            if (end > at) result.push_back({at, end - at});
            at = std::max(at, end);
        };
        for (const Span& match : found) {
            keep(match.begin);
            keep(match.begin + match.length);
        }
        keep(piece.begin + piece.length);
    }
}

}  // namespace tailor::text
