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

}  // namespace
}  // namespace tailor::text
