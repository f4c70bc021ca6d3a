// Statements of a template: a block is read until one of the words that may end it. Expressions are in expressions.cpp.
#include "text/templates/parser.h"

#include <algorithm>

namespace tailor::text::templates {

using core::ErrorKind;
using Kind = Statement::Kind;

Block parse(std::string_view source, std::string_view template_name) { return Parser(source, template_name).whole(); }

void Parser::fail(ErrorKind kind, const std::string& message) const { core::fail(kind, "{}, line {}: {}", name_, token().line, message); }

std::string Parser::described(const Token& token) {
    switch (token.kind) {
        case Token::Kind::end: return "the end of the template";
        case Token::Kind::data: return "text";
        case Token::Kind::print_begin: return "'{{'";
        case Token::Kind::print_end: return "'}}'";
        case Token::Kind::block_begin: return "'{%'";
        case Token::Kind::block_end: return "'%}'";
        default: return "'" + token.text + "'";
    }
}

bool Parser::take_symbol(std::string_view symbol) {
    if (!sees_symbol(symbol)) return false;
    ++at_;
    return true;
}

bool Parser::take_word(std::string_view word) {
    if (!sees_word(word)) return false;
    ++at_;
    return true;
}

void Parser::expect_symbol(std::string_view symbol) {
    if (!take_symbol(symbol)) fail(ErrorKind::format, core::format("expected '{}', found {}", symbol, described(token())));
}

void Parser::expect_word(std::string_view word) {
    if (!take_word(word)) fail(ErrorKind::format, core::format("expected '{}', found {}", word, described(token())));
}

std::string Parser::expect_name() {
    if (token().kind != Token::Kind::name) fail(ErrorKind::format, core::format("expected a name, found {}", described(token())));
    return tokens_[at_++].text;
}

void Parser::expect_block_end() {
    if (token().kind != Token::Kind::block_end) fail(ErrorKind::format, core::format("expected '%}}', found {}", described(token())));
    ++at_;
}

Block Parser::whole() {
    Block block = body({});
    if (token().kind != Token::Kind::end) fail(ErrorKind::format, core::format("'{}' ends nothing", tokens_[at_ + 1].text));
    return block;
}

bool Parser::ends_body(std::initializer_list<std::string_view> words) const {
    const Token& word = tokens_[at_ + 1];
    if (word.kind != Token::Kind::name) return false;
    if (std::find(words.begin(), words.end(), word.text) != words.end()) return true;
    return word.text.substr(0, 3) == "end" || word.text == "else" || word.text == "elif";  // not ours: whoever asked reports it
}

// Statements up to a block that begins with one of the words; that block's "{%" is the current token then.
Block Parser::body(std::initializer_list<std::string_view> end_words) {
    const Level level(*this);
    Block block;
    while (true) {
        const Token& t = token();
        if (t.kind == Token::Kind::end || (t.kind == Token::Kind::block_begin && ends_body(end_words))) break;
        ++at_;
        if (t.kind == Token::Kind::data) {
            Statement& text = block.emplace_back(Statement{Kind::text, t.line});
            text.text = t.text;
        } else if (t.kind == Token::Kind::print_begin) {
            Statement print{Kind::print, t.line};
            print.value = tuple();
            if (token().kind != Token::Kind::print_end) fail(ErrorKind::format, core::format("expected '}}}}', found {}", described(token())));
            ++at_;
            block.push_back(std::move(print));
        } else {
            block.push_back(statement());
        }
    }
    return block;
}

// body() and then the end word, whose "%}" is left to be read.
Block Parser::body_to(std::string_view opened, int line, std::string_view end_word) {
    Block block = body({end_word});
    if (token().kind == Token::Kind::end) fail(ErrorKind::format, core::format("'{}' of line {} is not closed with '{}'", opened, line, end_word));
    ++at_;
    if (!take_word(end_word)) fail(ErrorKind::format, core::format("'{}' of line {} needs '{}', found '{}'", opened, line, end_word, token().text));
    return block;
}

Statement Parser::statement() {
    const int line = token().line;
    const std::string word = expect_name();
    static constexpr struct {
        std::string_view word;
        Statement (Parser::*read)(int line);
    } statements[] = {
        {"if", &Parser::condition},       {"for", &Parser::loop},      {"set", &Parser::assignment}, {"macro", &Parser::macro},
        {"call", &Parser::call_block},    {"filter", &Parser::filter_block}, {"with", &Parser::with},      {"generation", &Parser::generation},
        {"break", &Parser::leave_loop}, {"continue", &Parser::leave_loop},
    };
    for (const auto& s : statements)
        if (s.word == word) return (this->*s.read)(line);
    --at_;
    fail(ErrorKind::unsupported, core::format("the statement '{}' is not supported", word));
}

Statement Parser::condition(int line) {
    Statement result{Kind::condition, line};
    ExpressionPointer test = tuple(false);
    while (true) {
        expect_block_end();
        Statement::Branch& branch = result.branches.emplace_back();
        const bool last = !test;
        branch.condition = std::move(test);
        branch.body = body({"elif", "else", "endif"});
        if (token().kind == Token::Kind::end) fail(ErrorKind::format, core::format("'if' of line {} is not closed with 'endif'", line));
        ++at_;
        if (take_word("endif")) break;
        if (!last && take_word("elif")) test = tuple(false);
        else if (last || !take_word("else")) fail(ErrorKind::format, core::format("'if' of line {} needs 'endif', found '{}'", line, token().text));
    }
    expect_block_end();
    return result;
}

Statement Parser::loop(int line) {
    Statement result{Kind::loop, line};
    result.target = target(false);
    expect_word("in");
    result.value = tuple(false, "recursive");
    if (take_word("if")) result.condition = expression();
    if (sees_word("recursive")) fail(ErrorKind::unsupported, "recursive loops are not supported");
    expect_block_end();
    ++loops_;
    result.body = body({"else", "endfor"});
    --loops_;
    if (token().kind == Token::Kind::end) fail(ErrorKind::format, core::format("'for' of line {} is not closed with 'endfor'", line));
    ++at_;
    if (take_word("else")) {
        expect_block_end();
        result.otherwise = body_to("for", line, "endfor");
    } else {
        expect_word("endfor");
    }
    expect_block_end();
    return result;
}

Statement Parser::leave_loop(int line) {
    const bool breaks = tokens_[at_ - 1].text == "break";
    if (loops_ == 0) fail(ErrorKind::format, core::format("'{}' stands outside of a loop", tokens_[at_ - 1].text));
    Statement result{breaks ? Kind::break_ : Kind::continue_, line};
    expect_block_end();
    return result;
}

Statement Parser::assignment(int line) {
    Statement result{Kind::assign, line};
    result.target = target(true);
    if (take_symbol("=")) {
        result.value = tuple();
        expect_block_end();
        return result;
    }
    result.kind = Kind::assign_block;
    result.value = filters(nullptr);
    expect_block_end();
    result.body = body_to("set", line, "endset");
    expect_block_end();
    return result;
}

void Parser::parameters(Statement& macro) {
    expect_symbol("(");
    while (!take_symbol(")")) {
        if (!macro.parameters.empty()) expect_symbol(",");
        Parameter parameter{expect_name(), nullptr};
        if (take_symbol("=")) parameter.fallback = expression();
        else if (!macro.parameters.empty() && macro.parameters.back().fallback)
            fail(ErrorKind::format, core::format("parameter '{}' without a value follows one that has one", parameter.name));
        macro.parameters.push_back(std::move(parameter));
    }
}

// The body of a macro; a `break` in it belongs to no loop outside. The extra names it mentions are what it accepts.
void Parser::macro_body(Statement& macro, int line, std::string_view opened, std::string_view end_word) {
    const int loops = std::exchange(loops_, 0);
    const Mentioned outer = std::exchange(mentioned_, {});
    expect_block_end();
    macro.body = body_to(opened, line, end_word);
    macro.uses_varargs = mentioned_.varargs, macro.uses_kwargs = mentioned_.kwargs, macro.uses_caller = mentioned_.caller;
    mentioned_ = outer;
    loops_ = loops;
    expect_block_end();
}

Statement Parser::macro(int line) {
    Statement result{Kind::macro, line};
    result.text = expect_name();
    parameters(result);
    macro_body(result, line, "macro", "endmacro");
    return result;
}

Statement Parser::call_block(int line) {
    Statement result{Kind::call, line};
    result.text = "caller";
    if (sees_symbol("(")) parameters(result);
    result.value = expression();
    if (result.value->kind != Expression::Kind::call) fail(ErrorKind::format, "'call' needs a call, such as {% call show(x) %}");
    macro_body(result, line, "call", "endcall");
    return result;
}

Statement Parser::filter_block(int line) {
    Statement result{Kind::filter, line};
    result.value = filters(nullptr, true);
    expect_block_end();
    result.body = body_to("filter", line, "endfilter");
    expect_block_end();
    return result;
}

Statement Parser::with(int line) {
    Statement result{Kind::with, line};
    while (token().kind != Token::Kind::block_end) {
        if (!result.assignments.empty()) expect_symbol(",");
        ExpressionPointer name = target(false, true);
        expect_symbol("=");
        result.assignments.emplace_back(std::move(name), expression());
    }
    expect_block_end();
    result.body = body_to("with", line, "endwith");
    expect_block_end();
    return result;
}

Statement Parser::generation(int line) {
    Statement result{Kind::scope, line};
    expect_block_end();
    result.body = body_to("generation", line, "endgeneration");
    expect_block_end();
    return result;
}

}  // namespace tailor::text::templates
