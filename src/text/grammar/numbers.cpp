// Decimal numbers within bounds; see numbers.h.
//
// Whole numbers from a to b of one length share a prefix; at the first digit that differs they fall into three groups: that digit of
// a and what is not below the rest of a; a digit between and anything; that digit of b and what is not above the rest of b. The same
// holds for the digits after the point, where texts of any length meet the shortest decimal text of a bound.
#include "text/grammar/numbers.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/error.h"

namespace tailor::text::grammar {

// Every number of up to 15 digits is a double of its own, which is what most readers of JSON keep.
constexpr std::int64_t largest = 999'999'999'999'999;
constexpr std::int64_t most_digits = 15;

static Expression any_digit() { return characters({{'0', '9'}}); }
static Expression digits(std::size_t count) { return repeat(any_digit(), static_cast<std::int64_t>(count), static_cast<std::int64_t>(count)); }
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
    bool least_exclusive, most_exclusive;  ///< these are the bounds themselves, not numbers within them
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

// ---- Numbers with a fraction ----

/// What may follow a whole number: nothing, or the digits of a fraction.
struct Tail {
    bool nothing = false;
    std::vector<Expression> some = {};  ///< alternatives, none of them empty
};

static Tail any_tail(std::int64_t left) { return left > 0 ? Tail{true, {repeat(any_digit(), 1, left)}} : Tail{true}; }

static void add(Tail& tail, char first, char last, Tail rest) {
    if (first > last) return;
    const Expression digit = digit_between(first, last);
    if (rest.nothing) tail.some.push_back(digit);
    if (!rest.some.empty()) tail.some.push_back(sequence({digit, choice(std::move(rest.some))}));
}

/// A bound's digits after the point, without zeros at the end.
struct Fraction {
    std::string_view digits;
    bool exclusive;
    char first() const { return digits.empty() ? '0' : digits[0]; }
    Fraction rest() const { return {digits.substr(std::min<std::size_t>(1, digits.size())), exclusive}; }
};

static Tail not_below(Fraction least, std::int64_t left) {
    if (least.digits.empty() && !least.exclusive) return any_tail(left);
    Tail tail;
    if (left == 0) return tail;
    add(tail, least.first(), least.first(), not_below(least.rest(), left - 1));
    add(tail, static_cast<char>(least.first() + 1), '9', any_tail(left - 1));
    return tail;
}
static Tail not_above(Fraction most, std::int64_t left) {
    Tail tail{!most.digits.empty() || !most.exclusive};
    if (left == 0 || !tail.nothing) return tail;
    add(tail, '0', static_cast<char>(most.first() - 1), any_tail(left - 1));
    add(tail, most.first(), most.first(), not_above(most.rest(), left - 1));
    return tail;
}
static Tail between(Fraction least, Fraction most, std::int64_t left) {
    Tail tail{least.digits.empty() && !least.exclusive && (!most.digits.empty() || !most.exclusive)};
    if (left == 0) return tail;
    if (least.first() == most.first()) {
        if (!least.digits.empty() || !most.digits.empty()) add(tail, least.first(), least.first(), between(least.rest(), most.rest(), left - 1));
        return tail;
    }
    add(tail, least.first(), least.first(), not_below(least.rest(), left - 1));
    add(tail, static_cast<char>(least.first() + 1), static_cast<char>(most.first() - 1), any_tail(left - 1));
    add(tail, most.first(), most.first(), not_above(most.rest(), left - 1));
    return tail;
}

/// A bound that is not negative, as text.
struct Magnitude {
    std::int64_t whole = 0;
    std::string digits;  ///< after the point
    bool exclusive = false;

    Magnitude(double value, bool exclusive_) : exclusive(exclusive_) {
        if (value > static_cast<double>(largest)) value = static_cast<double>(largest), exclusive = false;  // of numbers that can be written
        char text[400];
        const std::string fixed(text, std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr);
        const std::size_t point = std::min(fixed.size(), fixed.find('.'));
        whole = std::stoll(fixed.substr(0, point));
        if (point < fixed.size()) digits = fixed.substr(point + 1);
    }
    Fraction fraction() const { return {digits, exclusive}; }
};

static void add_numbers(const char* sign, std::int64_t first, std::int64_t last, Tail tail, std::vector<Expression>& parts) {
    if (tail.nothing) parts.push_back(sequence({literal(sign), naturals(first, last)}));
    if (!tail.some.empty()) parts.push_back(sequence({literal(sign), naturals(first, last), literal("."), choice(std::move(tail.some))}));
}

// Digits that may follow a whole number, so that no two texts are the same double: one would pass for an exclusive bound.
static std::int64_t places_after(std::int64_t whole, std::int64_t places) { return std::min(places, most_digits - static_cast<std::int64_t>(std::to_string(whole).size())); }

static void add_magnitudes(const Magnitude& least, const Magnitude& most, std::int64_t places, const char* sign, std::vector<Expression>& parts) {
    if (least.whole > most.whole) return;
    if (least.whole == most.whole) {
        if (least.digits <= most.digits) add_numbers(sign, least.whole, least.whole, between(least.fraction(), most.fraction(), places_after(least.whole, places)), parts);
        return;
    }
    add_numbers(sign, least.whole, least.whole, not_below(least.fraction(), places_after(least.whole, places)), parts);
    for (std::int64_t low = least.whole + 1, ten = 10; low < most.whole; ten *= 10) {
        if (low >= ten) continue;
        const std::int64_t high = std::min(most.whole, ten) - 1;
        add_numbers(sign, low, high, any_tail(places_after(low, places)), parts);
        low = high + 1;
    }
    add_numbers(sign, most.whole, most.whole, not_above(most.fraction(), places_after(most.whole, places)), parts);
}

Expression numbers_between(std::optional<Bound> least, std::optional<Bound> most, std::int64_t places, const std::string& where) {
    const Bound low = least.value_or(Bound{-static_cast<double>(largest), false}), high = most.value_or(Bound{static_cast<double>(largest), false});
    std::vector<Expression> parts;
    constexpr auto limit = static_cast<double>(largest);
    const bool within_reach = low.value <= limit && high.value >= -limit;
    // Zero is written without a sign.
    if (within_reach && high.value >= 0) add_magnitudes(low.value < 0 ? Magnitude(0, false) : Magnitude(low.value, low.exclusive), Magnitude(high.value, high.exclusive), places, "", parts);
    if (within_reach && low.value < 0) add_magnitudes(high.value >= 0 ? Magnitude(0, true) : Magnitude(-high.value, high.exclusive), Magnitude(-low.value, low.exclusive), places, "-", parts);
    if (parts.empty()) core::fail(core::ErrorKind::unsupported, "{}: there is no number of up to {} digits within the bounds", where, most_digits);
    return choice(std::move(parts));
}

Expression any_number() {
    const Expression exponent = sequence({characters({{'e', 'e'}, {'E', 'E'}}), optional(characters({{'+', '+'}, {'-', '-'}})), repeat(any_digit(), 1, 2)});
    return sequence({optional(literal("-")), naturals(0, largest), optional(sequence({literal("."), repeat(any_digit(), 1, most_digits)})), optional(exponent)});
}

}  // namespace tailor::text::grammar
