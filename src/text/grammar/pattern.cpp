// JSON strings and the regular expressions that they may have to match; see json_text.h.
#include <algorithm>

#include "core/error.h"
#include "text/grammar/json_text.h"
#include "text/unicode.h"

namespace tailor::text::grammar {

Expression plain_characters(std::vector<Range> without) {
    without.insert(without.end(), {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}, {0x7F, 0x7F}});
    return other_characters(std::move(without));
}

static Expression hexadecimal() { return characters({{'0', '9'}, {'a', 'f'}, {'A', 'F'}}); }

Expression string_character() {
    const Expression below_d = sequence({characters({{'0', '9'}, {'a', 'c'}, {'e', 'f'}, {'A', 'C'}, {'E', 'F'}}), repeat(hexadecimal(), 3, 3)});
    const Expression d = sequence({characters({{'d', 'd'}, {'D', 'D'}}), characters({{'0', '7'}}), repeat(hexadecimal(), 2, 2)});
    const Expression short_escape = characters({{'"', '"'}, {'\\', '\\'}, {'/', '/'}, {'b', 'b'}, {'f', 'f'}, {'n', 'n'}, {'r', 'r'}, {'t', 't'}});
    return choice({plain_characters(), sequence({literal("\\"), choice({short_escape, sequence({literal("u"), choice({below_d, d})})})})});
}

Expression escaped(const std::vector<Range>& ranges) {
    std::vector<Range> plain;
    std::vector<Expression> parts;
    const auto contains = [&](char32_t c) { return std::any_of(ranges.begin(), ranges.end(), [&](const Range& r) { return r.first <= c && c <= r.second; }); };
    constexpr std::pair<char32_t, const char*> escapes[] = {{'"', "\\\""}, {'\\', "\\\\"}, {'\n', "\\n"}, {'\r', "\\r"}, {'\t', "\\t"}, {'\b', "\\b"}, {'\f', "\\f"}};
    for (const auto& [c, text] : escapes)
        if (contains(c)) parts.push_back(literal(text));
    for (const Range& r : ranges) {
        char32_t next = std::max<char32_t>(r.first, 0x20);
        for (const char32_t special : {U'"', U'\\', U'\x7F'}) {
            if (special < next || special > r.second) continue;
            if (special > next) plain.emplace_back(next, special - 1);
            next = special + 1;
        }
        if (next <= r.second) plain.emplace_back(next, r.second);
    }
    if (!plain.empty()) parts.push_back(characters(std::move(plain)));
    return parts.size() == 1 ? parts[0] : choice(std::move(parts));
}

namespace {

constexpr int most_depth = 100;

class Pattern {
  public:
    Pattern(std::string_view text, const std::string& where) : text_(text), where_(where) {}

    Expression parse() {
        const bool from_start = take("^");
        std::vector<Expression> parts;
        if (!from_start) parts.push_back(repeat(string_character(), 0, -1));
        Expression inside = alternatives(0);
        const bool several = inside.kind == Expression::Kind::choice && several_;
        if (at_ < text_.size()) unsupported("')' without '('");
        if (several && (from_start || to_end_)) unsupported("^ or $ beside | outside of a group");
        parts.push_back(std::move(inside));
        if (!to_end_) parts.push_back(repeat(string_character(), 0, -1));
        return sequence(std::move(parts));
    }

