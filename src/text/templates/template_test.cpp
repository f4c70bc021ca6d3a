// Templates and what they render to. The expected texts were recorded from Jinja2 3.1.6 for Python, set up as Hugging Face
// does it: ImmutableSandboxedEnvironment(trim_blocks, lstrip_blocks, loopcontrols), tojson = json.dumps(ensure_ascii=False).
// Mistakes, limits and what Jinja2 does not do are in template_error_test.cpp, the templates of real models in
// ../chat_golden_test.cpp.
#include <gtest/gtest.h>

#include "core/json.h"
#include "text/templates/template.h"

namespace tailor::text::templates {
namespace {

const core::Json variables = core::Json::parse(R"json({
    "name": "Ada",
    "n": 3,
    "x": 1.0,
    "big": 1e+16,
    "tiny": 1e-05,
    "none": null,
    "yes": true,
    "words": ["pear", "Apple", "fig"],
    "empty": [],
    "nested": {"b": [1, 2.5, null], "a": "it's"},
    "rows": [{"role": "user", "content": "hi", "k": 2}, {"role": "assistant", "content": "ho", "k": 1}, {"role": "user", "content": "bye", "k": 3}],
    "text": "  two  words\n",
    "uni": "Grüße 🙂 ﬁn",
    "html": "<a href='x'>&\"</a>",
    "deep": {"items": {"keys": "k"}, "get": 5, "list": [[1, [2]], 3]}})json");

RenderOptions options() {
    RenderOptions result;
    result.now.tm_year = 126, result.now.tm_mday = 2, result.now.tm_hour = 3, result.now.tm_min = 4, result.now.tm_sec = 5;
    result.now.tm_wday = 5, result.now.tm_yday = 1;
    return result;
}

struct Case {
    const char *source, *expected;
};

void expect_all(std::initializer_list<Case> cases) {
    for (const Case& c : cases) {
        try {
            EXPECT_EQ(c.expected, Template(c.source, "test").render(variables, options())) << c.source;
        } catch (const std::exception& error) {
            ADD_FAILURE() << c.source << "\n" << error.what();
        }
    }
}

TEST(Template, WhiteSpace) {
    expect_all({
        {"a\n{% if true %}\nb\n{% endif %}\nc\n", "a\nb\nc"},
        {"a\n  {% if true %}  \n  b\n  {% endif %}\nc", "a\n  \n  b\nc"},
        {"a\n  {%+ if true %}x{% endif +%}\nb", "a\n  x\nb"},
        {"a {{- ' b ' -}}  c", "a b c"},
        {"a  {%- if true -%}  b  {%- endif -%}  c", "abc"},
        {"x {# note #} y\n{# whole line #}\nz", "x  y\nz"},
        {"x {#- tight -#} y", "xy"},
        {"{% raw %}{{ not }} {% this %}{% endraw %}\nend", "{{ not }} {% this %}end"},
        {"a {%- raw -%}  {{ b }}  {%- endraw -%}  c", "a{{ b }}c"},
        {"one\r\ntwo\rthree\n\n", "one\ntwo\nthree\n"},
        {"\t{% set a = 1 %}\n\t{{ a }}\n", "\t1"},
        {"{{ 'a' }}\n{{ 'b' }}\n", "a\nb"},
        {"  {% for i in [1,2] %}\n    {{ i }}\n  {% endfor %}\n", "    1\n    2\n"},
        {"{% set q %}\n  in\n{% endset %}[{{ q }}]", "[  in\n]"},
        {"a\302\240{%- if 1 %}b{% endif %}", "ab"},
        {"  {{ 1 }}  {% if 1 %} {% endif %}", "  1   "},
        {"{#a#}\n {#b#}\n c", " c"},
        {"{%-set a=1-%}\n\n {{a}}", "1"},
        {"{{ '{{' }} {{ '}}' }} {{ {'a':{'b':1}}['a']['b'] }}", "{{ }} 1"},
        {"{#-#}x", "x"},
        {"{#+ c +#}\ny", "\ny"},
        {"{{+1}}", "1"},
        {"x\n\n  {#- c -#}  \n y", "xy"},
        {"{% raw %}\n a\n{% endraw %}\nb", "\n a\nb"},
        {"{ {% if 1 %}{ {%endif%}}", "{ { }"},
    });
}

TEST(Template, Printing) {
    expect_all({
        {"{{ none }} {{ yes }} {{ x }} {{ big }} {{ tiny }} {{ n }}", "None True 1.0 1e+16 1e-05 3"},
        {"{{ nested }}", "{'b': [1, 2.5, None], 'a': \"it's\"}"},
        {"{{ words }} {{ (1,) }} {{ () }} {{ (1, 'a') }}", "['pear', 'Apple', 'fig'] (1,) () (1, 'a')"},
        {"{{ ['it\\'s', \"say \\\"x\\\"\", 'both\\'\"', 'a\\nb\\t\\\\'] }}", "[\"it's\", 'say \"x\"', 'both\\'\"', 'a\\nb\\t\\\\']"},
        {"{{ [uni, '\\x00\\x7f\\u200b'] }}", "['Grüße 🙂 ﬁn', '\\x00\\x7f\\u200b']"},
        {"{{ 1e100 }} {{ 0.1 + 0.2 }} {{ 1/3 }} {{ 123456789.0 }} {{ 1e15 }} {{ 1e17 }} {{ -0.0 }} {{ 5e-324 }} {{ 0.0001 }}",
         "1e+100 0.30000000000000004 0.3333333333333333 123456789.0 1000000000000000.0 1e+17 -0.0 5e-324 0.0001"},
        {"{{ missing }}|{{ name.missing }}|{{ nested.missing }}|{{ words[9] }}|{{ none.a }}", "||||"},
        {"{{ [missing] }}", "[Undefined]"},
        {"{{ range(3) }} {{ range(1, 7, 2) }}", "range(0, 3) range(1, 7, 2)"},
        {"{{ nested.keys() }} {{ nested.values() }} {{ {'a':1}.items() }}",
         "dict_keys(['b', 'a']) dict_values([[1, 2.5, None], \"it's\"]) dict_items([('a', 1)])"},
        {"{{ true }} {{ True }} {{ [true, none] }}", "True True [True, None]"},
        {"{{ {1: 'a', 1.5: 2, none: 3, true: 4} }}", "{1: 4, 1.5: 2, None: 3}"},
        {"{{ 1, 2 }}", "(1, 2)"},
        {"{{ namespace(a=1) is mapping }}", "False"},
        {"{{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1.5e3 }} {{ 2E-2 }} {{ 1e5 }}", "1000 31 5 15 1500.0 0.02 100000.0"},
        {"{{ 'a' 'b' \"c\" }}", "abc"},
        {"{{ 'tab\\tnew\\nuni\\u00e9\\x41\\101\\q\\U0001F642' }}", "tab\tnew\nuniéAA\\q🙂"},
        {"{{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7 / 2 }} {{ 4 / 2 }}",
         "-4 2 -2 3.0 0.5 1024 0.5 3.5 2.0"},
    });
}

TEST(Template, Operators) {
    expect_all({
        {"{{ 1 + 2 * 3 - 4 // 2 }}", "5"},
        {"{{ -2 ** 2 }} {{ 2 ** 3 ** 2 }}", "4 64"},
        {"{{ 'ab' * 3 }} {{ [0] * 2 + [1] }} {{ (1,) + (2,) }}", "ababab [0, 0, 1] (1, 2)"},
        {"{{ 1 ~ 'a' ~ none ~ 2.0 ~ [1] }}", "1aNone2.0[1]"},
        {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 > 1 == 1 }}", "True False True"},
        {"{{ 'a' in 'cat' }} {{ 'x' not in words }} {{ 'b' in nested }} {{ 2 in [1.0, 2.0] }}", "True True True True"},
        {"{{ not true or true and false }}", "False"},
        {"{{ none or 'fallback' }} {{ 0 and 1 }} {{ '' or [] or 'z' }}", "fallback 0 z"},
        {"{{ 'yes' if n > 2 else 'no' }} [{{ 'yes' if n > 5 }}] {{ 1 if 0 else 2 if 0 else 3 }}", "yes [] 3"},
        {"{{ 1 == 1.0 }} {{ true == 1 }} {{ '1' == 1 }} {{ [1,2] == [1.0, 2] }} {{ (1,) == [1] }} {{ {'a':1,'b':2} == {'b':2,'a':1} }}",
         "True True False True False True"},
        {"{{ 'abc' < 'abd' }} {{ [1,2] < [1,3] }} {{ 'Z' < 'a' }} {{ 1 < 1.5 }}", "True True True True"},
        {"{{ -n }} {{ +n }} {{ -1.5 }} {{ - -1 }}", "-3 3 -1.5 1"},
        {"{{ '%s is %d and %.2f %5s|%-5s|%05d %% %x %r' % ('a', 3, 2.345, 'r', 'l', 42, 255, 'q') }}", "a is 3 and 2.35     r|l    |00042 % ff 'q'"},
        {"{{ '%s' % 'one' }} {{ '%(a)s-%(b)03d' % {'a': 1, 'b': 2} }}", "one 1-002"},
        {"{{ missing == missing2 }} {{ missing is defined }} {{ missing in ['a'] }} {{ missing ~ 'x' }}", "True False False x"},
        {"{{ (1, 2) | first }} {{ -1 | abs }} {{ 'a' ~ 'b' | upper }}", "1 1 aB"},
        {"{{ 10 - 2 - 3 }} {{ 2 * 3 % 4 }} {{ 1 - -1 }}", "5 2 2"},
        {"{{ n is odd and not n is even }}", "True"},
        {"{{ not n is odd }} {{ n is not odd }}", "False False"},
        {"{{ [] == missing }} {{ none == false }} {{ 0 == false }}", "False False True"},
        {"{{ 1 if true }}{{ 2 if false }}", "1"},
        {"{{ 'ab' 'cd' | upper }}", "ABCD"},
        {"{{ 5 // 0.3 }} {{ 5 % 0.3 }} {{ -5.5 // 1 }} {{ 1e300 * 1e10 }}", "16.0 0.20000000000000018 -6.0 inf"},
    });
}

