// Grammars: what they let through, what they refuse, and that masks agree with the automaton byte by byte.
#include "text/grammar/grammar.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <random>

#include "core/error.h"
#include "text/grammar/token_mask.h"

namespace tailor::text::grammar {
namespace {

bool matches(const Rules& rules, std::string_view text) {
    Automaton automaton(rules);
    const StateId state = automaton.step(automaton.start(), text);
    return state != Automaton::dead && automaton.may_end(state);
}
Rules schema(std::string_view text) { return from_json_schema(core::Json::parse(text)); }

void expect(const Rules& rules, const std::vector<std::string_view>& yes, const std::vector<std::string_view>& no) {
    for (const std::string_view text : yes) EXPECT_TRUE(matches(rules, text)) << text;
    for (const std::string_view text : no) EXPECT_FALSE(matches(rules, text)) << text;
}

std::string error_of(const std::function<void()>& f) {
    try {
        f();
    } catch (const core::Error& e) {
        return e.what();
    }
    return "no error";
}

// A vocabulary of all bytes and of pieces of JSON and words; the last token ends.
class Pieces : public Tokenizer {
  public:
    explicit Pieces(bool many = true) {
        for (int b = 0; b < 256; ++b) pieces_.emplace_back(1, static_cast<char>(b));
        for (const char* p : {"{\"", "\":", "\": ", ", \"", "\"}", "\"]", "}}", "]}", "[[", "true", "false", "null", " the", "name", "ab", "abc", "abcd", "12", "123", "0.", "\xC3\xA9", "\xE2\x82", "\\u", "\\n", "\n  ", "},{\"", "e1", "-1"})
            if (many) pieces_.emplace_back(p);
        pieces_.emplace_back();
        size_ = static_cast<std::int64_t>(pieces_.size());
        eos_ = static_cast<TokenId>(size_ - 1);
        end_ids_ = {eos_};
    }
    std::vector<TokenId> encode(std::string_view, EncodeOptions) const override { return {}; }
    std::string piece(TokenId id, bool) const override { return pieces_[static_cast<std::size_t>(id)]; }
    std::string decode(std::span<const TokenId> ids, bool) const override {
        std::string text;
        for (const TokenId id : ids) text += piece(id, false);
        return text;
    }

