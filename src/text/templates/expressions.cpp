// Expressions of a template, from the loosest operators down to names and constants; the grammar is in parser.h.
#include <algorithm>
#include <charconv>

#include "text/templates/parser.h"

namespace tailor::text::templates {

using core::ErrorKind;
using Kind = Expression::Kind;

Parser::Level::Level(Parser& parser) : parser_(parser) {
    if (++parser_.depth_ > most_depth) parser_.fail(ErrorKind::unsupported, core::format("the template is nested deeper than {} levels", most_depth));
}

ExpressionPointer Parser::make(Kind kind, int line) {
    return std::make_unique<Expression>(Expression{kind, line});
}

void Parser::raise(Expression& parent, const ExpressionPointer& part) const {
    if (part) parent.height = std::max(parent.height, part->height + 1);
    // Chains such as a + b + c + ... are deep trees without nested brackets.
    if (parent.height > 2 * most_depth)
        fail(ErrorKind::unsupported, core::format("an expression has a chain of more than {} operations", 2 * most_depth));
}

void Parser::add(Expression& parent, ExpressionPointer part) {
    raise(parent, part);
    parent.parts.push_back(std::move(part));
}

ExpressionPointer Parser::tuple(bool conditionals, std::string_view end_word) {
    const int line = token().line;
    const auto ends = [&] {
        return token().kind == Token::Kind::block_end || token().kind == Token::Kind::print_end || sees_symbol(")") ||
               (!end_word.empty() && sees_word(end_word));
    };
    ExpressionPointer first = conditionals ? expression() : disjunction();
    if (!sees_symbol(",")) return first;
    ExpressionPointer result = make_with(Kind::tuple, line, std::move(first));
    while (take_symbol(",") && !ends()) add(*result, conditionals ? expression() : disjunction());
    return result;
}

ExpressionPointer Parser::target_name(bool attributes) {
    const int line = token().line;
    if (take_symbol("(")) {
        ExpressionPointer inner = target(attributes);
        expect_symbol(")");
        return inner;
    }
    ExpressionPointer name = make(Kind::name, line);
    name->name = expect_name();
    static constexpr std::string_view constants[] = {"true", "false", "none", "True", "False", "None"};
    if (std::find(std::begin(constants), std::end(constants), name->name) != std::end(constants))
        fail(ErrorKind::format, core::format("nothing can be assigned to '{}'", name->name));
    if (!attributes || !take_symbol(".")) return name;
    ExpressionPointer result = make_with(Kind::attribute, line, std::move(name));
    result->name = expect_name();
    result->value = Value::constant(result->name);  // the key in the namespace
    return result;
}

ExpressionPointer Parser::target(bool attributes, bool single) {
    const Level level(*this);
    const int line = token().line;
    ExpressionPointer first = target_name(attributes);
    if (single || !sees_symbol(",")) return first;
    ExpressionPointer result = make_with(Kind::tuple, line, std::move(first));
    while (take_symbol(",") && !sees_word("in") && !sees_symbol("=")) add(*result, target_name(attributes));
    return result;
}

ExpressionPointer Parser::expression() {
    const Level level(*this);
    const int line = token().line;
    ExpressionPointer result = disjunction();
    while (take_word("if")) {
        ExpressionPointer condition = disjunction();
        ExpressionPointer otherwise = take_word("else") ? expression() : nullptr;
        result = make_with(Kind::conditional, line, std::move(result), std::move(condition), std::move(otherwise));
    }
    return result;
}

ExpressionPointer Parser::disjunction() {
    const int line = token().line;
    ExpressionPointer left = conjunction();
    while (take_word("or")) left = make_with(Kind::logical_or, line, std::move(left), conjunction());
    return left;
}

ExpressionPointer Parser::conjunction() {
    const int line = token().line;
    ExpressionPointer left = negation();
    while (take_word("and")) left = make_with(Kind::logical_and, line, std::move(left), negation());
    return left;
}

ExpressionPointer Parser::negation() {
    const Level level(*this);
    const int line = token().line;
    if (take_word("not")) return make_with(Kind::logical_not, line, negation());
    return comparison();
}

ExpressionPointer Parser::comparison() {
    const int line = token().line;
    ExpressionPointer left = sum();
    ExpressionPointer result;
    static constexpr std::string_view symbols[] = {"==", "!=", "<", "<=", ">", ">="};
    while (true) {
        std::string name;
        if (token().kind == Token::Kind::symbol && std::find(std::begin(symbols), std::end(symbols), token().text) != std::end(symbols))
            name = token().text;
        else if (sees_word("in")) name = "in";
        else if (sees_word("not") && tokens_[at_ + 1].kind == Token::Kind::name && tokens_[at_ + 1].text == "in") name = "not in", ++at_;
        else break;
        ++at_;
        if (!result) result = make_with(Kind::comparison, line, std::move(left));
        result->operators.push_back(std::move(name));
        add(*result, sum());
    }
    return result ? std::move(result) : std::move(left);
}

ExpressionPointer Parser::sum() {
    const int line = token().line;
    ExpressionPointer left = concatenation();
    while (sees_symbol("+") || sees_symbol("-")) {
        const std::string symbol = tokens_[at_++].text;
        left = make_with(Kind::binary, line, std::move(left), concatenation());
        left->name = symbol;
    }
    return left;
}

ExpressionPointer Parser::concatenation() {
    const int line = token().line;
    ExpressionPointer left = product();
    if (!sees_symbol("~")) return left;
    ExpressionPointer result = make_with(Kind::concatenation, line, std::move(left));
    while (take_symbol("~")) add(*result, product());
    return result;
}

ExpressionPointer Parser::product() {
    const int line = token().line;
    ExpressionPointer left = power();
    while (sees_symbol("*") || sees_symbol("/") || sees_symbol("//") || sees_symbol("%")) {
        const std::string symbol = tokens_[at_++].text;
        left = make_with(Kind::binary, line, std::move(left), power());
        left->name = symbol;
    }
    return left;
}

ExpressionPointer Parser::power() {
    const int line = token().line;
    ExpressionPointer left = unary();
    while (take_symbol("**")) {
        left = make_with(Kind::binary, line, std::move(left), unary());
        left->name = "**";
    }
    return left;
}

ExpressionPointer Parser::unary(bool with_filters) {
    const Level level(*this);
    const int line = token().line;
    ExpressionPointer result;
    if (take_symbol("-")) result = make_with(Kind::negative, line, unary(false));
    else if (take_symbol("+")) result = make_with(Kind::positive, line, unary(false));
    else result = primary();
    result = postfix(std::move(result));
    return with_filters ? filters_and_tests(std::move(result)) : std::move(result);
}

ExpressionPointer Parser::named_primary() {
    const Token& t = tokens_[at_++];
    const std::string& name = t.text;
    ExpressionPointer result = make(Kind::constant, t.line);
    if (name == "true" || name == "True") result->value = Value::boolean(true);
    else if (name == "false" || name == "False") result->value = Value::boolean(false);
    else if (name == "none" || name == "None") result->value = Value::none();
    else {
        result->kind = Kind::name;
        result->name = name;
        mentioned_.varargs |= name == "varargs";
        mentioned_.kwargs |= name == "kwargs";
        mentioned_.caller |= name == "caller";
    }
    return result;
}

/// Digits after a 0x, 0o or 0b, or decimal ones.
static bool read_integer(const std::string& text, std::int64_t& value) {
    const char kind = text.size() > 1 ? text[1] : ' ';
    const int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + (base == 10 ? 0 : 2), end, value, base);
    return error == std::errc() && stop == end;
}