TEST(Template, Access) {
    expect_all({
        {"{{ name[0] }} {{ name[-1] }} {{ uni[6] }} {{ words[-1] }} {{ words.0 }} {{ nested.b.1 }} {{ nested['a'] }}", "A a 🙂 fig pear 2.5 it's"},
        {"{{ words[1:] }} {{ words[:-1] }} {{ words[::-1] }} {{ words[5:] }} {{ words[-2:] }} {{ name[::2] }} {{ uni[2:5] }} {{ uni[::-1"
         "] }}",
         "['Apple', 'fig'] ['pear', 'Apple'] ['fig', 'Apple', 'pear'] [] ['Apple', 'fig'] Aa üße nﬁ 🙂 eßürG"},
        {"{{ (1,2,3,4)[3:0:-2] }} {{ [1,2,3][10::-1] }} {{ [1,2,3][-10:2] }} {{ [1,2,3][:-10:-1] }} {{ 'abc'[1:1] }}|",
         "(4, 2) [3, 2, 1] [1, 2] [3, 2, 1] |"},
        {"{{ deep.items is callable }} {{ deep['items'] }} {{ deep['items']['keys'] }} {{ deep.get('get') }} {{ deep['get'] }}",
         "True {'keys': 'k'} k 5 5"},
        {"{{ rows[0].role }} {{ rows[-1]['content'] }} {{ rows[0]['nope'] is defined }}", "user bye False"},
        {"{{ deep.list[0][1][0] }} {{ deep.list | length }}", "2 2"},
        {"{{ nested['get']('a') }} {{ 'x'['upper']() }}", "it's X"},
        {"{{ words[true] }} {{ words[1.0] is defined }} {{ words['0'] is defined }}", "Apple False False"},
        {"{{ none['a'] is defined }} {{ name['missing'] is defined }} {{ 3['a'] is defined }}", "False False False"},
    });
}

