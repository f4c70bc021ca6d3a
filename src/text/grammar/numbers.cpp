// Decimal numbers within bounds; see numbers.h.
//
// Whole numbers from a to b of one length share a prefix; at the first digit that differs they fall into three groups: that digit of
// a and what is not below the rest of a; a digit between and anything; that digit of b and what is not above the rest of b.
#include "text/grammar/numbers.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace tailor::text::grammar {

// Every whole number of up to 15 digits is exact as a double, which is what most readers of JSON keep.
constexpr std::int64_t largest = 999'999'999'999'999;

static Expression digits(std::size_t count) { return repeat(characters({{'0', '9'}}), static_cast<std::int64_t>(count), static_cast<std::int64_t>(count)); }
static Expression digit_between(char first, char last) { return characters({{static_cast<char32_t>(first), static_cast<char32_t>(last)}}); }

static bool consists_of(std::string_view s, char digit) { return s.find_first_not_of(digit) == std::string_view::npos; }

static Expression not_below(std::string_view s) {
    if (consists_of(s, '0')) return digits(s.size());
    std::vector<Expression> parts{sequence({literal(s.substr(0, 1)), not_below(s.substr(1))})};
    if (s[0] < '9') parts.push_back(sequence({digit_between(static_cast<char>(s[0] + 1), '9'), digits(s.size() - 1)}));
    return choice(std::move(parts));
}
static Expression not_above(std::string_view s) {
    if (consists_of(s, '9')) return digits(s.size());
    std::vector<Expression> parts{sequence({literal(s.substr(0, 1)), not_above(s.substr(1))})};
    if (s[0] > '0') parts.push_back(sequence({digit_between('0', static_cast<char>(s[0] - 1)), digits(s.size() - 1)}));
    return choice(std::move(parts));
}

static Expression of_one_length(const std::string& a, const std::string& b) {
    std::size_t common = 0;
    while (common < a.size() && a[common] == b[common]) ++common;
    const Expression prefix = literal(std::string_view(a).substr(0, common));
    if (common == a.size()) return prefix;
    const std::string_view after_a = std::string_view(a).substr(common + 1), after_b = std::string_view(b).substr(common + 1);
    if (consists_of(after_a, '0') && consists_of(after_b, '9')) return sequence({prefix, digit_between(a[common], b[common]), digits(after_a.size())});
    std::vector<Expression> parts{sequence({literal(a.substr(common, 1)), not_below(after_a)}), sequence({literal(b.substr(common, 1)), not_above(after_b)})};
    if (b[common] - a[common] > 1) parts.push_back(sequence({digit_between(static_cast<char>(a[common] + 1), static_cast<char>(b[common] - 1)), digits(after_a.size())}));
    return sequence({prefix, choice(std::move(parts))});
}

// 0 <= a <= b.
static Expression naturals(std::int64_t a, std::int64_t b) {
    std::vector<Expression> parts;
    for (std::int64_t low = a; low <= b;) {
        const std::string text = std::to_string(low);
        const std::int64_t high = std::min(b, static_cast<std::int64_t>(std::stoll(std::string(text.size(), '9'))));
        parts.push_back(of_one_length(text, std::to_string(high)));
        low = high + 1;
    }
    return choice(std::move(parts));
}

struct Whole {
    std::int64_t least, most;
    bool least_exclusive, most_exclusive;  ///< of numbers with a fraction
};

static Whole whole_bounds(std::optional<Bound> least, std::optional<Bound> most, const std::string& where) {
    const double low = least ? std::ceil(least->value) : -static_cast<double>(largest), high = most ? std::floor(most->value) : static_cast<double>(largest);
    Whole w{};
    w.least = static_cast<std::int64_t>(std::max(low, -static_cast<double>(largest))), w.most = static_cast<std::int64_t>(std::min(high, static_cast<double>(largest)));
    w.least_exclusive = least && least->exclusive && low == least->value, w.most_exclusive = most && most->exclusive && high == most->value;
    if (!(low <= static_cast<double>(largest)) || !(high >= -static_cast<double>(largest)) || w.least > w.most)
        core::fail(core::ErrorKind::unsupported, "{}: there is no whole number of up to 15 digits within the bounds", where);
    return w;
}

Expression integers_between(std::optional<Bound> least, std::optional<Bound> most, const std::string& where) {
    Whole w = whole_bounds(least, most, where);
    w.least += w.least_exclusive, w.most -= w.most_exclusive;
    if (w.least > w.most) core::fail(core::ErrorKind::unsupported, "{}: there is no whole number within the bounds", where);
    std::vector<Expression> parts;
    if (w.most >= 0) parts.push_back(naturals(std::max<std::int64_t>(0, w.least), w.most));
    if (w.least < 0) parts.push_back(sequence({literal("-"), naturals(std::max<std::int64_t>(1, -w.most), -w.least)}));
    return choice(std::move(parts));
}

static Expression fraction() { return sequence({literal("."), repeat(characters({{'0', '9'}}), 1, 15)}); }
static Expression positive_fraction() { return sequence({literal("."), repeat(characters({{'0', '9'}}), 0, 14), characters({{'1', '9'}})}); }

// Numbers from a to b, 0 <= a <= b: a fraction may follow every whole number but the last.
static void add_magnitudes(std::int64_t a, bool a_exclusive, std::int64_t b, bool b_exclusive, const char* sign, std::vector<Expression>& parts) {
    const std::int64_t from = a + a_exclusive;
    if (a_exclusive && a < b) parts.push_back(sequence({literal(sign), naturals(a, a), positive_fraction()}));
    if (from < b) parts.push_back(sequence({literal(sign), naturals(from, b - 1), optional(fraction())}));
    if (!b_exclusive && from <= b) parts.push_back(sequence({literal(sign), naturals(b, b)}));
}

Expression numbers_between(std::optional<Bound> least, std::optional<Bound> most, const std::string& where) {
    const Whole w = whole_bounds(least, most, where);
    std::vector<Expression> parts;
    if (w.most >= 0) add_magnitudes(std::max<std::int64_t>(0, w.least), w.least >= 0 && w.least_exclusive, w.most, w.most_exclusive, "", parts);
    if (w.least < 0) add_magnitudes(std::max<std::int64_t>(0, -w.most), w.most > 0 ? true : w.most_exclusive, -w.least, w.least_exclusive, "-", parts);
    if (parts.empty()) core::fail(core::ErrorKind::unsupported, "{}: there is no number within the bounds that could be written", where);
    return choice(std::move(parts));
}

Expression any_number() {
    const Expression exponent = sequence({characters({{'e', 'e'}, {'E', 'E'}}), optional(characters({{'+', '+'}, {'-', '-'}})), repeat(characters({{'0', '9'}}), 1, 2)});
    return sequence({optional(literal("-")), naturals(0, largest), optional(fraction()), optional(exponent)});
}

}  // namespace tailor::text::grammar