ExpressionPointer Parser::primary() {
    const Token& t = token();
    if (t.kind == Token::Kind::name) return named_primary();
    ExpressionPointer result = make(Kind::constant, t.line);
    if (t.kind == Token::Kind::text) {
        std::string text;
        while (token().kind == Token::Kind::text) text += tokens_[at_++].text;  // neighbours are one text
        result->value = Value::constant(std::move(text));
    } else if (t.kind == Token::Kind::integer) {
        std::int64_t value = 0;
        if (!read_integer(t.text, value)) fail(ErrorKind::unsupported, core::format("the integer {} does not fit in 64 bits", t.text));
        result->value = Value::integer(value);
        ++at_;
    } else if (t.kind == Token::Kind::real) {
        double value = 0;
        std::from_chars(t.text.data(), t.text.data() + t.text.size(), value);
        result->value = Value::real(value);
        ++at_;
    } else if (take_symbol("(")) {
        if (sees_symbol(")")) result->kind = Kind::tuple;
        else result = tuple();
        expect_symbol(")");
    } else if (sees_symbol("[")) {
        return bracketed_list();
    } else if (sees_symbol("{")) {
        return dict();
    } else {
        fail(ErrorKind::format, core::format("expected an expression, found {}", described(t)));
    }
    return result;
}

ExpressionPointer Parser::bracketed_list() {
    ExpressionPointer result = make(Kind::list, token().line);
    expect_symbol("[");
    while (!take_symbol("]")) {
        if (!result->parts.empty()) {
            expect_symbol(",");
            if (take_symbol("]")) break;
        }
        add(*result, expression());
    }
    return result;
}

ExpressionPointer Parser::dict() {
    ExpressionPointer result = make(Kind::dict, token().line);
    expect_symbol("{");
    while (!take_symbol("}")) {
        if (!result->parts.empty()) {
            expect_symbol(",");
            if (take_symbol("}")) break;
        }
        add(*result, expression());
        expect_symbol(":");
        add(*result, expression());
    }
    return result;
}