TEST(Template, TextMethods) {
    expect_all({
        {"[{{ text.strip() }}] [{{ text.lstrip() }}] [{{ text.rstrip() }}] {{ 'xxaxx'.strip('x') }} {{ 'abcab'.lstrip('ba') }} {{ '🙂a🙂'."
         "strip('🙂') }}",
         "[two  words] [two  words\n] [  two  words] a cab a"},
        {"{{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ ' a  b '.split() }} {{ ' a  b c '.split(none, 1) }} {{ ''.split() }} "
         "{{ ''.split(',') }}",
         "['a', 'b', '', 'c'] ['a', 'b,c'] ['a', 'b'] ['a', 'b c '] [] ['']"},
        {"{{ 'a,b,c'.rsplit(',', 1) }} {{ 'a b  c'.rsplit(none, 1) }} {{ 'a--b'.split('--')[-1] }} {{ ' ü é '.rsplit(none, 5) }}",
         "['a,b', 'c'] ['a b', 'c'] b ['ü', 'é']"},
        {"{{ 'a\\nb\\r\\nc\\n'.splitlines() }} {{ 'a\\nb'.splitlines(true) }}", "['a', 'b', 'c'] ['a\\n', 'b']"},
        {"{{ name.startswith('A') }} {{ name.endswith(('x', 'da')) }} {{ 'abc'.startswith('b', 1) }}", "True True True"},
        {"{{ 'aaa'.replace('a', 'b', 2) }} {{ 'abc'.replace('', '-') }} {{ 'aXbX'.replace('X', '') }}", "bba -a-b-c- ab"},
        {"{{ uni.upper() }} {{ 'ÄÖ'.lower() }} {{ 'hELLO wORLD'.title() }} {{ 'hELLO wORLD'.capitalize() }} {{ 'aBc'.swapcase() }} {{ \""
         "they're\".title() }}",
         "GRÜSSE 🙂 FIN äö Hello World Hello world AbC They'Re"},
        {"{{ 'hello'.find('l') }} {{ 'hello'.rfind('l') }} {{ 'hello'.find('z') }} {{ uni.find('🙂') }} {{ 'hello'.index('e') }} {{ 'bana"
         "na'.count('an') }} {{ 'aaa'.count('') }}",
         "2 3 -1 6 1 2 4"},
        {"{{ ', '.join(['a', 'b']) }} {{ '-'.join('abc') }}", "a, b a-b-c"},
        {"{{ '{} and {}'.format(1, 'b') }} {{ '{1}{0}{x}'.format('a', 'b', x=3) }} {{ '{{}} {0[a]} {0.b}'.format({'a': 1}) if false else"
         " '' }}{{ '{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}|{!r}'.format('a', 'b', 'c', 42, 3.14159, 1234567, 'q') }}",
         "1 and b ba3     a|b    |  c  |00042|3.14|1,234,567|'q'"},
        {"{{ 'a'.center(4) }}| {{ 'ab'.center(5, '*') }} {{ 'a'.ljust(3) }}| {{ 'a'.rjust(3) }} {{ '-7'.zfill(4) }}", " a  | **ab* a  |   a -007"},
        {"{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('x') }}",
         "('a', '=', 'b=c') ('a=b', '=', 'c') ('abc', '', '')"},
        {"{{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ ' '.isspace() }} {{ 'aB1'.isalnum() }} {{ 'AB'.isupper() }} {{ 'ab'.islower() }} "
         "{{ ''.isdigit() }}",
         "True True True True True True False"},
        {"{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.gguf'.removesuffix('.gguf') }} {{ 'abc'.removeprefix('b') }}", "x x abc"},
        {"{{ 'ab'.center(7, '*') }} {{ 'abc'.center(6, '*') }}", "***ab** *abc**"},
    });
}

