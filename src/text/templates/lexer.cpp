// One pass over the source; see lexer.h.
#include "text/templates/lexer.h"

#include <algorithm>

#include "core/error.h"
#include "text/templates/characters.h"
#include "text/unicode.h"

namespace tailor::text::templates {
namespace {

using Kind = Token::Kind;

std::string with_plain_line_breaks(std::string_view source) {
    std::string result;
    result.reserve(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
        result += source[i] == '\r' ? '\n' : source[i];
        if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
    if (!result.empty() && result.back() == '\n') result.pop_back();
    return result;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool starts_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80; }

class Lexer {
  public:
    Lexer(std::string_view source, std::string_view name) : source_(source), name_(name) {}
    std::vector<Token> run();

  private:
    template <class... A>
    [[noreturn]] void fail(std::string_view pattern, const A&... arguments) const {
        core::fail(core::ErrorKind::format, "{}, line {}: {}", name_, line_, core::format(pattern, arguments...));
    }
    std::string_view rest() const { return source_.substr(at_); }
    bool sees(std::string_view text) const { return rest().substr(0, text.size()) == text; }
    void advance(std::size_t bytes);
    void add(Kind kind, std::string text = {}) { tokens_.push_back({kind, std::move(text), line_}); }

    std::size_t find_tag() const;
    void data_before(std::size_t tag);
    void close(std::string_view end, bool trims_line_break);
    void skip_comment();
    bool try_raw();
    void inside(std::string_view end, Kind end_kind);
    bool at_end_of_tag(std::string_view end) const;
    void expression_token();
    void number();
    void quoted();
    void escape(std::string& text);
    void symbol();

    std::string_view source_, name_;
    std::size_t at_ = 0;
    int line_ = 1;
    bool line_starts_ = true;  ///< the text before at_ ended with a line break that was part of a tag
    std::vector<Token> tokens_;
    std::string open_;         ///< closing brackets that are awaited
};

void Lexer::advance(std::size_t bytes) {
    line_ += static_cast<int>(
        std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_), source_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes), '\n'));
    at_ += bytes;
}

