// Templates that fail, each with the kind of error, its line and what it says; limits that a hostile template meets; and
// what works here although Jinja's sandbox refuses it.
#include <gtest/gtest.h>

#include <thread>

#include "core/error.h"
#include "core/json.h"
#include "text/templates/template.h"

namespace tailor::text::templates {
namespace {

using core::ErrorKind;

const core::Json variables = core::Json::parse(R"json({"name": "Ada", "n": 3, "words": ["pear", "fig"], "row": {"a": 1}})json");

std::string rendered(const std::string& source, const RenderOptions& options = {}) { return Template(source, "test").render(variables, options); }

/// Of a long source the beginning is enough.
std::string shown(const std::string& source) { return source.substr(0, 200); }

void expect_error(const std::string& source, ErrorKind kind, const std::string& message, const RenderOptions& options = {}) {
    try {
        const std::string text = rendered(source, options);
        ADD_FAILURE() << shown(source) << "\nrendered: " << shown(text);
    } catch (const core::Error& error) {
        EXPECT_EQ(core::name(kind), std::string(core::name(error.kind()))) << shown(source) << "\n" << error.what();
        EXPECT_NE(std::string::npos, std::string(error.what()).find(message))
            << shown(source) << "\nexpected: " << message << "\nbut was:  " << error.what();
    }
}

TEST(TemplateErrors, MistakesInTheSource) {
    expect_error("a\n{% if %}{% endif %}", ErrorKind::format, "test, line 2: expected an expression, found '%}'");
    expect_error("{% for x in y %}\n\n", ErrorKind::format, "'for' of line 1 is not closed with 'endfor'");
    expect_error("{% if n %}\n{% for x in y %}{% endif %}", ErrorKind::format, "line 2: expected 'endfor', found 'endif'");
    expect_error("\n{{ 'abc }}", ErrorKind::format, "the text that begins at line 2 is not closed");
    expect_error("{{ (1 }}", ErrorKind::format, "'}' stands where ')' should");
    expect_error("{{ 1 ) }}", ErrorKind::format, "')' closes nothing");
    expect_error("{{ 1", ErrorKind::format, "is not closed with '}}'");
    expect_error("{# never", ErrorKind::format, "a comment is not closed");
    expect_error("{% raw %} never", ErrorKind::format, "is not closed with {% endraw %}");
    expect_error("{% endif %}", ErrorKind::format, "'endif' ends nothing");
    expect_error("{% if 1 %}{% else %}{% elif 2 %}{% endif %}", ErrorKind::format, "needs 'endif', found 'elif'");
    expect_error("{{ 1 2 }}", ErrorKind::format, "expected '}}', found '2'");
    expect_error("{% set 3 = 4 %}", ErrorKind::format, "expected a name, found '3'");
    expect_error("{% set true = 4 %}", ErrorKind::format, "nothing can be assigned to 'true'");
    expect_error("{% break %}", ErrorKind::format, "'break' stands outside of a loop");
    expect_error("{% for i in [1] %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}", ErrorKind::format, "'continue' stands outside");
    expect_error("{{ f(a=1, 2) }}", ErrorKind::format, "an argument without a name follows one with a name");
    expect_error("{% macro m(a=1, b) %}{% endmacro %}", ErrorKind::format, "parameter 'b' without a value");
    expect_error("{% call 3 %}{% endcall %}", ErrorKind::format, "'call' needs a call");
    expect_error("{{ n is odd is even }}", ErrorKind::format, "tests cannot be chained");
    expect_error("{{ '\\xZZ' }}", ErrorKind::format, "needs 2 hexadecimal digits");
    expect_error("{{ '\\ud800' }}", ErrorKind::format, "names no character");
    expect_error("{{ $ }}", ErrorKind::format, "'$' does not belong in a tag");
    expect_error("{{ words[1:2:3:] }}", ErrorKind::format, "at most three parts");
}

TEST(TemplateErrors, WhatIsNotSupported) {
    expect_error("a\n\n{% include 'x' %}", ErrorKind::unsupported, "test, line 3: the statement 'include' is not supported");
    expect_error("{% for i in [1] recursive %}{% endfor %}", ErrorKind::unsupported, "recursive loops");
    expect_error("{{ 1 }}\n{{ n | urlize }}", ErrorKind::unsupported, "line 2: the filter 'urlize' is not supported");
    expect_error("{{ n is strange }}", ErrorKind::unsupported, "the test 'strange' is not supported");
    expect_error("{{ words | map('urlize') | list }}", ErrorKind::unsupported, "the filter 'urlize'");
    expect_error("{{ 99999999999999999999 }}", ErrorKind::unsupported, "does not fit in 64 bits");
    expect_error("{{ 9223372036854775807 + 1 }}", ErrorKind::unsupported, "does not fit in 64 bits");
    expect_error("{{ 10 ** 30 }}", ErrorKind::unsupported, "does not fit in 64 bits");
    // What is never reached does no harm.
    EXPECT_EQ("ok", rendered("{% if false %}{{ n | urlize }}{% endif %}ok"));
}

TEST(TemplateErrors, MistakesWhileRendering) {
    expect_error("x\n{{ raise_exception('only ' ~ n) }}", ErrorKind::usage, "test, line 2: the template refuses: only 3");
    expect_error("{{ missing.a }}", ErrorKind::format, "'missing' is undefined");
    expect_error("{{ name.first.x }}", ErrorKind::format, "a value of type 'str' has no attribute 'first'");
    expect_error("{{ missing() }}", ErrorKind::format, "'missing' is undefined");
    expect_error("{{ missing + 1 }}", ErrorKind::format, "'missing' is undefined");
    expect_error("{{ missing[1:] }}", ErrorKind::format, "'missing' is undefined");
    expect_error("{{ row[1:] }}", ErrorKind::format, "'dict' has no slices");
    expect_error("{{ 1 + 'a' }}", ErrorKind::format, "'+' does not go with 'int' and 'str'");
    expect_error("{{ 'a' < 1 }}", ErrorKind::format, "have no order");
    expect_error("{{ 1 / 0 }} ", ErrorKind::format, "division by zero");
    expect_error("{{ n() }}", ErrorKind::format, "'int' cannot be called");
    expect_error("{{ n | length }}", ErrorKind::format, "'int' has no length");
    expect_error("{{ words | first(1) }}", ErrorKind::format, "'first' takes at most 0 arguments, not 1");
    expect_error("{{ words | join(separator=1) }}", ErrorKind::format, "'join' has no parameter 'separator'");
    expect_error("{{ 'a'.replace('b') }}", ErrorKind::format, "'replace' needs its parameter 'new'");
    expect_error("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", ErrorKind::format, "'m' takes at most 1 arguments, not 2");
    expect_error("{% set name.x = 1 %}", ErrorKind::format, "'name' is no namespace");
    expect_error("{% for a, b in [[1, 2, 3]] %}{% endfor %}", ErrorKind::format, "3 values for 2 names");
    expect_error("{{ missing | tojson }}", ErrorKind::format, "'Undefined' cannot be written as JSON");
    expect_error("{{ {[]: 1} }}", ErrorKind::format, "'list' cannot be a key");
    expect_error("{{ '%d' % 'x' }}", ErrorKind::format, "needs a number");
    expect_error("{{ '%s' % (1, 2) }}", ErrorKind::format, "fewer places than values");
    expect_error("{{ '{} {}'.format(1) }}", ErrorKind::format, "has no value number 1");
    expect_error("{{ 'abc'.index('z') }}", ErrorKind::format, "'index' does not find 'z'");
}

TEST(TemplateLimits, EndlessAndHugeTemplatesEnd) {
    const std::string many = "{% for i in range(99999) %}";
    expect_error(many + many + "{% endfor %}{% endfor %}", ErrorKind::unsupported, "takes more than");
    expect_error("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", ErrorKind::unsupported, "nested deeper than");
    expect_error("{{ 'x' * 10 ** 12 }}", ErrorKind::unsupported, "of memory");
    expect_error("{{ [0] * 10 ** 12 }}", ErrorKind::unsupported, "of memory");
    expect_error("{{ range(10 ** 9) }}", ErrorKind::unsupported, "a range of more than");
    expect_error("{{ '%999999999d' % 1 }}", ErrorKind::unsupported, "a format asks for more than");
    expect_error("{{ 'x'.center(10 ** 12) }}", ErrorKind::unsupported, "of memory");
    expect_error("{% set ns = namespace(s='x') %}" + many + "{% set ns.s = ns.s + ns.s %}{% endfor %}", ErrorKind::unsupported, "of memory");
    expect_error("{% set ns = namespace(s='x') %}" + many + "{% set ns.s = ns.s.replace('', ns.s) %}{% endfor %}", ErrorKind::unsupported,
                 "of memory");
    expect_error("{% set big = 'x' * 10 ** 6 %}" + many + "{{ big }}{% endfor %}", ErrorKind::unsupported, "writes more than");
    expect_error("{% set big = 'x' * 10 ** 7 %}{% set l = [] %}" + many + "{% set _ = l.append(big ~ i) %}{% endfor %}", ErrorKind::unsupported,
                 "of memory");
    RenderOptions little;
    little.most_work = 1000;
    expect_error(many + "{% endfor %}", ErrorKind::unsupported, "more than 1000 steps", little);
    EXPECT_EQ("6", rendered("{{ 1 + 2 + 3 }}", little));
}

TEST(TemplateLimits, DeepSourcesAreRefused) {
    const auto repeated = [](const std::string& text, int count) {
        std::string result;
        for (int i = 0; i < count; ++i) result += text;
        return result;
    };
    const int count = 100'000;
    expect_error("{{ " + repeated("(", count) + "1" + repeated(")", count) + " }}", ErrorKind::unsupported, "nested deeper");
    expect_error("{{ " + repeated("[", count) + repeated("]", count) + " }}", ErrorKind::unsupported, "nested deeper");
    expect_error("{{ " + repeated("- ", count) + "1 }}", ErrorKind::unsupported, "nested deeper");
    expect_error("{{ " + repeated("not ", count) + "1 }}", ErrorKind::unsupported, "nested deeper");
    expect_error("{{ 1" + repeated(" + 1", count) + " }}", ErrorKind::unsupported, "a chain of more than");
    expect_error("{{ n" + repeated(" | abs", count) + " }}", ErrorKind::unsupported, "a chain of more than");
    expect_error("{{ n" + repeated(".a", count) + " }}", ErrorKind::unsupported, "a chain of more than");
    expect_error("{{ 1" + repeated(" if 1 else 1", count) + " }}", ErrorKind::unsupported, "nested deeper");
    expect_error(repeated("{% if 1 %}", count) + repeated("{% endif %}", count), ErrorKind::unsupported, "nested deeper");
    expect_error("{% set " + repeated("(", count) + "a" + repeated(")", count) + " = 1 %}", ErrorKind::unsupported, "nested deeper");
    EXPECT_EQ("101", rendered("{{ 1" + repeated(" + 1", 100) + " }}"));
}

TEST(TemplateLimits, ValuesThatHoldThemselves) {
    EXPECT_EQ("1", rendered("{% set ns = namespace(a=1) %}{% set ns.self = ns %}{{ ns.self.self.a }}"));
    expect_error("{% set ns = namespace() %}{% set ns.self = ns %}{{ ns }}", ErrorKind::unsupported, "nested deeper");
    expect_error("{% set l = [] %}{% set _ = l.append(l) %}{{ l | tojson }}", ErrorKind::unsupported, "nested deeper");
    expect_error("{% set a = [] %}{% set b = [] %}{% set _ = a.append(a) %}{% set _ = b.append(b) %}{{ a == b }}", ErrorKind::unsupported,
                 "nested deeper");
}

TEST(Template, ChangingListsAndDictionaries) {
    EXPECT_EQ("[1, 2, 3]", rendered("{% set l = [1] %}{% set _ = l.append(2) %}{% set _ = l.extend([3]) %}{{ l }}"));
    EXPECT_EQ("3[2, 1]", rendered("{% set l = [1, 2, 3] %}{{ l.pop() }}{% set _ = l.reverse() %}{{ l }}"));
    EXPECT_EQ("['a', 'b']", rendered("{% set l = ['b'] %}{% set _ = l.insert(0, 'a') %}{{ l }}"));
    EXPECT_EQ("{'a': 1, 'b': 2}", rendered("{% set _ = row.update({'b': 2}) %}{{ row }}"));
    EXPECT_EQ("1{}", rendered("{{ row.pop('a') }}{{ row }}"));
    EXPECT_EQ("{'a': 1}", rendered("{{ row }}"));  // a rendering changes its own copies
    expect_error("{{ (1, 2).append(3) }}", ErrorKind::format, "cannot change a tuple");
}

TEST(Template, BytesThatAreNoUtf8Survive) {
    EXPECT_EQ("a\xFF\xC3", rendered("a\xFF{{ '\xC3' }}"));
    EXPECT_EQ("3", rendered("{{ '\xFF\xC3x' | length }}"));
    EXPECT_EQ("x\xFF", rendered("{{ '\xFFx' | reverse }}"));
    EXPECT_EQ("\xFFX", rendered("{{ '\xFFx' | upper }}"));
}

TEST(Template, RendersFromSeveralThreads) {
    const Template shared("{% macro m(x) %}<{{ x }}>{% endmacro %}{% for w in words %}{{ m(w ~ 'constant') }}{% endfor %}", "test");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 200; ++i) EXPECT_EQ("<pearconstant><figconstant>", shared.render(variables, {}));
        });
    for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace tailor::text::templates