TEST(Template, ListAndDictMethods) {
    expect_all({
        {"{{ nested.get('a') }} {{ nested.get('z') }} {{ nested.get('z', 7) }}", "it's None 7"},
        {"{% for k, v in nested.items() %}{{ k }}={{ v }};{% endfor %}", "b=[1, 2.5, None];a=it's;"},
        {"{{ nested.keys() | list }} {{ nested.values() | list }} {{ nested.items() | length }}", "['b', 'a'] [[1, 2.5, None], \"it's\"] 2"},
        {"{{ words.index('fig') }} {{ [1, 1, 2].count(1) }} {{ {'a': 1}.copy() }}", "2 2 {'a': 1}"},
        {"{{ dict(a=1, b=2) }} {{ dict({'x': 1}, y=2) }} {{ dict([('k', 'v')]) }} {{ dict(nested, **{'c': 3}).keys() | list }}",
         "{'a': 1, 'b': 2} {'x': 1, 'y': 2} {'k': 'v'} ['b', 'a', 'c']"},
        {"{{ 'b' in nested.keys() }} {{ 'it\\'s' in nested.values() }}", "True True"},
    });
}

TEST(Template, Filters) {
    expect_all({
        {"{{ nested | tojson }}", "{\"b\": [1, 2.5, null], \"a\": \"it's\"}"},
        {"{{ nested | tojson(indent=2) }}", "{\n  \"b\": [\n    1,\n    2.5,\n    null\n  ],\n  \"a\": \"it's\"\n}"},
        {"{{ [] | tojson(indent=4) }} {{ {} | tojson }} {{ [1, [2, {'a': []}]] | tojson(indent=1) }}",
         "[] {} [\n 1,\n [\n  2,\n  {\n   \"a\": []\n  }\n ]\n]"},
        {"{{ [uni, html, 'q\"\\\\\\n\\t\\b\\f\\r\\x01'] | tojson }}",
         "[\"Grüße 🙂 ﬁn\", \"<a href='x'>&\\\"</a>\", \"q\\\"\\\\\\n\\t\\b\\f\\r\\u0001\"]"},
        {"{{ [uni, '🙂'] | tojson(ensure_ascii=true) }}", "[\"Gr\\u00fc\\u00dfe \\ud83d\\ude42 \\ufb01n\", \"\\ud83d\\ude42\"]"},
        {"{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }} {{ [1, 2] | tojson(separators=(',', ':')) }} {{ {'a': [1]} | tojson(separators"
         "=(',', ':')) }}",
         "{\"a\": 2, \"b\": 1} [1,2] {\"a\":[1]}"},
        {"{{ {1: true, none: 1.0, 'x': 1e16, 2.5: -0.0} | tojson }} {{ (1, 'a') | tojson }}",
         "{\"1\": true, \"null\": 1.0, \"x\": 1e+16, \"2.5\": -0.0} [1, \"a\"]"},
        {"{{ text | trim }}| {{ 'xax' | trim('x') }} {{ 5 | trim }}", "two  words| a 5"},
        {"{{ words | join(', ') }} {{ rows | join('+', attribute='role') }} {{ [1, none, 2.0] | join }}",
         "pear, Apple, fig user+assistant+user 1None2.0"},
        {"{{ missing | default('d') }} {{ none | default('d') }} {{ none | default('d', true) }} {{ '' | d('e', boolean=true) }} {{ miss"
         "ing | default }}|",
         "d None d e |"},
        {"{{ words | first }} {{ words | last }} {{ empty | first is defined }} {{ name | first }} {{ name | last }}", "pear fig False A a"},
        {"{{ words | length }} {{ uni | length }} {{ nested | count }} {{ missing | length }}", "3 10 2 0"},
        {"{{ 'abc' | list }} {{ nested | list }} {{ range(3) | list }}", "['a', 'b', 'c'] ['b', 'a'] [0, 1, 2]"},
        {"{{ rows | map(attribute='role') | list }} {{ words | map('upper') | join(' ') }} {{ rows | map(attribute='z', default='-') | l"
         "ist }} {{ ['a', 'b'] | map('replace', 'a', 'x') | list }}",
         "['user', 'assistant', 'user'] PEAR APPLE FIG ['-', '-', '-'] ['x', 'b']"},
        {"{{ [1, 2, 3, 4] | select('odd') | list }} {{ [0, 1, '', 'a'] | select | list }} {{ [1, 2, 3] | reject('equalto', 2) | list }} "
         "{{ [1, 5] | select('gt', 2) | list }}",
         "[1, 3] [1, 'a'] [1, 3] [5]"},
        {"{{ rows | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }} {{ rows | rejectattr('k', '>', 1) | list "
         "| length }} {{ rows | selectattr('z') | list }}",
         "['hi', 'bye'] 1 []"},
        {"{{ 'hello big-world (x)' | title }} {{ 'hELLO' | capitalize }} {{ 'a' | upper }}{{ 'B' | lower }}", "Hello Big-World (X) Hello Ab"},
        {"{{ 'a-b-c' | replace('-', '+') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 5 | replace('5', 6) }}", "a+b+c bba 6"},
        {"{{ '42' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ '3.9' | int }} {{ 3.9 | int }} {{ '0x1f' | int(base=16) }} {{ ' 7 ' | i"
         "nt }} {{ -3.5 | int }} {{ true | int }} {{ none | int }}",
         "42 0 7 3 3 31 7 -3 1 0"},
        {"{{ '1.5' | float }} {{ 'x' | float }} {{ 3 | float }} {{ '1e3' | float }} {{ 'x' | float(2) }}", "1.5 0.0 3.0 1000.0 2"},
        {"{{ 1.5 | string ~ 'x' }} {{ none | string }} {{ [1] | string | length }}", "1.5x None 3"},
        {"{{ html | escape }} {{ html | e }} {{ html | safe }}",
         "&lt;a href=&#39;x&#39;&gt;&amp;&#34;&lt;/a&gt; &lt;a href=&#39;x&#39;&gt;&amp;&#34;&lt;/a&gt; <a href='x'>&\"</a>"},
        {"{{ 'a\\nb\\n\\nc' | indent }}|{{ 'a\\nb' | indent(2, true) }}|{{ 'a\\n\\nb' | indent(2, blank=true) }}|{{ 'a\\nb' | indent('> "
         "') }}",
         "a\n    b\n\n    c|  a\n  b|a\n  \n  b|a\n> b"},
        {"{% for k, v in {'b': 1, 'A': 2, 'c': 0} | dictsort %}{{ k }}{{ v }} {% endfor %}{{ {'b': 1, 'a': 2} | dictsort(by='value', rev"
         "erse=true) }}",
         "A2 b1 c0 [('a', 2), ('b', 1)]"},
        {"{{ words | sort }} {{ words | sort(reverse=true) }} {{ words | sort(case_sensitive=true) }} {{ rows | sort(attribute='k') | ma"
         "p(attribute='k') | list }}",
         "['Apple', 'fig', 'pear'] ['pear', 'fig', 'Apple'] ['Apple', 'fig', 'pear'] [1, 2, 3]"},
        {"{{ ['b', 'B', 'a', 'b'] | unique | list }} {{ [1, 1.0, 2] | unique | list }} {{ ['b', 'B'] | unique(true) | list }}",
         "['b', 'a'] [1, 2] ['b', 'B']"},
        {"{{ words | reverse | list }} {{ 'abc' | reverse }} {{ [1, 2] | reverse | first }}", "['fig', 'Apple', 'pear'] cba 2"},
        {"{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 1.21 | round(1, 'ceil') }} {{ 7 | round }} {{ 1234 | round(-2) }"
         "} {{ 1.29 | round(1, 'floor') }}",
         "2.0 4.0 2.67 1.3 7 1200 1.2"},
        {"{{ -3 | abs }} {{ -2.5 | abs }} {{ [3, 1, 2] | min }} {{ words | max }} {{ rows | max(attribute='k') | tojson }} {{ [] | min i"
         "s defined }}",
         "3 2.5 1 pear {\"role\": \"user\", \"content\": \"bye\", \"k\": 3} False"},
        {"{{ [1, 2.5] | sum }} {{ rows | sum(attribute='k') }} {{ [[1], [2]] | sum(start=[]) }}", "3.5 6 [1, 2]"},
        {"{{ [1, 2, 3, 4, 5] | batch(2) | list }} {{ [1, 2, 3] | batch(2, 'x') | list }} {{ [1, 2, 3, 4, 5] | slice(3) | list }} {{ [1, "
         "2, 3, 4] | slice(3, 0) | list }}",
         "[[1, 2], [3, 4], [5]] [[1, 2], [3, 'x']] [[1, 2], [3, 4], [5]] [[1, 2], [3, 0], [4, 0]]"},
        {"{{ {'a': 1} | items | list }} {% for k, v in nested | items %}{{ k }}{% endfor %}", "[('a', 1)] ba"},
        {"{{ 'one two three' | truncate(9) }} {{ 'one two three' | truncate(9, true) }} {{ 'short' | truncate(9) }} {{ 'one two three fo"
         "ur' | truncate(10, end='…', leeway=0) }}",
         "one two three one two three short one two…"},
        {"{{ 'two words, three' | wordcount }} {{ '%s-%s' | format(1, 'b') }} {{ 'a' | center(5) }}|", "3 1-b   a  |"},
        {"{{ rows | groupby('role') | map('last') | map('length') | list }}", "[1, 2]"},
        {"{% filter upper | replace('A', 'o') %}banana{% endfilter %}", "BoNoNo"},
        {"{{ [3,1] | sort | tojson }} {{ words | map('length') | sum }}", "[1, 3] 12"},
        {"{{ missing | upper }}|{{ none | map('upper') | list }} {{ [1] | truncate(5) }} {{ uni.title() }}", "|[] [1] Grüße 🙂 Fin"},
        {"{{ 'x' | attr('upper') is callable }} {{ (rows | map(attribute='role') | unique | list) }}", "True ['user', 'assistant']"},
        {"{{ nested | map('upper') | list }}", "['B', 'A']"},
    });
}

