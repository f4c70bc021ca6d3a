// However a text is cut into pieces, the stream shows the same, and only whole characters.
#include "text/utf8_stream.h"

#include <gtest/gtest.h>

#include <random>

#include "core/text.h"

namespace tailor::text {
namespace {

const std::string replacement = "\xEF\xBF\xBD";

TEST(Utf8Stream, HoldsBackUnfinishedCharacters) {
    Utf8Stream stream;
    EXPECT_EQ(stream.push("a\xF0\x9F"), "a");
    EXPECT_EQ(stream.push("\x99"), "");
    EXPECT_EQ(stream.push("\x82z"), "🙂z");
    EXPECT_EQ(stream.flush(), "");
}

TEST(Utf8Stream, ReplacesWhatCannotBeRepaired) {
    Utf8Stream stream;
    EXPECT_EQ(stream.push("\xE5x\xFF"), replacement + "x" + replacement);
    EXPECT_EQ(stream.push("\xF0\x9F"), "");
    EXPECT_EQ(stream.push("ok"), replacement + "ok");
    EXPECT_EQ(stream.push("\xC3"), "");
    EXPECT_EQ(stream.flush(), replacement);
    EXPECT_EQ(stream.push("\xA9"), replacement) << "the flushed byte is forgotten";
}

TEST(Utf8Stream, ShowsTheSameHoweverThePiecesFall) {
    std::mt19937 random(7);
    for (int round = 0; round < 500; ++round) {
        std::string text;
        while (text.size() < 40) {
            const char* const parts[] = {"a", "é", "字", "🙂", "\xE5", "\xFF", "\xF0\x9F\x99", "\x80", "\xED\xA0\x80"};
            text += parts[random() % 9];
        }
        Utf8Stream whole, parts;
        std::string expected = whole.push(text);
        expected += whole.flush();
        std::string shown;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t length = 1 + random() % 4;
            const std::string part = parts.push(std::string_view(text).substr(at, length));
            EXPECT_TRUE(core::is_utf8(part));
            shown += part;
            at += length;
        }
        shown += parts.flush();
        ASSERT_EQ(shown, expected);
    }
}

}  // namespace
}  // namespace tailor::text