  private:
    std::vector<std::string> pieces_;
};

TEST(Gbnf, LiteralsClassesGroupsAndRepetitions) {
    const Rules rules = from_gbnf(R"(
        # a sum
        root ::= term (("+" | "-") term)* end?
        term ::= [0-9]{1,3}   # three digits at most
               | "x" [^a-c\]] | "\x41\u00e9"
        end ::= ";" .
    )");
    expect(rules, {"1", "12+345", "xz-7", "xd", "A\xC3\xA9;\xE2\x82\xAC", "1;\n"}, {"", "1234", "xa", "x]", "1+", "1;", "1;;;", "A\xC3"});
}

TEST(Gbnf, RepetitionsOfNothingEnd) {
    expect(from_gbnf("root ::= (\"a\"?)* \"b\""), {"b", "aab"}, {"a", ""});
    expect(from_gbnf("root ::= a+ \nn ::= \"\" \na ::= n n \"x\" | n"), {"", "xxx"}, {"y"});
}

TEST(Gbnf, MistakesAreNamed) {
    EXPECT_NE(std::string::npos, error_of([] { from_gbnf("root ::= \"a\" b"); }).find("no rule 'b'"));
    EXPECT_NE(std::string::npos, error_of([] { from_gbnf("root ::= x\nx ::= x \"a\" | \"a\""); }).find("left recursion"));
    EXPECT_NE(std::string::npos, error_of([] { from_gbnf("root ::= y\nn ::= \"\"\ny ::= n z\nz ::= y \"a\" | \"b\""); }).find("left recursion"));
    EXPECT_NE(std::string::npos, error_of([] { from_gbnf("root ::= \"a\" root"); }).find("can never end"));
    EXPECT_NE(std::string::npos, error_of([] { from_gbnf("root ::= \"a\"\n\nroot2 ::= [z-a]"); }).find("line 3"));
    EXPECT_NE(std::string::npos, error_of([] { from_gbnf("start ::= \"a\""); }).find("root"));
    EXPECT_NE(std::string::npos, error_of([] { from_gbnf("root ::= \"a\"{3,2}"); }).find("before it begins"));
    EXPECT_NE(std::string::npos, error_of([] { from_gbnf("root ::= \"a\"{20000}"); }).find("10000"));
}

TEST(Rules, Utf8RangesCoverExactlyTheirCharacters) {
    const auto covers = [](char32_t first, char32_t last, char32_t c) {
        std::string bytes;
        if (c < 0x80) bytes = {static_cast<char>(c)};
        else if (c < 0x800) bytes = {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
        else if (c < 0x10000) bytes = {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
        else bytes = {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)), static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
        int found = 0;
        for (const auto& spelling : utf8_ranges(first, last)) {
            bool in = spelling.size() == bytes.size();
            for (std::size_t i = 0; in && i < bytes.size(); ++i) in = static_cast<std::uint8_t>(bytes[i]) >= spelling[i].first && static_cast<std::uint8_t>(bytes[i]) <= spelling[i].second;
            found += in;
        }
        return found;
    };
    std::mt19937 random(1);
    for (int i = 0; i < 2000; ++i) {
        char32_t a = random() % 0x110000 >> random() % 18, b = random() % 0x110000 >> random() % 18, c = random() % 0x110000 >> random() % 18;
        if (a > b) std::swap(a, b);
        for (const char32_t probe : std::initializer_list<char32_t>{a, b, c, a + 1, b + 1}) {
            if (probe > 0x10FFFF || (probe >= 0xD800 && probe < 0xE000)) continue;
            EXPECT_EQ(probe >= a && probe <= b ? 1 : 0, covers(a, b, probe)) << static_cast<std::uint32_t>(a) << " " << static_cast<std::uint32_t>(b) << " " << static_cast<std::uint32_t>(probe);
        }
    }
}

TEST(JsonSchema, Objects) {
    const Rules rules = schema(R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string","maxLength":3},"c":{"type":"boolean"}},"required":["b"]})");
    expect(rules, {R"({"b":"xyz"})", R"({"a":-12, "b": "\u00e9", "c":true})", "{\n  \"a\": 0,\n  \"b\": \"\"\n}"}, {R"({"a":1})", R"({"b":"wxyz"})", R"({"b":"x","a":1})", R"({"b":"x","d":1})", R"({"a":01,"b":""})", "{}"});
    const Rules open = schema(R"({"properties":{"name":{"const":"x"},"no":{"type":"null"}},"additionalProperties":{"type":"integer"}})");
    expect(open, {"{}", R"({"name":"x","n":1,"names":2,"":3})", R"({"nam":1})"}, {R"({"z":"x"})", R"({"n":1,"name":"x"})", R"({"nam\u0065":1})", R"({"no":1})"});
}

TEST(JsonSchema, ArraysAndNumbers) {
    expect(schema(R"({"type":"array","items":{"type":"integer","minimum":-5,"maximum":123},"minItems":1,"maxItems":3})"), {"[0]", "[123, -5,7]", "[99,100]"}, {"[]", "[124]", "[-6]", "[1,2,3,4]", "[05]"});
    expect(schema(R"({"prefixItems":[{"type":"string"},{"type":"null"}],"items":{"type":"boolean"},"minItems":2})"), {R"(["a",null])", R"(["a",null,true,false])"}, {R"(["a"])", R"([null,"a"])", R"(["a",null,1])"});
    expect(schema(R"({"prefixItems":[{"const":1},{"const":2}],"items":false})"), {"[]", "[1]", "[1,2]"}, {"[1,2,3]", "[2]"});
    expect(schema(R"({"type":"number","minimum":0,"exclusiveMaximum":2})"), {"0", "1.999", "0.5"}, {"2", "-0.1", "2.0", "1e1"});
    expect(schema(R"({"type":"number","exclusiveMinimum":-3,"maximum":-1})"), {"-1", "-2.99", "-1.5"}, {"-3", "-0.5", "-3.1", "1"});
    expect(schema(R"({"type":"integer","exclusiveMinimum":7})"), {"8", "10", "99999999"}, {"7", "-8", "6"});
    expect(schema(R"({"type":"number","minimum":0,"maximum":1})"), {"0", "1", "0.25", "1.0"}, {"1.01", "-0.1", "-0", "1e0"});
    expect(schema(R"({"type":"number","exclusiveMinimum":1000,"exclusiveMaximum":1001})"), {"1000.5"}, {"1000", "1000.0", "1001", "1000.0000000000000001", "1000.9999999999999999"});
    expect(schema(R"({"type":"number","multipleOf":0.01,"minimum":0})"), {"0", "19.99", "3.5"}, {"0.001", "-1"});
    expect(schema(R"({"type":"number","multipleOf":0.1,"x-unit":"m"})"), {"-7.5", "12"}, {"0.25", "1e3"});
    EXPECT_NE(std::string::npos, error_of([] { schema(R"({"type":"number","exclusiveMinimum":2,"maximum":2})"); }).find("no number"));
    std::mt19937 random(2);
    for (int i = 0; i < 40; ++i) {
        const auto decimal = [&] { return (static_cast<double>(random() % 3000) - 1500) / std::array{1.0, 10.0, 100.0, 1000.0}[random() % 4]; };
        double a = decimal(), b = i % 3 ? decimal() : std::round(1000 * a + static_cast<double>(random() % 300 + 20)) / 1000;
        if (a > b) std::swap(a, b);
        const bool open = i % 2;
        const Rules rules = schema(core::format(open ? R"({{"type":"number","exclusiveMinimum":{},"exclusiveMaximum":{}}})" : R"({{"type":"number","minimum":{},"maximum":{}}})", a, b));
        for (int n = 0; n < 200; ++n) {
            const double x = n == 0 ? a : n == 1 ? b : n % 2 ? decimal() : std::round(1000 * (a + (b - a) * static_cast<double>(random() % 1000) / 999)) / 1000;
            const std::string text = x == 0 ? "0" : core::format("{}", x);
            EXPECT_EQ(open ? x > a && x < b : x >= a && x <= b, matches(rules, text)) << a << " " << text << " " << b;
        }
    }
    for (int i = 0; i < 8; ++i) {
        std::int64_t a = static_cast<std::int64_t>(random() % 3000) - 1500, b = static_cast<std::int64_t>(random() % 3000) - 1500;
        if (a > b) std::swap(a, b);
        const Rules rules = schema(core::format(R"({{"type":"integer","minimum":{},"maximum":{}}})", a, b));
        for (std::int64_t n = -1700; n < 1700; n += 1 + static_cast<std::int64_t>(random() % 7)) EXPECT_EQ(n >= a && n <= b, matches(rules, std::to_string(n))) << a << " " << n << " " << b;
    }
}

TEST(JsonSchema, CombinationsAndReferences) {
    expect(schema(R"({"anyOf":[{"type":"string"},{"type":"array","items":{"$ref":"#"}}]})"), {R"("a")", R"([["a"],[]])"}, {"1", R"([1])"});
    expect(schema(R"({"$defs":{"tree":{"type":"object","properties":{"v":{"type":"integer"},"next":{"$ref":"#/$defs/tree"}},"required":["v"]}},"$ref":"#/$defs/tree"})"),
           {R"({"v":1,"next":{"v":2}})"}, {R"({"next":{"v":2}})"});
    expect(schema(R"({"allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"b":{"enum":["x","y",3]}},"required":["b"]}]})"), {R"({"a":1,"b":"y"})", R"({"a":1,"b":3})"}, {R"({"a":1})", R"({"a":1,"b":4})"});
    expect(schema(R"({"oneOf":[{"properties":{"k":{"const":"p"},"n":{"type":"integer"}},"required":["k"]},{"properties":{"k":{"const":"q"}},"required":["k"]}]})"), {R"({"k":"p","n":1})", R"({"k":"q"})"}, {R"({"k":"q","n":1})"});
    expect(schema(R"({"type":["integer","null"]})"), {"1", "null"}, {"\"a\"", "1.5"});
}

// Each of several schemas has its own word on what it does not name.
TEST(JsonSchema, SchemasThatMustAllHold) {
    const auto refusal = [](const char* text) { return error_of([&] { schema(text); }); };
    expect(schema(R"({"allOf":[{"properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"number","minimum":5}},{"properties":{"b":{"type":"integer"}}}],"required":["a","b"]})"),
           {R"({"a":1,"b":7})"}, {R"({"a":1,"b":2})", R"({"a":1,"b":5.5})"});
    expect(schema(R"({"allOf":[{"type":["number","string"],"minimum":3,"maximum":50},{"type":["integer","null"],"minimum":1,"maximum":9}]})"), {"3", "9"}, {"2", "10", "3.5", "null", "\"a\""});
    EXPECT_NE(std::string::npos, refusal(R"({"allOf":[{"type":"string"},{"type":"null"}]})").find("types of both"));
    expect(schema(R"({"allOf":[{"properties":{"a":{"type":"null"}},"additionalProperties":false},{"properties":{"b":{}}}]})"), {R"({"a":null})", "{}"}, {R"({"b":1})"});
    EXPECT_NE(std::string::npos, refusal(R"({"allOf":[{"additionalProperties":false},{"properties":{"b":{}},"required":["b"]}]})").find("'b' is required"));
    expect(schema(R"({"allOf":[{"properties":{"a":false}},{"properties":{"a":{},"b":{"type":"null"}}}]})"), {R"({"b":null})", "{}"}, {R"({"a":1})"});
    expect(schema(R"({"properties":{"ab":false},"additionalProperties":true})"), {R"({"a":1,"abc":2})"}, {R"({"ab":1})"});
    EXPECT_NE(std::string::npos, refusal(R"({"allOf":[{"items":{"type":"string"}},{"prefixItems":[{"type":["string","null"]}]}]})").find("prefixItems"));
    expect(schema(R"({"required":["a","b"],"properties":{"a":{"type":"null"}},"additionalProperties":{"type":"boolean"}})"), {R"({"a":null,"b":true})"}, {R"({"a":null,"b":1})"});
    EXPECT_NE(std::string::npos, refusal(R"({"required":["a"],"additionalProperties":false})").find("'a' is required, and not allowed"));
    expect(schema(R"({"const":2,"enum":[1,2]})"), {"2"}, {"1"});
    EXPECT_NE(std::string::npos, refusal(R"({"const":3,"enum":[1,2]})").find("none of the values"));
}