TEST(Template, Tests) {
    expect_all({
        {"{{ name is string }} {{ n is string }} {{ nested is mapping }} {{ words is mapping }} {{ words is iterable }} {{ 'a' is iterab"
         "le }} {{ n is iterable }} {{ none is iterable }}",
         "True False True False True True False False"},
        {"{{ words is sequence }} {{ nested is sequence }} {{ n is sequence }} {{ 'a' is sequence }} {{ (words | map('upper')) is sequen"
         "ce }}",
         "True True False True False"},
        {"{{ n is number }} {{ x is number }} {{ yes is number }} {{ n is integer }} {{ yes is integer }} {{ x is float }} {{ n is float"
         " }} {{ yes is boolean }} {{ 1 is boolean }}",
         "True True True True False True False True False"},
        {"{{ yes is true }} {{ 1 is true }} {{ yes is false }} {{ none is none }} {{ missing is none }} {{ missing is undefined }}",
         "True False False True False True"},
        {"{{ 4 is divisibleby 2 }} {{ 4 is divisibleby(3) }} {{ 3 is odd }} {{ 3 is even }} {{ 1 is eq 1 }} {{ 1 is equalto(2) }} {{ 1 i"
         "s ne 2 }} {{ 1 is lt 2 }} {{ 2 is ge 2 }}",
         "True False True False True False True True True"},
        {"{{ 'a' is in ['a'] }} {{ 'ab' is lower }} {{ 'AB' is upper }} {{ range is callable }} {{ name.upper is callable }} {{ none is "
         "sameas none }}",
         "True True True True True True"},
        {"{{ 'a' if name is defined and name else 'b' }} {{ name is not none }} {{ name is string and n is integer }}", "a True True"},
        {"{{ 'upper' is filter }} {{ 'odd' is test }} {{ 'nope' is filter }}", "True True False"},
        {"{{ missing is string }} {{ missing is iterable }} {{ missing is mapping }} {{ missing is sequence }}", "False True False True"},
    });
}

