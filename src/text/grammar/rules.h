// Grammars as rules over bytes: what GBNF files and JSON Schemas become.
//
// An Expression is what an author writes: literals, classes of characters, references, sequences, choices, repetitions.
// RuleBuilder turns named expressions into Rules: a flat array of elements, each a range of bytes, a reference to a rule, or the end
// of an alternative. A class of characters becomes the sequences of byte ranges that UTF-8 spells it with, so that a token may end
// in the middle of a character. Only repetition recurs at the end of a rule, where it needs no memory of where to return to.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailor::text::grammar {

/// Characters [first, last] by their code points.
using Range = std::pair<char32_t, char32_t>;

struct Expression {
    enum class Kind { literal, characters, reference, sequence, choice, repeat };
    Kind kind = Kind::sequence;
    std::string text;                 ///< of a literal; the name of a reference
    std::vector<Range> ranges;        ///< of characters
    std::vector<Expression> parts;    ///< of a sequence or choice; the one thing that is repeated
    std::int64_t least = 0, most = -1;  ///< repetitions; most -1: any number
};

Expression literal(std::string_view bytes);
Expression characters(std::vector<Range> ranges);
/// All characters that UTF-8 can spell but these.
Expression other_characters(std::vector<Range> ranges);
Expression reference(std::string_view name);
Expression sequence(std::vector<Expression> parts);
Expression choice(std::vector<Expression> parts);
Expression repeat(Expression what, std::int64_t least, std::int64_t most);
Expression optional(Expression what);

struct Rules {
    struct Element {
        enum class Kind : std::uint8_t { bytes, rule, end };
        Kind kind = Kind::end;
        std::uint8_t low = 0, high = 0;  ///< of bytes
        std::int32_t rule = -1;
    };
    std::vector<Element> elements;
    std::vector<std::vector<std::int32_t>> alternatives;  ///< of each rule, the first element of each
    std::vector<std::int64_t> least_bytes;                ///< from each element to the end of its alternative
    /// Per element of a counted repetition: the same place one time later, -1 at the last; and the fewest bytes of one time.
    struct Repetition {
        std::int32_t later = -1;
        std::int64_t bytes = 0;
    };
    std::vector<Repetition> repetitions;
    std::int32_t root = -1;
};

class RuleBuilder {
  public:
    /// Throws Error(format) if there is one of this name.
    void define(const std::string& name, const Expression& expression);
    bool has(const std::string& name) const { return ids_.contains(name) && defined_[static_cast<std::size_t>(ids_.at(name))]; }
    /// The rules, with `root` to begin with. Throws Error(format) naming a rule that is not defined, that begins with itself, or that
    /// can never end; Error(unsupported) if they are too many.
    Rules finish(const std::string& root);

  private:
    std::int32_t id_of(const std::string& name);
    std::int32_t fresh(const char* what);
    void compile(std::int32_t rule, const Expression& expression);
    void emit(const Expression& expression, std::vector<Rules::Element>& out);
    void emit_repeat(const Expression& expression, std::vector<Rules::Element>& out);
    std::int32_t rule_of(const Expression& expression);
    std::int32_t rule_of_ranges(const std::vector<Range>& ranges);
    void add_alternative(std::int32_t rule, std::vector<Rules::Element> elements);
    void require_defined() const;
    void measure();
    void find_repetitions();
    void refuse_left_recursion() const;

    Rules rules_;
    std::vector<std::string> names_;
    std::vector<char> defined_;
    std::vector<std::pair<std::int32_t, std::int32_t>> shorter_;  ///< elements of "up to n times", and those of n - 1
    std::map<std::string, std::int32_t> ids_;
    std::map<std::vector<Range>, std::int32_t> classes_;
};

/// UTF-8 spellings of the characters [first, last], surrogates left out: each is a sequence of byte ranges.
std::vector<std::vector<std::pair<std::uint8_t, std::uint8_t>>> utf8_ranges(char32_t first, char32_t last);

}  // namespace tailor::text::grammar