  private:
    [[noreturn]] void unsupported(std::string_view what) const {
        core::fail(core::ErrorKind::unsupported, "{}: the pattern '{}' is not supported: {} at character {}", where_, text_, what, at_ + 1);
    }
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(std::string_view s) {
        if (text_.substr(at_).substr(0, s.size()) != s) return false;
        at_ += s.size();
        return true;
    }
    Expression alternatives(int depth) {
        if (depth > most_depth) unsupported("groups nested so deeply");
        std::vector<Expression> parts{in_a_row(depth)};
        while (take("|")) parts.push_back(in_a_row(depth));
        if (depth == 0) several_ = parts.size() > 1;
        return parts.size() == 1 ? parts[0] : choice(std::move(parts));
    }
    Expression in_a_row(int depth) {
        std::vector<Expression> parts;
        while (at_ < text_.size() && peek() != '|' && peek() != ')') {
            if (depth == 0 && text_.substr(at_) == "$") {
                ++at_, to_end_ = true;
                break;
            }
            parts.push_back(repeated(one(depth)));
        }
        return sequence(std::move(parts));
    }
    Expression repeated(Expression what) {
        for (;;) {
            std::int64_t least = 0, most = -1;
            if (take("*")) {
            } else if (take("+")) least = 1;
            else if (take("?")) most = 1;
            else if (peek() == '{') {
                ++at_;
                least = most = number();
                if (take(",")) most = peek() == '}' ? -1 : number();
                if (!take("}")) unsupported("a count that does not end");
            } else return what;
            take("?");  // lazy: the same texts match
            what = repeat(std::move(what), least, most);
        }
    }
    std::int64_t number() {
        if (peek() < '0' || peek() > '9') unsupported("a count without digits");
        std::int64_t n = 0;
        while (peek() >= '0' && peek() <= '9' && n < 1'000'000) n = 10 * n + (text_[at_++] - '0');
        return n;
    }
    Expression one(int depth) {
        if (take("(")) {
            if (take("?:")) {
            } else if (peek() == '?') unsupported("a group that begins with (?");
            Expression inside = alternatives(depth + 1);
            if (!take(")")) unsupported("a group that does not end");
            return inside;
        }
        if (take("[")) return character_class();
        if (take(".")) return string_character();
        if (peek() == '^' || peek() == '$') unsupported("^ or $ inside");
        if (peek() == '*' || peek() == '+' || peek() == '?') unsupported("a repetition of nothing");
        return escaped(character_or_set());
    }
    Expression character_class() {
        const bool others = take("^");
        std::vector<Range> ranges;
        while (!take("]")) {
            if (at_ >= text_.size()) unsupported("a class that does not end");
            std::vector<Range> first = character_or_set();
            if (peek() == '-' && text_.substr(at_).substr(0, 2) != "-]" && first.size() == 1 && first[0].first == first[0].second) {
                ++at_;
                const std::vector<Range> last = character_or_set();
                if (last.size() != 1 || last[0].first != last[0].second || last[0].first < first[0].first) unsupported("a range like this");
                first[0].second = last[0].first;
            }
            ranges.insert(ranges.end(), first.begin(), first.end());
        }
        if (!others && ranges.empty()) unsupported("a class of no characters");
        // Of the others only those that need no escape: enough to match.
        return others ? plain_characters(std::move(ranges)) : escaped(ranges);
    }
    /// Behind \u: one number of four digits, or two that stand for one character (UTF-16).
    char32_t character_by_number() {
        const char32_t first = hexadecimal_number(4);
        if (first < 0xD800 || first > 0xDFFF) return first;
        const char32_t second = first < 0xDC00 && take("\\u") ? hexadecimal_number(4) : 0;
        if (second < 0xDC00 || second > 0xDFFF) unsupported("half of a character");
        return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    }
    char32_t hexadecimal_number(int digits) {
        char32_t value = 0;
        for (int i = 0; i < digits; ++i, ++at_) {
            const char c = peek();
            const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
            if (digit < 0) unsupported("an escape like this");
            value = value * 16 + static_cast<char32_t>(digit);
        }
        return value;
    }
    std::vector<Range> character_or_set() {
        if (!take("\\")) {
            const char32_t c = character();
            return {{c, c}};
        }
        const char c = peek();
        ++at_;
        switch (c) {
            case 'd': return {{'0', '9'}};
            case 'w': return {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
            case 's': return {{' ', ' '}};  // the white space that needs no escape
            case 'D': return {{0x20, '/'}, {':', 0x10FFFF}};
            case 'W': return {{0x20, '/'}, {':', '@'}, {'[', '^'}, {'`', '`'}, {'{', 0x10FFFF}};
            case 'S': return {{'!', 0x9F}, {0xA1, 0x167F}, {0x3001, 0xFEFE}};
            case 'n': return {{'\n', '\n'}};
            case 'r': return {{'\r', '\r'}};
            case 't': return {{'\t', '\t'}};
            case 'f': return {{'\f', '\f'}};
            case 'x': { const char32_t v = hexadecimal_number(2); return {{v, v}}; }
            case 'u': { const char32_t v = character_by_number(); return {{v, v}}; }
            default: break;
        }
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '\0') --at_, unsupported("an escape like this");
        --at_;
        const char32_t itself = character();
        return {{itself, itself}};
    }
    char32_t character() {
        if (at_ >= text_.size()) unsupported("nothing where a character must follow");
        const CodePoint c = code_point(text_, at_);
        if (!c.bytes) unsupported("bytes that are not UTF-8");
        at_ += c.bytes;
        return c.value;
    }

    std::string_view text_;
    const std::string& where_;
    std::size_t at_ = 0;
    bool to_end_ = false, several_ = false;
};

}  // namespace

Expression string_matching(std::string_view pattern, const std::string& where) { return Pattern(pattern, where).parse(); }

}  // namespace tailor::text::grammar