TEST(Template, Loops) {
    expect_all({
        {"{% for w in words %}{{ loop.index }}/{{ loop.length }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}"
         "{{ loop.last }} {% endfor %}",
         "1/3032TrueFalse 2/3121FalseFalse 3/3210FalseTrue "},
        {"{% for i in [1, 2, 3, 4] if i is even %}{{ i }}:{{ loop.index }}{{ loop.last }} {% endfor %}", "2:1False 4:2True "},
        {"{% for i in empty %}x{% else %}none{% endfor %}{% for i in [1] if i > 1 %}x{% else %} filtered{% endfor %}", "none filtered"},
        {"{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}", "0134"},
        {"{% for w in words %}{{ loop.previtem }}<{{ w }}>{{ loop.nextitem }} {% endfor %}", "<pear>Apple pear<Apple>fig Apple<fig> "},
        {"{% for a, (b, c) in [(1, (2, 3)), (4, [5, 6])] %}{{ a }}{{ b }}{{ c }} {% endfor %}", "123 456 "},
        {"{% for i in [1, 2] %}{% for j in [1, 2] %}{{ loop.index }}{{ i }}{{ j }} {% endfor %}{{ loop.index }};{% endfor %}",
         "111 212 1;121 222 2;"},
        {"{% set s = 0 %}{% for i in [1, 2] %}{% set s = s + i %}{{ s }}{% endfor %}{{ s }}", "120"},
        {"{% set ns = namespace(s=0, seen=false) %}{% for i in [1, 2] %}{% set ns.s = ns.s + i %}{% set ns.seen = true %}{% endfor %}{{ "
         "ns.s }}{{ ns.seen }}",
         "3True"},
        {"{% for c in 'aé🙂' %}[{{ c }}]{% endfor %}", "[a][é][🙂]"},
        {"{% for k in nested %}{{ k }}{% endfor %}", "ba"},
        {"{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{{ loop.cycle('a', 'b') }} {% endfor %}", "Truea Falseb Truea "},
        {"{% set ns = namespace(found=false) %}{% for i in [1, 2, 3] if not ns.found %}{{ i }}{% if i == 2 %}{% set ns.found = true %}{%"
         " endif %}{% endfor %}",
         "12"},
        {"{% for i in [3, 4] %}{% if loop.first %}{% set a = i %}{% endif %}{{ a is defined }}{% endfor %}{{ a is defined }}", "TrueFalseFalse"},
        {"{% for i in missing %}x{% else %}empty{% endfor %}", "empty"},
        {"{% for i in [1] + [2] %}{{ i }}{% endfor %}{% for i in 1, 2 %}{{ i }}{% endfor %}", "1212"},
        {"{% for m in rows[1:] %}{{ m.role }}{% if not loop.last %}, {% endif %}{% endfor %}", "assistant, user"},
        {"{% for m in rows | selectattr('role', 'eq', 'user') %}{{ loop.length }}{{ m.k }} {% endfor %}", "22 23 "},
        {"{% set g = [1, 2, 3] | select %}{{ g | first }}{{ g | list }}{{ g | list }}{{ 'true' if g }}", "1[2, 3][]true"},
        {"{% for x in [1,2,3] %}{% for y in [x] %}{% if y == 2 %}{% break %}{% endif %}{{ y }}{% endfor %};{% endfor %}", "1;;3;"},
    });
}