ExpressionPointer Parser::postfix(ExpressionPointer left) {
    while (true) {
        if (sees_symbol(".")) left = after_dot(std::move(left));
        else if (sees_symbol("[")) left = subscript(std::move(left));
        else if (sees_symbol("(")) left = call(std::move(left));
        else return left;
    }
}

ExpressionPointer Parser::after_dot(ExpressionPointer left) {
    const int line = token().line;
    expect_symbol(".");
    if (token().kind == Token::Kind::integer) {
        ExpressionPointer position = primary();
        return make_with(Kind::item, line, std::move(left), std::move(position));
    }
    ExpressionPointer result = make_with(Kind::attribute, line, std::move(left));
    result->name = expect_name();
    return result;
}

ExpressionPointer Parser::subscript(ExpressionPointer left) {
    const int line = token().line;
    expect_symbol("[");
    ExpressionPointer bounds[3];
    int count = 0, colons = 0;
    while (!sees_symbol("]") && colons < 3) {
        if (take_symbol(":")) {
            ++colons;
            continue;
        }
        if (count > colons) break;
        bounds[colons] = expression();
        count = colons + 1;
    }
    if (sees_symbol(",")) fail(ErrorKind::unsupported, "an item by several keys is not supported");
    expect_symbol("]");
    if (colons > 2) fail(ErrorKind::format, "a slice has at most three parts");
    if (colons > 0) return make_with(Kind::slice, line, std::move(left), std::move(bounds[0]), std::move(bounds[1]), std::move(bounds[2]));
    if (!bounds[0]) fail(ErrorKind::format, "'[]' needs a key or a position");
    return make_with(Kind::item, line, std::move(left), std::move(bounds[0]));
}

// ( a, b, name=c, *d, **e ), appended to the parts of a call, filter or test.
void Parser::arguments(Expression& call) {
    expect_symbol("(");
    for (bool first = true; !take_symbol(")"); first = false) {
        if (!first) {
            expect_symbol(",");
            if (take_symbol(")")) break;
        }
        const int line = token().line;
        const bool doubled = sees_symbol("**");
        if (doubled || sees_symbol("*")) {
            ++at_;
            add(call, make_with(doubled ? Kind::double_splat : Kind::splat, line, expression()));
        } else if (token().kind == Token::Kind::name && tokens_[at_ + 1].kind == Token::Kind::symbol && tokens_[at_ + 1].text == "=") {
            std::string name = expect_name();
            expect_symbol("=");
            ExpressionPointer value = expression();
            raise(call, value);
            call.named.emplace_back(std::move(name), std::move(value));
        } else {
            if (!call.named.empty()) fail(ErrorKind::format, "an argument without a name follows one with a name");
            add(call, expression());
        }
    }
}

ExpressionPointer Parser::call(ExpressionPointer left) {
    ExpressionPointer result = make_with(Kind::call, token().line, std::move(left));
    arguments(*result);
    return result;
}

ExpressionPointer Parser::filters_and_tests(ExpressionPointer left) {
    while (true) {
        if (sees_symbol("|")) left = filters(std::move(left));
        else if (sees_word("is")) left = test(std::move(left));
        else if (sees_symbol("(")) left = call(std::move(left));
        else return left;
    }
}

ExpressionPointer Parser::filters(ExpressionPointer left, bool bare) {
    while (bare || sees_symbol("|")) {
        if (!bare) expect_symbol("|");
        bare = false;
        ExpressionPointer filter = make(Kind::filter, token().line);
        add(*filter, std::move(left));
        filter->name = expect_name();
        while (take_symbol(".")) filter->name += "." + expect_name();
        filter->builtin = find_filter(filter->name);
        if (sees_symbol("(")) arguments(*filter);
        left = std::move(filter);
    }
    return left;
}

ExpressionPointer Parser::test(ExpressionPointer left) {
    expect_word("is");
    const int line = token().line;
    const bool negated = take_word("not");
    ExpressionPointer result = make_with(Kind::test, line, std::move(left));
    result->name = expect_name();
    while (take_symbol(".")) result->name += "." + expect_name();
    result->builtin = find_test(result->name);
    const bool begins_argument = token().kind == Token::Kind::text || token().kind == Token::Kind::integer || token().kind == Token::Kind::real ||
                                 sees_symbol("[") || sees_symbol("{") ||
                                 (token().kind == Token::Kind::name && !sees_word("else") && !sees_word("or") && !sees_word("and"));
    if (sees_symbol("(")) {
        arguments(*result);
    } else if (begins_argument) {
        if (sees_word("is")) fail(ErrorKind::format, "tests cannot be chained with 'is'");
        ExpressionPointer argument = primary();
        add(*result, postfix(std::move(argument)));
    }
    return negated ? make_with(Kind::logical_not, line, std::move(result)) : std::move(result);
}

}  // namespace tailor::text::templates
