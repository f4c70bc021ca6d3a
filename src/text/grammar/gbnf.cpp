// GBNF, the notation of grammars that llama.cpp made common; see grammar.h.
#include "core/error.h"
#include "text/grammar/grammar.h"
#include "text/unicode.h"

namespace tailor::text::grammar {
namespace {

constexpr int most_depth = 200;  // of groups within groups

class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text) {}

    Rules parse() {
        RuleBuilder rules;
        for (skip(); at_ < text_.size(); skip()) {
            const std::string name = word();
            if (name.empty()) fail_here("a rule must begin with its name");
            skip();
            if (!take("::=")) fail_here("'::=' must follow the name of a rule");
            const Expression expression = alternatives(0);
            rules.define(name, expression);
        }
        if (!rules.has("root")) core::fail(core::ErrorKind::format, "grammar: there is no rule 'root' to begin with");
        return rules.finish("root");
    }

  private:
    [[noreturn]] void fail_here(std::string_view what) const {
        std::size_t line = 1, column = 1;
        for (std::size_t i = 0; i < std::min(at_, text_.size()); ++i) text_[i] == '\n' ? (++line, column = 1) : ++column;
        core::fail(core::ErrorKind::format, "grammar, line {}, column {}: {}", line, column, what);
    }
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(std::string_view s) {
        if (text_.substr(at_).substr(0, s.size()) != s) return false;
        at_ += s.size();
        return true;
    }
    void skip() {
        while (at_ < text_.size()) {
            if (peek() == '#') at_ = std::min(text_.size(), text_.find('\n', at_));
            else if (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
            else break;
        }
    }
    static bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; }
    std::string word() {
        const std::size_t start = at_;
        while (is_word(peek())) ++at_;
        return std::string(text_.substr(start, at_ - start));
    }
    // A name that is followed by ::= begins the next rule.
    bool begins_rule() {
        const std::size_t start = at_;
        word();
        skip();
        const bool result = text_.substr(at_).substr(0, 3) == "::=";
        at_ = start;
        return result;
    }

    Expression alternatives(int depth) {
        if (depth > most_depth) fail_here("groups are nested too deeply");
        std::vector<Expression> parts{in_a_row(depth)};
        for (skip(); take("|"); skip()) parts.push_back(in_a_row(depth));
        return parts.size() == 1 ? parts[0] : choice(std::move(parts));
    }
    Expression in_a_row(int depth) {
        std::vector<Expression> parts;
        for (skip(); at_ < text_.size() && peek() != '|' && peek() != ')'; skip()) {
            if (is_word(peek()) && begins_rule()) break;
            parts.push_back(repeated(one(depth)));
        }
        if (peek() == ')' && depth == 0) fail_here("there is no '(' for this ')'");
        return sequence(std::move(parts));
    }
    Expression one(int depth) {
        if (take("\"")) return quoted();
        if (take("[")) return character_class();
        if (take(".")) return other_characters({});
        if (take("(")) {
            Expression inside = alternatives(depth + 1);
            skip();
            if (!take(")")) fail_here("')' is missing");
            return inside;
        }
        if (is_word(peek())) return reference(word());
        fail_here("expected a literal, a class, a group or the name of a rule");
    }
    Expression repeated(Expression what) {
        for (;;) {
            skip();
            if (take("*")) what = repeat(std::move(what), 0, -1);
            else if (take("+")) what = repeat(std::move(what), 1, -1);
            else if (take("?")) what = optional(std::move(what));
            else if (take("{")) {
                const std::int64_t least = number();
                std::int64_t most = least;
                skip();
                if (take(",")) {
                    skip();
                    most = peek() == '}' ? -1 : number();
                }
                skip();
                if (!take("}")) fail_here("'}' is missing");
                if (most >= 0 && most < least) fail_here("a repetition must not end before it begins");
                what = repeat(std::move(what), least, most);
            } else return what;
        }
    }
    std::int64_t number() {
        skip();
        if (peek() < '0' || peek() > '9') fail_here("expected a number");
        std::int64_t n = 0;
        while (peek() >= '0' && peek() <= '9') {
            n = 10 * n + (text_[at_++] - '0');
            if (n > 1'000'000) fail_here("the number is too large");
        }
        return n;
    }
    char32_t character(char32_t code) const {
        if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) fail_here("no character has this number; those beyond four digits are written \\U0001F600");
        return code;
    }
    char32_t hexadecimal(int digits) {
        char32_t value = 0;
        for (int i = 0; i < digits; ++i) {
            const char c = peek();
            const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
            if (digit < 0) fail_here("expected a hexadecimal digit");
            value = value * 16 + static_cast<char32_t>(digit);
            ++at_;
        }
        return value;
    }
    /// One character, escaped or not.
    char32_t character() {
        if (at_ >= text_.size()) fail_here("the text ends within a literal or class");
        if (take("\\")) {
            const char c = peek();
            ++at_;
            switch (c) {
                case 'n': return '\n';
                case 't': return '\t';
                case 'r': return '\r';
                case 'x': return hexadecimal(2);
                case 'u': return character(hexadecimal(4));
                case 'U': return character(hexadecimal(8));
                case '\\': case '"': case '[': case ']': case '-': case '^': case '/': case '.': return static_cast<char32_t>(c);
                default: --at_; fail_here("unknown escape");
            }
        }
        const CodePoint c = code_point(text_, at_);
        if (!c.bytes) fail_here("this is not UTF-8");
        at_ += c.bytes;
        return c.value;
    }
    Expression quoted() {
        std::vector<Expression> parts;
        while (!take("\"")) {
            const char32_t c = character();
            parts.push_back(characters({{c, c}}));
        }
        return sequence(std::move(parts));
    }
    Expression character_class() {
        const bool others = take("^");
        std::vector<Range> ranges;
        while (!take("]")) {
            const char32_t first = character();
            char32_t last = first;
            if (peek() == '-' && text_.substr(at_).substr(0, 2) != "-]") {
                ++at_;
                last = character();
                if (last < first) fail_here("a range of characters must not end before it begins");
            }
            ranges.emplace_back(first, last);
        }
        if (ranges.empty() && !others) fail_here("the class is empty");
        return others ? other_characters(std::move(ranges)) : characters(std::move(ranges));
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

Rules from_gbnf(std::string_view text) { return Parser(text).parse(); }

}  // namespace tailor::text::grammar