TEST(Template, SetAndScopes) {
    expect_all({
        {"{% set a = 1 %}{% if true %}{% set a = 2 %}{% endif %}{{ a }}", "2"},
        {"{% set a, b = 1, 'x' %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c }}", "1x(1, 2)"},
        {"{% set t %}a{{ n }}b{% endset %}{{ t }}{{ t | length }}", "a3b3"},
        {"{% set t | upper | trim %} a{{ name }} {% endset %}[{{ t }}]", "[AADA]"},
        {"{% with a = 1, b = n %}{{ a }}{{ b }}{% set z = 5 %}{% endwith %}{{ a is defined }}{{ z is defined }}", "13FalseFalse"},
        {"{% set ns = namespace({'a': 1}, b=[]) %}{{ ns.a }}{{ ns.b }}{{ ns['a'] is defined }}{{ ns.c is defined }}", "1[]TrueFalse"},
        {"{% generation %}{% set v = 1 %}text{{ v }}{% endgeneration %}{{ v is defined }}", "text1False"},
        {"{% if missing %}a{% elif n == 3 %}b{% else %}c{% endif %}{% if 0 %}{% elif 0 %}{% else %}d{% endif %}", "bd"},
        {"{% set n = n + 1 %}{{ n }}{% set words = words[1:] %}{{ words | length }}", "42"},
        {"{% set x = 1 %}{% for i in [1,2] %}{{ x }}{% set x = 2 %}{{ x }}{% endfor %}{{ x }}", "12121"},
    });
}