// What holds itself only behind something else is a rule of its own; what must hold beside itself is an error; the same thing twice costs once.
TEST(JsonSchema, SchemasThatHoldThemselves) {
    for (const char* const link : {R"({"allOf":[{"$ref":"#"}]})", R"({"$ref":"#","type":"object"})", R"({"allOf":[{"$ref":"#"},{"type":"object"}]})"})
        expect(schema(core::format(R"({{"properties":{{"v":{{"type":"null"}},"n":{}}},"required":["v"]}})", link)), {R"({"v":null})", R"({"v":null,"n":{"v":null,"n":{"v":null}}})"},
               {R"({"n":{"v":null}})", R"({"v":null,"n":{}})"});
    for (const char* const text : {R"({"allOf":[{"$ref":"#"}]})", R"({"$ref":"#","type":"object"})", R"({"$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"},{}]},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"})"})
        EXPECT_NE("no error", error_of([&] { schema(text); })) << text;
    std::string definitions = R"("x0":{"type":"null"})";
    for (int i = 1; i < 40; ++i) definitions += core::format(R"(,"x{}":{{"anyOf":[{{"$ref":"#/$defs/x{}"}},{{"$ref":"#/$defs/x{}"}}],"type":["null","integer"]}})", i, i - 1, i - 1);
    expect(schema(R"({"$ref":"#/$defs/x39","$defs":{)" + definitions + "}}"), {"null"}, {"1"});
    std::string many;
    for (int i = 0; i < 300; ++i) many += core::format(R"({}"m{}":{{"type":"integer"}})", i ? "," : "", i);
    expect(schema(R"({"properties":{)" + many + "}}"), {R"({"m0":1,"m299":2})"}, {R"({"m1":1,"m0":2})"});
    expect(schema(R"({"$ref":"#/$defs/a~1b~0c%25","$defs":{"a/b~c%":{"type":"null"}}})"), {"null"}, {"1"});
}

TEST(JsonSchema, NumbersAndCountsThatCannotBe) {
    for (const auto& [text, words] : {std::pair<const char*, const char*>{R"({"const":12345678901234567890123})", "2^53"}, {R"({"minItems":1e300})", "above a billion"}, {R"({"type":[]})", "no type"},
                                      {R"({"pattern":"^[]$"})", "no characters"}, {R"({"pattern":"\\ud83d"})", "half of a character"}})
        EXPECT_NE(std::string::npos, error_of([&, t = text] { schema(t); }).find(words)) << text << ": " << error_of([&, t = text] { schema(t); });
    expect(schema(R"({"enum":[1.0,2.5],"type":"integer"})"), {"1"}, {"2.5"});
    expect(schema("{\"pattern\":\"^\\\\ud83d\\\\ude00$\"}"), {"\"\xF0\x9F\x98\x80\""}, {"\"a\""});
}

TEST(Gbnf, TooManyWaysAtOnceIsAnError) {
    std::string rules = "root ::= r0\n";
    for (int i = 0; i < 30; ++i) rules += core::format("r{} ::= r{} | r{} \"x\"\n", i, i + 1, i + 1);
    const Rules grammar = from_gbnf(rules + "r30 ::= \"a\"");
    EXPECT_NE(std::string::npos, error_of([&] { Automaton(grammar).step(Automaton(grammar).start(), std::string_view("a")); }).find("ways at once"));
    std::string doubled = "root ::= r0\n";
    for (int i = 0; i < 70; ++i) doubled += core::format("r{} ::= r{} r{}\n", i, i + 1, i + 1);
    EXPECT_EQ("no error", error_of([&] { from_gbnf(doubled + "r70 ::= \"a\""); }));
    EXPECT_NE(std::string::npos, error_of([] { from_gbnf("root ::= \"\\uD83D\""); }).find("no character"));
    expect(from_gbnf("root ::= \"a\" * b {2}\nb ::= \"b\" ?"), {"", "aabb", "b"}, {"bbb", "ba"});
}

TEST(JsonSchema, ValuesOfAnotherKindAreNamedWithTheirPlace) {
    for (const auto& [text, words] : {std::pair<const char*, const char*>{R"({"properties":{"n":{"type":5}}})", "#/properties/n: 'type' must be the name of a type, or an array of such, it is 5"},
                                      {R"({"enum":"abc"})", "#: 'enum' must be an array, it is \"abc\""}, {R"({"allOf":[{"required":"a"}]})", "'required' must be an array of strings"},
                                      {R"({"oneOf":[{"type":"null"},{"properties":3}]})", "'properties' must be an object"}, {R"({"allOf":7})", "'allOf' must be an array"},
                                      {R"({"items":null})", "'items' must be an object, true or false"}, {R"({"$ref":{}})", "'$ref' must be a string"}})
        EXPECT_NE(std::string::npos, error_of([&, t = text] { schema(t); }).find(words)) << text << ": " << error_of([&, t = text] { schema(t); });
}

TEST(JsonSchema, Strings) {
    expect(schema(R"_({"pattern":"^a[0-9]{2,3}(x|yz)?$"})_"), {R"("a12")", R"("a123yz")"}, {R"("a1")", R"("ba12")", R"("a12 ")"});
    expect(schema("{\"pattern\":\"^\\\\\xC3\xA9\xC3\xBC$\"}"), {"\"\xC3\xA9\xC3\xBC\""}, {"\"\xC3\xA9\""});
    expect(schema(R"({"pattern":"b.d"})"), {R"("xxbedyy")", R"("bbed")"}, {R"("bd")"});
    expect(schema(R"({"pattern":"^\\\\\"\\n$"})"), {R"("\\\"\n")"}, {R"("\\")"});
    expect(schema(R"({"type":"string","minLength":2,"maxLength":3})"), {"\"\xC3\xA9\xE2\x82\xAC\"", R"("\u00e9a\\")"}, {R"("a")", R"("abcd")", "\"a\xC3\"", R"("\ud800a")"});
}

TEST(JsonSchema, FormatsOfStrings) {
    const auto format = [](const char* name, std::initializer_list<std::string> valid, std::initializer_list<std::string> wrong) {
        const Rules rules = schema(core::format(R"({{"type":"string","format":"{}"}})", name));
        for (const std::string& text : valid) EXPECT_TRUE(matches(rules, '"' + text + '"')) << name << " " << text;
        for (const std::string& text : wrong) EXPECT_FALSE(matches(rules, '"' + text + '"')) << name << " " << text;
    };
    format("date", {"2024-02-29", "2023-02-28", "2000-02-29", "2023-01-31", "2023-06-30", "0004-02-29", "0400-02-29", "0010-01-01"}, {"2023-02-29", "1900-02-29", "2024-02-30", "2023-06-31", "2023-13-01", "2023-00-10", "23-01-01", "0000-01-01", "0000-02-29"});
    format("time", {"23:59:59Z", "00:00:00.125+01:30"}, {"24:00:00Z", "12:60:00Z", "12:00:00"});
    format("date-time", {"2024-02-29T23:59:59.5Z", "2024-12-31T00:00:00+01:30"}, {"2024-02-30T00:00:00Z", "2024-12-31 00:00:00Z"});
    format("duration", {"P3Y6M4DT12H30M5S", "PT20M", "P2W", "P1DT12H", "P1Y2M"}, {"P", "P1DT", "1D", "P1Y2D", "PT1H2S", "P2W1D"});
    format("uuid", {"123e4567-e89b-12d3-a456-42661417400F"}, {"123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400g"});
    format("ipv4", {"0.0.0.0", "255.249.19.7"}, {"256.1.1.1", "1.2.3", "01.2.3.4"});
    format("ipv6", {"::", "::1", "2001:db8::ff00:42:8329", "1:2:3:4:5:6:7:8", "1::", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8"}, {":", "1:2:3:4:5:6:7", "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9", ":1:2:3:4:5:6:7"});
    format("email", {"Ada.Lovelace+notes@analytical-engine.example.org", "a@b.cd"}, {"a@b", "@b.cd", "a b@c.de", "a..b@c.de", "a@-b.cd"});
    format("hostname", {"localhost", "www.example.com", "a-1.b"}, {"-a.b", "a-.b", "a..b", "a_b", ""});
    format("uri", {"https://example.com", "ftp://host:21/a/b.txt", "https://example.com/a?q=1&r=%20#end", "urn:isbn:0451450523", "mailto:a@b.cd"}, {"example.com", "https://a b", "https://example.com/%2", "://x"});
}

// Each level may go on or end, so that the ways to read a text double with each; the places do not.
TEST(Gbnf, NestedRepetitionsStaySmall) {
    for (const char* const sign : {"+", "*", "+ \"b\"?"}) {
        std::string body = "\"a\"";
        for (int level = 0; level < 40; ++level) body = "(" + body + sign + ")";
        const Rules rules = from_gbnf("root ::= " + body + "+");
        expect(rules, {"a", "aaa"}, {"ac"});
        Automaton automaton(rules);
        for (StateId state = automaton.start(); const char c : std::string("aaaa")) {
            state = automaton.step(state, static_cast<std::uint8_t>(c));
            EXPECT_LT(automaton.frames(state).size(), 200u) << sign;
        }
    }
    EXPECT_NE(std::string::npos, error_of([] { from_gbnf("root ::= root+ \"a\" | \"b\""); }).find("begin with itself"));
}

TEST(JsonSchema, WhatIsNotSupportedIsNamed) {
    for (const auto& [text, word] : {std::pair<const char*, const char*>{R"({"type":"array","uniqueItems":true})", "uniqueItems"}, {R"({"not":{}})", "not"}, {R"({"properties":{"a":{"if":{}}}})", "#/properties/a"},
                                     {R"({"patternProperties":{}})", "patternProperties"}, {R"({"type":"string","format":"regex"})", "regex"}, {R"_({"pattern":"(?=a)"})_", "(?"}, {R"({"$ref":"http://x"})", "http://x"},
                                     {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "oneOf"}, {R"({"$ref":"#/$defs/none"})", "#/$defs/none"}, {R"({"type":"strin"})", "strin"}, {R"({"multipleOf":3})", "multipleOf"}})
        EXPECT_NE(std::string::npos, error_of([&, t = text] { schema(t); }).find(word)) << text << ": " << error_of([&, t = text] { schema(t); });
    EXPECT_NE(std::string::npos, error_of([] { from_json_schema(core::Json(core::Json::Object{{"pattern", "a\xFF"}})); }).find("UTF-8"));
    EXPECT_NE(std::string::npos, error_of([] { from_json_schema(core::Json(core::Json::Object{{"pattern", std::string("[\0-", 3)}})); }).find("pattern"));
    EXPECT_NE(std::string::npos, error_of([] { schema(R"({"$defs":{"a":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"})"); }).find("itself"));
}

// Every bit of a mask against the automaton, along random texts.
TEST(TokenMask, AgreesWithTheAutomaton) {
    const Pieces tokenizer;
    for (const Rules& rules : {any_json(), schema(R"({"properties":{"name":{"type":"string"},"list":{"items":{"type":"number"}}},"required":["name"],"additionalProperties":true})"), from_gbnf("root ::= \"a\" root \"b\" | \"ab\"{0,4}"),
                               schema(R"({"items":{"type":"string","minLength":12,"maxLength":40},"minItems":3,"maxItems":9})"), from_gbnf("root ::= ((\"a\"{2,30} \"b\"?){5,20} \"c\"{0,3}){8}"),
                               from_gbnf("root ::= item{0,40} \" \"*\nitem ::= (\"a\" | \"b\"?) tail\ntail ::= (\"c\"* (\"1\" item \"1\")?)?")}) {  // all may be empty
        TokenMask mask(rules, tokenizer);
        Automaton automaton(rules);
        std::mt19937 random(3);
        for (int text = 0; text < 15; ++text) {
            mask.restart();
            StateId state = automaton.start();
            for (int step = 0; step < 60; ++step) {
                const std::vector<std::uint64_t> bits(mask.allowed().begin(), mask.allowed().end());
                std::vector<TokenId> allowed;
                for (TokenId id = 0; id < tokenizer.size(); ++id) {
                    const bool expected = id == tokenizer.eos() ? automaton.may_end(state) : automaton.step(state, tokenizer.piece(id, false)) != Automaton::dead;
                    ASSERT_EQ(expected, bits[static_cast<std::size_t>(id) / 64] >> id % 64 & 1) << "token " << tokenizer.piece(id, false);
                    if (expected && id != tokenizer.eos()) allowed.push_back(id);
                }
                if (allowed.empty()) break;
                const TokenId id = allowed[random() % allowed.size()];
                ASSERT_TRUE(mask.accept(id));
                state = automaton.step(state, tokenizer.piece(id, false));
            }
        }
    }
}

// Random tokens, as from random weights, always end as valid JSON within the tokens that are left.
TEST(TokenMask, TextsEndInTime) {
    const Pieces tokenizer;
    TokenMask mask(schema(R"({"type":"object","properties":{"name":{"type":"string"},"tags":{"type":"array","items":{"enum":["red","green"]}},"at":{"type":"object","properties":{"x":{"type":"number"},"y":{"type":"number"}},"required":["x","y"]}},"required":["name","at"]})"), tokenizer);
    std::mt19937 random(4);
    for (int text = 0; text < 1000; ++text) {
        mask.restart();
        std::vector<TokenId> ids;
        std::int64_t left = 40 + static_cast<std::int64_t>(random() % 60);
        for (; left > 0; --left) {
            const auto bits = mask.allowed(left);
            std::vector<TokenId> allowed;
            for (TokenId id = 0; id < tokenizer.size(); ++id)
                if (bits[static_cast<std::size_t>(id) / 64] >> id % 64 & 1) allowed.push_back(id);
            ASSERT_FALSE(allowed.empty());
            const TokenId id = allowed[random() % allowed.size()];
            ASSERT_TRUE(mask.accept(id));
            if (id == tokenizer.eos()) break;
            ids.push_back(id);
        }
        const std::string written = tokenizer.decode(ids, false);
        ASSERT_TRUE(mask.may_end()) << written;
        const core::Json json = core::Json::parse(written);
        ASSERT_TRUE(json.at("at").at("x").is_number()) << written;
    }
}

TEST(TokenMask, ForgettingStatesKeepsThePlace) {
    Automaton automaton(from_gbnf("root ::= \"(\" root \")\" | \"x\""));
    StateId state = automaton.step(automaton.start(), "(((((");
    const std::size_t before = automaton.states();
    state = automaton.forget_all_but(state);
    EXPECT_LT(automaton.states(), before);
    EXPECT_EQ(6, automaton.least_bytes(state));
    EXPECT_TRUE(automaton.may_end(automaton.step(state, "x)))))")));
    EXPECT_EQ(Automaton::dead, automaton.step(state, "x))))))"));
}

}  // namespace
}  // namespace tailor::text::grammar
