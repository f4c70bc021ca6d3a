// Every pre-tokenizer on texts that tell them apart, worked out by hand from the published expressions.
#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <set>

#include "text/byte_pair.h"
#include "text/pre_tokenizers/registry.h"
#include "text/unicode.h"

namespace tailor::text {
namespace {

std::string cut(std::string_view name, std::string_view text) {
    std::vector<Span> words{{0, text.size()}}, next;
    for (const std::string_view expression : find_pre_tokenizer(name).expressions) {
        next.clear();
        Regex(expression).cut(text, words, next);
        words.swap(next);
    }
    std::string result;
    for (const Span& word : words) (result += text.substr(word.begin, word.length)) += '|';
    if (!result.empty()) result.pop_back();
    return result;
}

TEST(PreTokenizers, NamesAreUniqueAndExpressionsCompile) {
    std::set<std::string_view> names;
    for (const PreTokenizer* entry : pre_tokenizers::all()) {
        EXPECT_FALSE(entry->names.empty());
        EXPECT_FALSE(entry->doc.empty());
        for (const std::string_view name : entry->names) EXPECT_TRUE(names.insert(name).second) << name << " occurs twice";
        for (const std::string_view expression : entry->expressions) EXPECT_NO_THROW(Regex{expression}) << expression;
    }
    EXPECT_GE(names.size(), 80u);
}

TEST(PreTokenizers, EnglishWords) {
    const std::string_view text = "I'm  sure it'LL cost $1234.5!\n\nOk";
    EXPECT_EQ(cut("gpt-2", text), "I|'m| | sure| it|'|LL| cost| $|1234|.|5|!|\n|\n|Ok");
    EXPECT_EQ(cut("starcoder", text), "I|'m| | sure| it|'|LL| cost| $|1|2|3|4|.|5|!|\n|\n|Ok");
    EXPECT_EQ(cut("llama-bpe", text), "I|'m| | sure| it|'LL| cost| $|123|4|.|5|!\n\n|Ok");
    EXPECT_EQ(cut("dbrx", text), cut("llama-bpe", text));
    EXPECT_EQ(cut("qwen2", text), "I|'m| | sure| it|'LL| cost| $|1|2|3|4|.|5|!\n\n|Ok");
    EXPECT_EQ(cut("gpt-4o", text), "I'm| | sure| it'LL| cost| $|123|4|.|5|!\n\n|Ok");
    EXPECT_EQ(cut("tekken", text), "I|'m| | sure| it|'LL| cost| $|1|2|3|4|.|5|!\n\n|Ok");
    EXPECT_EQ(cut("seed-coder", text), "I|'m| | sure| it|'LL| cost| $|1|2|3|4|.|5|!|\n\n|Ok");
    EXPECT_EQ(cut("bailingmoe", text), cut("qwen2", text));
    EXPECT_EQ(cut("ufakzeka", "Ali'm'den it'll"), "Ali|'m|'den| it|'ll");
    EXPECT_EQ(cut("falcon", text), "I|'|m| | sure| it|'|LL| cost| |$|123|4|.|5|!|\n|\n|Ok");
    EXPECT_EQ(cut("default", text), "I|'|m| | sure| it|'|LL| cost| |$|123|4|.|5|!|\n|\n|Ok");
    EXPECT_EQ(cut("deepseek-v3", text), "I|'m| | sure| it|'LL| cost| $|123|4|.|5|!\n\n|Ok");
    EXPECT_EQ(cut("deepseek-coder", text), "I|'|m| | sure| it|'|LL| cost| $|1|2|3|4|.|5|!|\n|\n|Ok");
    EXPECT_EQ(cut("bloom", text), "I'm| | sure| it'LL| cost| $1234|.|5|!\n\n|Ok");
    EXPECT_EQ(cut("superbpe", text), "I'm  sure it'LL cost $|1|234|.|5|!\n\nOk");
    EXPECT_EQ(cut("gemma4", text), "I'm  sure it'LL cost $1234.5!|\n\n|Ok");
}

TEST(PreTokenizers, CaseAndMarks) {
    EXPECT_EQ(cut("gpt-4o", "helloWorld ÉcoleX ПриветМир"), "hello|World| École|X| Привет|Мир");
    EXPECT_EQ(cut("llama-bpe", "helloWorld"), "helloWorld");
    // The word "Hindi" in Devanagari: letters with combining vowel signs.
    const std::string_view hindi = "\u0939\u093F\u0928\u094D\u0926\u0940";
    EXPECT_EQ(cut("tekken", hindi), hindi);
    EXPECT_EQ(cut("qwen35", hindi), hindi);
    EXPECT_NE(cut("qwen2", hindi), hindi);
    EXPECT_EQ(cut("kimi-k2", "Tokyo東京Tower's東"), "Tokyo|東京|Tower's|東");
    EXPECT_EQ(cut("gpt-4o", "Tokyo東京"), "Tokyo東京");
}

TEST(PreTokenizers, NumbersFromTheRight) {
    for (const char* name : {"afmoe", "superbpe", "tiny_aya"}) {
        EXPECT_EQ(cut(name, "1"), "1") << name;
        EXPECT_EQ(cut(name, "1234"), "1|234") << name;
        EXPECT_EQ(cut(name, "12345"), "12|345") << name;
        EXPECT_EQ(cut(name, "123456"), "123|456") << name;
    }
    EXPECT_EQ(cut("tiny_aya", "1234567 x"), "1|234|567| x");
    EXPECT_EQ(cut("afmoe", "a1234.12345"), "a|1|234|.|12|345");
    EXPECT_EQ(cut("minicpm5", "12345"), "123|45");
}

TEST(PreTokenizers, Scripts) {
    // Its range of punctuation, ":-~", holds the ASCII letters and parts them from the others.
    EXPECT_EQ(cut("deepseek-llm", "Größe Wort東京12 한국!\n"), "Gr|öß|e| Wort|東京|12| |한국|!|\n");
    EXPECT_EQ(cut("deepseek-v3", "Größe東京12ab"), "Größe|東京|12|ab");
    EXPECT_EQ(cut("youtu", "한국어 ok，東京"), "한국어| ok|，|東京");
    EXPECT_EQ(cut("bloom", "你好。नमस्ते।"), "你好|。|नमस्ते|।");
    EXPECT_EQ(cut("viking", "a12"), "a|1|2");
}

TEST(PreTokenizers, WhiteSpace) {
    EXPECT_EQ(cut("jais-2", "a" + std::string(21, ' ') + "b"), "a|" + std::string(16, ' ') + "|" + std::string(4, ' ') + "| b");
    EXPECT_EQ(cut("laguna", "a\n\n b"), "a|\n\n| b");
    EXPECT_EQ(cut("bailingmoe", "a  \n\nb"), "a|  \n\n|b");
    EXPECT_EQ(cut("exaone-moe", "two words here\n"), "two words here|\n");
    EXPECT_EQ(cut("chameleon", "a    b\tIMGIMGABZ<sentinel:12>"), "a|    |b|\t|IMGIMGABZ|<|sentinel|:|1|2|>");
    EXPECT_EQ(cut("spark2_5", "a!\n\n12"), "a|!|\n|\n|1|2");
}

/// Long monotonous texts are where an expression that looks ahead or gives back shows its square.
TEST(PreTokenizers, LongRunsTakeLinearTime) {
    for (const PreTokenizer* entry : pre_tokenizers::all())
        for (const char* unit : {"7", " ", "a", "A", "字", "'", "\n", "a b ", "1 "}) {
            std::string text;
            while (text.size() < 100000) text += unit;
            text += "7x";
            const std::clock_t start = std::clock();  // processor time: a busy machine must not fail this
            cut(entry->names[0], text);
            EXPECT_LT(std::clock() - start, CLOCKS_PER_SEC) << entry->names[0] << " on '" << unit << "'";
        }
}

}  // namespace
}  // namespace tailor::text
