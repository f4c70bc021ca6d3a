// Every scalar value survives; every ill-formed sequence of the standard's examples is measured as it says.
#include "text/unicode.h"

#include <gtest/gtest.h>

namespace tailor::text {
namespace {

TEST(Unicode, EveryScalarValueSurvives) {
    for (char32_t value = 0; value <= 0x10FFFF; ++value) {
        if (value >= 0xD800 && value <= 0xDFFF) continue;
        std::string text;
        append_utf8(text, value);
        const CodePoint read = code_point(text, 0);
        ASSERT_EQ(read.value, value);
        ASSERT_EQ(read.bytes, text.size());
        ASSERT_EQ(text.size(), value < 0x80 ? 1u : value < 0x800 ? 2u : value < 0x10000 ? 3u : 4u);
    }
}

TEST(Unicode, ValidLengthStopsAtTheFirstBadByte) {
    EXPECT_EQ(valid_length(""), 0u);
    EXPECT_EQ(valid_length("aé字🙂"), 10u);
    EXPECT_EQ(valid_length("ab\xFFzz"), 2u);
    EXPECT_EQ(valid_length("ab\xFFzz", 3), 2u);
    EXPECT_EQ(valid_length("\xED\xA0\x80"), 0u) << "a surrogate";
    EXPECT_EQ(valid_length("\xC0\x80"), 0u) << "an overlong form";
    EXPECT_EQ(valid_length("\xF4\x90\x80\x80"), 0u) << "above U+10FFFF";
    EXPECT_EQ(valid_length("a\xE5\xAD"), 1u) << "cut off";
}

struct Case {
    std::string_view bytes;
    std::size_t length;
    bool incomplete;
};

TEST(Unicode, IllFormedStretchesAreMaximalSubparts) {
    const Case cases[] = {
        {"\x80", 1, false},         {"\xBFx", 1, false},       {"\xC0\x80", 1, false},     {"\xFF", 1, false},
        {"\xF5\x80", 1, false},     {"\xC3", 1, true},         {"\xC3x", 1, false},        {"\xE0\x80\x80", 1, false},
        {"\xE0\xA0", 2, true},      {"\xE0\xA0x", 2, false},   {"\xED\xA0\x80", 1, false}, {"\xED\x9F", 2, true},
        {"\xF0\x8F\x80", 1, false}, {"\xF0\x90\x80", 3, true}, {"\xF0\x9F\x99", 3, true},  {"\xF0\x9F\x99x", 3, false},
        {"\xF4\x90", 1, false},     {"\xF4\x8F\xBF", 3, true}, {"\xF1\x80", 2, true},      {"\xE1\x80\xE2", 2, false},
    };
    for (const Case& c : cases) {
        bool incomplete = !c.incomplete;
        EXPECT_EQ(invalid_length(c.bytes, 0, incomplete), c.length) << testing::PrintToString(c.bytes);
        EXPECT_EQ(incomplete, c.incomplete) << testing::PrintToString(c.bytes);
    }
}

TEST(Unicode, IllFormedStretchesAreReplaced) {
    EXPECT_EQ(with_replacements("a\xE5\xAD" "b\xFF\xFF"), "a\uFFFDb\uFFFD\uFFFD");
    EXPECT_EQ(with_replacements("字"), "字");
    EXPECT_EQ(with_replacements(""), "");
}

TEST(Unicode, NormalForms) {
    const std::string_view text = "e\u0301\uFB01\u1112\u1161";
    EXPECT_EQ(normalized(text, NormalForm::nfc), "é\uFB01하");
    EXPECT_EQ(normalized(text, NormalForm::nfkc), "éfi하");
    EXPECT_EQ(normalized("éﬁ하", NormalForm::nfd), text);
    EXPECT_EQ(normalized("éﬁ하", NormalForm::nfkd), "e\u0301fi\u1112\u1161");
    EXPECT_EQ(normalized(std::string_view("a\0b", 3), NormalForm::nfc), std::string_view("a\0b", 3));
    EXPECT_EQ(normalized("", NormalForm::nfkd), "");
}

TEST(Unicode, LowerCase) {
    std::string text;
    for (const char32_t c : U"ÀΣİAß") {
        if (c) append_lower(text, c);
    }
    EXPECT_EQ(text, "àσi\u0307aß");
}

TEST(Unicode, GraphemeClusters) {
    const std::string_view text = "e\u0301x👩\u200D👧\r\n\xFF" "a";
    std::string lengths;
    for (std::size_t at = 0; at < text.size(); at += grapheme_length(text, at)) lengths += std::to_string(grapheme_length(text, at)) + " ";
    EXPECT_EQ(lengths, "3 1 11 2 1 1 ");
}

TEST(Unicode, Properties) {
    const auto those = [](bool (*property)(char32_t), std::u32string_view characters) {
        std::string result;
        for (const char32_t c : characters)
            if (property(c)) append_utf8(result, c);
        return result;
    };
    const std::u32string_view mixed = U"aÉ字1Ⅷ½_-$—\u0301\u0903 \u00A0\u200B\u0085\uE000ⓐ\u200D";
    EXPECT_EQ(those(&is_white_space, mixed), " \u00A0\u0085");
    EXPECT_EQ(those(&is_punctuation, mixed), "_-$—");
    EXPECT_EQ(those(&is_number, mixed), "1Ⅷ½");
    EXPECT_EQ(those(&is_mark, mixed), "\u0301\u0903");
    EXPECT_EQ(those(&is_nonspacing_mark, mixed), "\u0301");
    EXPECT_EQ(those(&is_control, mixed), "\u200B\u0085\uE000\u200D");
    EXPECT_EQ(those(&is_word_character, mixed), "aÉ字1Ⅷ_\u0301\u0903ⓐ\u200D");
    EXPECT_EQ(those(&is_han, mixed), "字");
}

}  // namespace
}  // namespace tailor::text