std::size_t Lexer::find_tag() const {
    for (std::size_t i = source_.find('{', at_); i != std::string_view::npos && i + 1 < source_.size(); i = source_.find('{', i + 1))
        if (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#') return i;
    return std::string_view::npos;
}

// The text up to a tag, less what the tag's sign and lstrip_blocks take away.
void Lexer::data_before(std::size_t tag) {
    std::string_view data = source_.substr(at_, tag - at_);
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
    if (sign == '-') {
        data = right_stripped(data);
    } else if (sign != '+' && source_[tag + 1] != '{') {
        const std::size_t line_break = data.rfind('\n');
        const std::size_t line = line_break == std::string_view::npos ? 0 : line_break + 1;
        if ((line > 0 || line_starts_) && left_stripped(data.substr(line)).empty()) data = data.substr(0, line);
    }
    if (!data.empty()) add(Kind::data, std::string(data));
    advance(tag - at_);
}

// Past the end of a tag, whose sign stands before `end`.
void Lexer::close(std::string_view end, bool trims_line_break) {
    const std::size_t begin = at_;
    const char sign = source_[at_];
    advance(end.size() + (sign == '-' || sign == '+'));
    if (sign == '-') advance(rest().size() - left_stripped(rest()).size());
    else if (sign != '+' && trims_line_break && sees("\n")) advance(1);
    line_starts_ = at_ > begin && source_[at_ - 1] == '\n';
}

void Lexer::skip_comment() {
    const std::size_t end = source_.find("#}", at_ + 2);
    if (end == std::string_view::npos) fail("a comment is not closed with '#}}'");
    const bool has_sign = end > at_ + 2 && (source_[end - 1] == '-' || source_[end - 1] == '+');
    // In {#-#} the sign belongs to the beginning.
    const std::size_t close_at = has_sign && end - 1 >= at_ + 2 + (source_[at_ + 2] == '-' || source_[at_ + 2] == '+') ? end - 1 : end;
    advance(close_at - at_);
    close("#}", true);
}

// {% raw %} ... {% endraw %}: the text between as it is.
bool Lexer::try_raw() {
    std::size_t i = at_ + 2;
    const auto skip_blanks = [&] { i = source_.size() - left_stripped(source_.substr(i)).size(); };
    const auto word = [&](std::string_view expected) {
        if (i < source_.size() && (source_[i] == '-' || source_[i] == '+')) ++i;
        skip_blanks();
        if (source_.substr(i, expected.size()) != expected) return false;
        i += expected.size();
        skip_blanks();
        return source_.substr(i, 2) == "%}" || source_.substr(i, 3) == "-%}" || source_.substr(i, 3) == "+%}";
    };
    if (!word("raw")) return false;
    advance(i - at_);
    close("%}", false);
    for (std::size_t end = source_.find("{%", at_); end != std::string_view::npos; end = source_.find("{%", end + 2)) {
        i = end + 2;
        if (!word("endraw")) continue;
        data_before(end);
        advance(i - at_);
        close("%}", true);
        return true;
    }
    fail("{{% raw %}} is not closed with {{% endraw %}}");
}

bool Lexer::at_end_of_tag(std::string_view end) const {
    if (!open_.empty()) return false;
    return sees(end) || ((sees("-") || (end == "%}" && sees("+"))) && source_.substr(at_ + 1, 2) == end);
}

void Lexer::inside(std::string_view end, Kind end_kind) {
    const int begin_line = line_;
    while (true) {
        advance(rest().size() - left_stripped(rest()).size());
        if (at_ == source_.size()) fail("the tag that begins at line {} is not closed with '{}'", begin_line, end);
        if (at_end_of_tag(end)) break;
        expression_token();
    }
    add(end_kind);
    close(end, end_kind == Kind::block_end);
}

void Lexer::expression_token() {
    const char c = source_[at_];
    if (is_digit(c)) return number();
    if (c == '"' || c == '\'') return quoted();
    if (!starts_name(c)) return symbol();
    std::size_t end = at_;
    while (end < source_.size() && (starts_name(source_[end]) || is_digit(source_[end]))) ++end;
    add(Kind::name, std::string(source_.substr(at_, end - at_)));
    advance(end - at_);
}

// Digits with single underscores between them, a fraction and an exponent; 0x, 0o and 0b begin other bases.
void Lexer::number() {
    std::size_t end = at_;
    std::string digits;
    const auto run = [&](std::string_view allowed) {
        const std::size_t before = digits.size();
        while (end < source_.size()) {
            const bool joins =
                source_[end] == '_' && digits.size() > before && end + 1 < source_.size() && allowed.find(source_[end + 1]) != std::string_view::npos;
            if (joins) ++end;
            else if (allowed.find(source_[end]) != std::string_view::npos) digits += source_[end++];
            else break;
        }
        return digits.size() > before;
    };
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';  // in a.0.1 the numbers are positions
    bool real = false;
    const char base = source_[at_] == '0' && at_ + 1 < source_.size() ? static_cast<char>(source_[at_ + 1] | 0x20) : ' ';
    if (base == 'x' || base == 'o' || base == 'b') {
        digits = {'0', base};
        end += 2;
        if (!run(base == 'x' ? "0123456789abcdefABCDEF" : base == 'o' ? "01234567" : "01")) fail("a number has no digits");
    } else {
        run("0123456789");
        const auto digit_at = [&](std::size_t i) { return i < source_.size() && is_digit(source_[i]); };
        if (!after_dot && end < source_.size() && source_[end] == '.' && digit_at(end + 1)) {
            real = true;
            digits += source_[end++];
            run("0123456789");
        }
        if (!after_dot && end < source_.size() && (source_[end] | 0x20) == 'e') {
            const std::size_t sign = end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-');
            if (digit_at(end + 1 + sign)) {
                real = true;
                digits += source_.substr(end, 1 + sign);
                end += 1 + sign;
                run("0123456789");
            }
        }
    }
    add(real ? Kind::real : Kind::integer, digits);
    advance(end - at_);
}

void Lexer::quoted() {
    const int begin_line = line_;
    const char quote = source_[at_];
    std::string text;
    ++at_;
    while (true) {
        if (at_ >= source_.size()) fail("the text that begins at line {} is not closed with {}", begin_line, std::string(1, quote));
        const char c = source_[at_];
        if (c == quote) break;
        if (c == '\\') {
            escape(text);
        } else {
            text += c;
            advance(1);
        }
    }
    ++at_;
    tokens_.push_back({Kind::text, std::move(text), begin_line});
}

// Python's escapes; one that it does not know stays as it is written.
void Lexer::escape(std::string& text) {
    if (at_ + 1 >= source_.size()) fail("text ends with a backslash");
    const char c = source_[at_ + 1];
    static constexpr std::string_view letters = "abfnrtv\\'\"", bytes = "\a\b\f\n\r\t\v\\'\"";
    const std::size_t simple = letters.find(c);
    const auto take_number = [&](std::size_t begin, std::size_t most, int base) {
        std::uint32_t value = 0;
        std::size_t count = 0;
        for (; count < most && begin + count < source_.size(); ++count) {
            const char d = source_[begin + count], small = static_cast<char>(d | 0x20);
            const int digit = is_digit(d) ? d - '0' : small >= 'a' && small <= 'f' ? small - 'a' + 10 : 99;
            if (digit >= base) break;
            value = value * static_cast<std::uint32_t>(base) + static_cast<std::uint32_t>(digit);
        }
        if (base == 16 && count != most) fail("\\{} needs {} hexadecimal digits", std::string(1, c), most);
        if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) fail("\\{} names no character", std::string(1, c));
        append_utf8(text, value);
        advance(begin + count - at_);
    };
    if (simple != std::string_view::npos) {
        text += bytes[simple];
        advance(2);
    } else if (c == '\n') {
        advance(2);
    } else if (c == 'x' || c == 'u' || c == 'U') {
        take_number(at_ + 2, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16);
    } else if (c >= '0' && c <= '7') {
        take_number(at_ + 1, 3, 8);
    } else if (c == 'N') {
        core::fail(core::ErrorKind::unsupported, "{}, line {}: characters by name (\\N) are not supported", name_, line_);
    } else {
        text += '\\';
        advance(1);
    }
}