TEST(Template, Macros) {
    expect_all({
        {"{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c='y') }}{{ m(a=5) }}{{ m() }}",
         "12x;13x;12y;52x;2x;"},
        {"{% macro f(n) %}{{ n }}{% if n > 0 %},{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "3,2,1,0"},
        {"{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, k='v') }}", "(1, 2){'k': 'v'}"},
        {"{% macro box(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call box('b') %}in {{ name }}{% endcall %}", "<b>in Ada</b>"},
        {"{% macro each(xs) %}{% for x in xs %}{{ caller(x, loop.index) }}{% endfor %}{% endmacro %}{% call(v, i) each(['p', 'q']) %}[{{"
         " i }}{{ v }}]{% endcall %}",
         "[1p][2q]"},
        {"{% set g = 'outer' %}{% macro m() %}{{ g }}{% set g = 'inner' %}{{ g }}{% endmacro %}{{ m() }}{{ g }}", "outerinnerouter"},
        {"{% macro m() %}{{ later }}{% endmacro %}{% set later = 'set' %}{{ m() }}", "set"},
        {"{% macro m(x) %}{{ x }}{% endmacro %}{% set r = m('v') %}{{ r | upper }}{{ r ~ '!' }}{{ r | length }}{{ m(m(1)) }}", "Vv!11"},
        {"{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "11"},
        {"{%- macro pad(s) -%}\n  {{- s -}}\n{%- endmacro -%}\n[{{ pad('x') }}]", "[x]"},
        {"{% for i in [1,2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "12"},
        {"{% set j = joiner(' | ') %}{{ j() }}a{{ j() }}b{{ j() }}c", "a | b | c"},
        {"{% macro m() %}x{% endmacro %}{{ m is callable }}{{ [1, 2] | map('string') | join(m()) }}", "True1x2"},
        {"{{ dict(**{'a': 1}) }} {{ range(*[1, 4]) | list }}", "{'a': 1} [1, 2, 3]"},
        {"{{ strftime_now('%d %B %Y, %H:%M %j %A %%') }}", "02 January 2026, 03:04 002 Friday %"},
    });
}

}  // namespace
}  // namespace tailor::text::templates
