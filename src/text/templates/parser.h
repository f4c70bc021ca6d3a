// A recursive-descent parser for templates. The grammar is Jinja's; from the loosest to the tightest binding:
//
//   a if b else c,  or,  and,  not,  comparisons (chained as in Python: 1 < x < 3),  + -,  ~,  * / // %,  **,
//   signs,  then .name [item] (call) | filter  is test
//
// What is unusual: filters bind tighter than operators (a + b | c is a + (b | c)), and a test takes one argument without
// parentheses (x is divisibleby 3).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "text/templates/lexer.h"
#include "text/templates/syntax.h"

namespace tailor::text::templates {

class Parser {
  public:
    Parser(std::string_view source, std::string_view template_name) : name_(template_name), tokens_(tokenize(source, template_name)) {}
    Block whole();

  private:
    /// Deeper than any template written by hand; a walk over so deep a tree fits a stack of 8 MiB even under sanitizers.
    static constexpr int most_depth = 100;

    /// One more level of a recursion while it lives; an Error beyond the limit.
    class Level {
      public:
        explicit Level(Parser& parser);
        ~Level() { --parser_.depth_; }
        Level(const Level&) = delete;
        Level& operator=(const Level&) = delete;

      private:
        Parser& parser_;
    };

    [[noreturn]] void fail(core::ErrorKind kind, const std::string& message) const;
    static std::string described(const Token& token);
    const Token& token() const { return tokens_[at_]; }
    bool sees_symbol(std::string_view symbol) const { return token().kind == Token::Kind::symbol && token().text == symbol; }
    bool sees_word(std::string_view word) const { return token().kind == Token::Kind::name && token().text == word; }
    bool take_symbol(std::string_view symbol);
    bool take_word(std::string_view word);
    void expect_symbol(std::string_view symbol);
    void expect_word(std::string_view word);
    std::string expect_name();
    void expect_block_end();

    bool ends_body(std::initializer_list<std::string_view> words) const;
    Block body(std::initializer_list<std::string_view> end_words);
    Block body_to(std::string_view opened, int line, std::string_view end_word);
    Statement statement();
    Statement condition(int line);
    Statement loop(int line);
    Statement leave_loop(int line);
    Statement assignment(int line);
    Statement macro(int line);
    Statement call_block(int line);
    Statement filter_block(int line);
    Statement with(int line);
    Statement generation(int line);
    void parameters(Statement& macro);
    void macro_body(Statement& macro, int line, std::string_view opened, std::string_view end_word);

    /// One expression, or a tuple of several with commas between; a conditional only if `conditionals`.
    ExpressionPointer tuple(bool conditionals = true, std::string_view end_word = {});
    /// Names, or an attribute of a namespace, that something is assigned to; `single`: no tuple.
    ExpressionPointer target(bool attributes, bool single = false);
    ExpressionPointer target_name(bool attributes);
    ExpressionPointer expression();
    ExpressionPointer disjunction();
    ExpressionPointer conjunction();
    ExpressionPointer negation();
    ExpressionPointer comparison();
    ExpressionPointer sum();
    ExpressionPointer concatenation();
    ExpressionPointer product();
    ExpressionPointer power();
    ExpressionPointer unary(bool with_filters = true);
    ExpressionPointer primary();
    ExpressionPointer named_primary();
    ExpressionPointer bracketed_list();
    ExpressionPointer dict();
    ExpressionPointer postfix(ExpressionPointer left);
    ExpressionPointer after_dot(ExpressionPointer left);
    ExpressionPointer subscript(ExpressionPointer left);
    void arguments(Expression& call);
    ExpressionPointer call(ExpressionPointer left);
    /// Filters, tests and calls after an expression.
    ExpressionPointer filters_and_tests(ExpressionPointer left);
    /// `left | a | b(1)`; without the first bar if `bare`.
    ExpressionPointer filters(ExpressionPointer left, bool bare = false);
    ExpressionPointer test(ExpressionPointer left);

    ExpressionPointer make(Expression::Kind kind, int line);
    /// Adds a part and keeps count of the height.
    void add(Expression& parent, ExpressionPointer part);
    void raise(Expression& parent, const ExpressionPointer& part) const;
    template <class... Parts>
    ExpressionPointer make_with(Expression::Kind kind, int line, Parts... parts) {
        ExpressionPointer result = make(kind, line);
        (add(*result, std::move(parts)), ...);
        return result;
    }

    std::string_view name_;
    std::vector<Token> tokens_;
    std::size_t at_ = 0;
    int depth_ = 0;
    int loops_ = 0;  ///< around the current statement, within its macro
    struct Mentioned {
        bool varargs = false, kwargs = false, caller = false;
    } mentioned_;    ///< in the macro that is being read
};

}  // namespace tailor::text::templates