void Lexer::symbol() {
    static constexpr std::string_view symbols[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")",
                                                   "{",  "}",  ">",  "<",  "=",  ".",  ":", "|", ",", ";"};
    const auto* const found = std::find_if(std::begin(symbols), std::end(symbols), [&](std::string_view s) { return sees(s); });
    if (found == std::end(symbols)) fail("'{}' does not belong in a tag", rest().substr(0, character_bytes(rest(), 0)));
    const char c = (*found)[0];
    const std::size_t kind = std::string_view("([{").find(c);
    if (kind != std::string_view::npos) {
        open_ += ")]}"[kind];
    } else if (c == ')' || c == ']' || c == '}') {
        if (open_.empty()) fail("'{}' closes nothing", std::string(1, c));
        if (open_.back() != c) fail("'{}' stands where '{}' should", std::string(1, c), std::string(1, open_.back()));
        open_.pop_back();
    }
    add(Kind::symbol, std::string(*found));
    advance(found->size());
}

std::vector<Token> Lexer::run() {
    while (true) {
        const std::size_t tag = find_tag();
        if (tag == std::string_view::npos) break;
        data_before(tag);
        const char kind = source_[at_ + 1];
        if (kind == '#') {
            skip_comment();
            continue;
        }
        if (kind == '%' && try_raw()) continue;
        add(kind == '{' ? Kind::print_begin : Kind::block_begin);
        at_ += 2;
        if (sees("-") || sees("+")) ++at_;
        if (kind == '{') inside("}}", Kind::print_end);
        else inside("%}", Kind::block_end);
    }
    if (at_ < source_.size()) add(Kind::data, std::string(rest()));
    add(Kind::end);
    return std::move(tokens_);
}

}  // namespace

std::vector<Token> tokenize(std::string_view source, std::string_view template_name) {
    const std::string text = with_plain_line_breaks(source);
    return Lexer(text, template_name).run();
}

}  // namespace tailor::text::templates
