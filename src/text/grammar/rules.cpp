// From expressions to flat rules; see rules.h.
#include "text/grammar/rules.h"

#include <algorithm>

#include "core/error.h"

namespace tailor::text::grammar {

using core::ErrorKind;
using core::fail;
using Element = Rules::Element;

// A hundred times what large schemas need; a repetition of a repetition of thousands is stopped here.
constexpr std::size_t most_elements = 2'000'000;
constexpr std::int64_t most_repetitions = 10'000;
constexpr char32_t last_character = 0x10FFFF;
constexpr std::int64_t never = std::int64_t{1} << 60;

Expression literal(std::string_view bytes) { return {.kind = Expression::Kind::literal, .text = std::string(bytes)}; }
Expression reference(std::string_view name) { return {.kind = Expression::Kind::reference, .text = std::string(name)}; }
Expression sequence(std::vector<Expression> parts) { return {.kind = Expression::Kind::sequence, .parts = std::move(parts)}; }
Expression choice(std::vector<Expression> parts) { return {.kind = Expression::Kind::choice, .parts = std::move(parts)}; }
Expression repeat(Expression what, std::int64_t least, std::int64_t most) {
    Expression e{.kind = Expression::Kind::repeat, .least = least, .most = most};
    e.parts.push_back(std::move(what));
    return e;
}
Expression optional(Expression what) { return repeat(std::move(what), 0, 1); }

// Sorted, without overlaps.
static std::vector<Range> normalized(std::vector<Range> ranges) {
    std::sort(ranges.begin(), ranges.end());
    std::vector<Range> result;
    for (const Range& r : ranges) {
        if (r.first > r.second) continue;
        if (!result.empty() && r.first <= result.back().second + 1) result.back().second = std::max(result.back().second, r.second);
        else result.push_back(r);
    }
    return result;
}

Expression characters(std::vector<Range> ranges) { return {.kind = Expression::Kind::characters, .ranges = normalized(std::move(ranges))}; }

Expression other_characters(std::vector<Range> ranges) {
    std::vector<Range> rest;
    char32_t next = 0;
    for (const Range& r : normalized(std::move(ranges))) {
        if (r.first > next) rest.emplace_back(next, r.first - 1);
        next = r.second + 1;
    }
    if (next <= last_character) rest.emplace_back(next, last_character);
    return characters(std::move(rest));
}

// ---- UTF-8 ----

static int utf8_length(char32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }

static std::uint8_t utf8_byte(char32_t c, int length, int i) {
    if (length == 1) return static_cast<std::uint8_t>(c);
    constexpr std::uint8_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    const char32_t bits = c >> 6 * (length - 1 - i);
    return static_cast<std::uint8_t>(i ? 0x80 | (bits & 0x3F) : leads[length] | bits);
}

// Cuts [first, last], of one length, until every byte position is a range of its own: a trailing byte may only vary over all of 0x80
// to 0xBF where a byte before it varies.
static void cut(char32_t first, char32_t last, int length, std::vector<std::vector<std::pair<std::uint8_t, std::uint8_t>>>& out) {
    for (int i = 1; i < length; ++i) {
        const char32_t block = (char32_t{1} << 6 * i) - 1;  // characters that share all but the last i bytes
        if ((first & ~block) == (last & ~block)) continue;
        if (first & block) return cut(first, first | block, length, out), cut((first | block) + 1, last, length, out);
        if ((last & block) != block) return cut(first, (last & ~block) - 1, length, out), cut(last & ~block, last, length, out);
    }
    auto& bytes = out.emplace_back();
    for (int i = 0; i < length; ++i) bytes.emplace_back(utf8_byte(first, length, i), utf8_byte(last, length, i));
}

std::vector<std::vector<std::pair<std::uint8_t, std::uint8_t>>> utf8_ranges(char32_t first, char32_t last) {
    constexpr Range pieces[] = {{0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, last_character}};
    std::vector<std::vector<std::pair<std::uint8_t, std::uint8_t>>> out;
    for (const auto& [low, high] : pieces)
        if (std::max(first, low) <= std::min(last, high)) cut(std::max(first, low), std::min(last, high), utf8_length(low), out);
    return out;
}

// ---- Building ----

std::int32_t RuleBuilder::id_of(const std::string& name) {
    const auto [it, is_new] = ids_.emplace(name, static_cast<std::int32_t>(names_.size()));
    if (is_new) names_.push_back(name), defined_.push_back(0), rules_.alternatives.emplace_back();
    return it->second;
}

// A rule of no name of its own; '#' cannot stand in a name.
std::int32_t RuleBuilder::fresh(const char* what) {
    const std::int32_t id = id_of(core::format("{}#{}", what, names_.size()));
    defined_[static_cast<std::size_t>(id)] = 1;
    return id;
}

void RuleBuilder::add_alternative(std::int32_t rule, std::vector<Element> elements) {
    if (rules_.elements.size() + elements.size() > most_elements) fail(ErrorKind::unsupported, "the grammar is too large: more than {} elements", most_elements);
    rules_.alternatives[static_cast<std::size_t>(rule)].push_back(static_cast<std::int32_t>(rules_.elements.size()));
    rules_.elements.insert(rules_.elements.end(), elements.begin(), elements.end());
    rules_.elements.push_back({});
}

void RuleBuilder::define(const std::string& name, const Expression& expression) {
    const std::int32_t rule = id_of(name);
    if (defined_[static_cast<std::size_t>(rule)]) fail(ErrorKind::format, "the rule '{}' is defined twice", name);
    defined_[static_cast<std::size_t>(rule)] = 1;
    compile(rule, expression);
}

void RuleBuilder::compile(std::int32_t rule, const Expression& expression) {
    const bool several = expression.kind == Expression::Kind::choice;
    for (std::size_t i = 0; i < (several ? expression.parts.size() : 1); ++i) {
        std::vector<Element> elements;
        emit(several ? expression.parts[i] : expression, elements);
        add_alternative(rule, std::move(elements));
    }
}

std::int32_t RuleBuilder::rule_of(const Expression& expression) {
    if (expression.kind == Expression::Kind::reference) return id_of(expression.text);
    const std::int32_t rule = fresh("part");
    compile(rule, expression);
    return rule;
}

std::int32_t RuleBuilder::rule_of_ranges(const std::vector<Range>& ranges) {
    if (const auto it = classes_.find(ranges); it != classes_.end()) return it->second;
    const std::int32_t rule = fresh("characters");
    for (const Range& r : ranges)
        for (const auto& bytes : utf8_ranges(r.first, r.second)) {
            std::vector<Element> elements;
            for (const auto& [low, high] : bytes) elements.push_back({Element::Kind::bytes, low, high});
            add_alternative(rule, std::move(elements));
        }
    classes_.emplace(ranges, rule);
    return rule;
}

void RuleBuilder::emit(const Expression& e, std::vector<Element>& out) {
    switch (e.kind) {
        case Expression::Kind::literal:
            for (const char c : e.text) out.push_back({Element::Kind::bytes, static_cast<std::uint8_t>(c), static_cast<std::uint8_t>(c)});
            break;
        case Expression::Kind::characters:
            if (e.ranges.size() == 1 && e.ranges[0].second < 0x80)
                out.push_back({Element::Kind::bytes, static_cast<std::uint8_t>(e.ranges[0].first), static_cast<std::uint8_t>(e.ranges[0].second)});
            else out.push_back({Element::Kind::rule, 0, 0, rule_of_ranges(e.ranges)});
            break;
        case Expression::Kind::sequence:
            for (const Expression& part : e.parts) emit(part, out);
            break;
        case Expression::Kind::reference:
        case Expression::Kind::choice: out.push_back({Element::Kind::rule, 0, 0, rule_of(e)}); break;
        case Expression::Kind::repeat: emit_repeat(e, out);
    }
}

void RuleBuilder::emit_repeat(const Expression& e, std::vector<Element>& out) {
    if (e.least < 0 || e.least > most_repetitions || e.most > most_repetitions || (e.most >= 0 && e.most < e.least))
        fail(ErrorKind::format, "a repetition of {} to {} times cannot be; at most {} are possible", e.least, e.most, most_repetitions);
    const Element once{Element::Kind::rule, 0, 0, rule_of(e.parts[0])};
    const auto reference_to = [](std::int32_t rule) { return Element{Element::Kind::rule, 0, 0, rule}; };
    // The last time that must come and those that may are one place: were they two, nested repetitions would double the places at each level.
    for (std::int64_t i = 0; i < (e.most < 0 ? e.least - 1 : e.least); ++i) out.push_back(once);
    if (e.most < 0) {
        const std::int32_t rest = fresh("more"), some = e.least > 0 ? fresh("some") : -1;
        if (some < 0) add_alternative(rest, {once, reference_to(rest)});
        else add_alternative(some, {once, reference_to(rest)}), add_alternative(rest, {reference_to(some)});
        add_alternative(rest, {});
        out.push_back(reference_to(some < 0 ? rest : some));
        return;
    }
    std::int32_t rest = -1;  // up to 1, 2, ... times
    for (std::int64_t i = e.least; i < e.most; ++i) {
        const std::int32_t longer = fresh("up");
        std::vector<Element> elements{once};
        if (rest >= 0) {
            elements.push_back({Element::Kind::rule, 0, 0, rest});
            const std::int32_t shorter = rules_.alternatives[static_cast<std::size_t>(rest)][0];
            shorter_.emplace_back(static_cast<std::int32_t>(rules_.elements.size()), shorter);
        }
        add_alternative(longer, std::move(elements));
        add_alternative(longer, {});
        rest = longer;
    }
    if (rest >= 0) out.push_back({Element::Kind::rule, 0, 0, rest});
}

// ---- Checks ----

void RuleBuilder::require_defined() const {
    for (std::size_t i = 0; i < names_.size(); ++i)
        if (!defined_[i]) fail(ErrorKind::format, "the grammar has no rule '{}', which another one refers to", names_[i]);
}

// What is too long for this number is still no text that never ends.
static std::int64_t added(std::int64_t a, std::int64_t b) { return std::max(a, b) >= never ? never : std::min(never - 1, a + b); }

// Least bytes from every element to the end of its alternative, by repeating until nothing changes.
void RuleBuilder::measure() {
    std::vector<std::int64_t> of_rule(names_.size(), never);
    rules_.least_bytes.assign(rules_.elements.size(), never);
    for (bool changed = true; changed;) {
        changed = false;
        for (std::size_t i = rules_.elements.size(); i-- > 0;) {
            const Element& e = rules_.elements[i];
            std::int64_t bytes = 0;
            if (e.kind == Element::Kind::bytes) bytes = added(1, rules_.least_bytes[i + 1]);
            if (e.kind == Element::Kind::rule) bytes = added(of_rule[static_cast<std::size_t>(e.rule)], rules_.least_bytes[i + 1]);
            rules_.least_bytes[i] = bytes;
        }
        for (std::size_t r = 0; r < names_.size(); ++r)
            for (const std::int32_t first : rules_.alternatives[r])
                if (const std::int64_t bytes = rules_.least_bytes[static_cast<std::size_t>(first)]; bytes < of_rule[r]) of_rule[r] = bytes, changed = true;
    }
    for (std::size_t r = 0; r < names_.size(); ++r)
        if (of_rule[r] >= never) fail(ErrorKind::format, "the rule '{}' can never end: every alternative needs itself again", names_[r]);
}

// Elements of "at least n times" stand beside each other, those of "up to n times" in a rule for each n.
void RuleBuilder::find_repetitions() {
    const auto bytes_of = [&](std::int32_t i) { return rules_.least_bytes[static_cast<std::size_t>(i)] - rules_.least_bytes[static_cast<std::size_t>(i) + 1]; };
    rules_.repetitions.resize(rules_.elements.size());
    for (std::size_t i = 0; i + 1 < rules_.elements.size(); ++i) {
        const Element &one = rules_.elements[i], &next = rules_.elements[i + 1];
        const bool same = one.kind == next.kind && one.low == next.low && one.high == next.high && one.rule == next.rule;
        if (same && one.kind != Element::Kind::end) rules_.repetitions[i] = {static_cast<std::int32_t>(i) + 1, bytes_of(static_cast<std::int32_t>(i))};
    }
    for (const auto& [longer, shorter] : shorter_)
        for (const std::int32_t place : {0, 1}) rules_.repetitions[static_cast<std::size_t>(longer + place)] = {shorter + place, bytes_of(longer)};
}

// A rule that may begin with itself would be entered for ever.
void RuleBuilder::refuse_left_recursion() const {
    std::vector<char> state(names_.size());  // 0 new, 1 entered, 2 done
    struct Visit {
        std::size_t rule, alternative = 0;
        std::int32_t element = -1;
    };
    for (std::size_t start = 0; start < names_.size(); ++start) {
        if (state[start]) continue;
        std::vector<Visit> stack{{start}};
        state[start] = 1;
        while (!stack.empty()) {
            Visit& v = stack.back();
            if (v.alternative == rules_.alternatives[v.rule].size()) {
                state[v.rule] = 2;
                stack.pop_back();
                continue;
            }
            v.element = v.element < 0 ? rules_.alternatives[v.rule][v.alternative] : v.element;
            const Element& e = rules_.elements[static_cast<std::size_t>(v.element)];
            if (e.kind != Element::Kind::rule) {
                v = {v.rule, v.alternative + 1};
                continue;
            }
            const auto inner = static_cast<std::size_t>(e.rule);
            const bool may_be_empty = std::any_of(rules_.alternatives[inner].begin(), rules_.alternatives[inner].end(),
                                                  [&](std::int32_t first) { return rules_.least_bytes[static_cast<std::size_t>(first)] == 0; });
            if (state[inner] == 1) {
                // "More of nothing" ends: the closure meets the same place again.
                if (!(names_[v.rule].starts_with("more#") && (inner == v.rule || names_[inner].starts_with("some#"))))
                    fail(ErrorKind::format, "the rule '{}' can begin with itself (left recursion), so it could be entered for ever: write it as a repetition", names_[inner]);
            }
            if (may_be_empty) ++v.element;
            else v = {v.rule, v.alternative + 1};
            if (!state[inner]) state[inner] = 1, stack.push_back({inner});
        }
    }
}

Rules RuleBuilder::finish(const std::string& root) {
    rules_.root = id_of(root);
    require_defined();
    measure();
    find_repetitions();
    refuse_left_recursion();
    return std::move(rules_);
}

}  // namespace tailor::text::grammar
