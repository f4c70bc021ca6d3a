// Normalization tables: found keys, and damaged tables refused or harmless.
#include "text/precompiled_map.h"

#include <gtest/gtest.h>

#include <random>

#include "core/error.h"
#include "text/tiny_map.h"

namespace tailor::text {
namespace {

TEST(PrecompiledMap, FindsTheShortestAndTheLongestKey) {
    const PrecompiledMap map(testing::compiled_map({{"a", "A"}, {"abc", "<abc>"}, {"\xC2\xA0", " "}, {"x", ""}}), "table");
    EXPECT_EQ(map.longest("abcd").bytes, 3u);
    EXPECT_EQ(map.longest("abcd").replacement, "<abc>");
    EXPECT_EQ(map.shortest("abcd").bytes, 1u);
    EXPECT_EQ(map.longest("abd").replacement, "A");
    EXPECT_EQ(map.longest("\xC2\xA0").replacement, " ");
    EXPECT_EQ(map.longest("\xC2").bytes, 0u);
    EXPECT_EQ(map.longest("x").bytes, 1u);
    EXPECT_EQ(map.longest("x").replacement, "");
    EXPECT_EQ(map.longest("b").bytes, 0u);
    EXPECT_EQ(map.longest("").bytes, 0u);
    EXPECT_TRUE(PrecompiledMap("", "table").empty());
    EXPECT_EQ(PrecompiledMap().longest("a").bytes, 0u);
}

TEST(PrecompiledMap, DamagedTablesAreRefusedOrHarmless) {
    const std::string sound = testing::compiled_map({{"a", "A"}, {"abc", "<abc>"}});
    for (const std::size_t size : {std::size_t{1}, std::size_t{4}, std::size_t{100}, sound.size() - 1})
        EXPECT_THROW(PrecompiledMap(sound.substr(0, size), "table"), core::Error) << size;
    std::mt19937 random(1);
    for (int round = 0; round < 300; ++round) {
        std::string table = sound;
        for (int i = 0; i < 20; ++i) table[random() % table.size()] = static_cast<char>(random());
        try {
            const PrecompiledMap map(table, "table");
            for (const char* text : {"abcabc", "xyz", "a"}) EXPECT_LE(map.longest(text).bytes, 6u);
        } catch (const core::Error& error) {
            EXPECT_EQ(error.kind(), core::ErrorKind::format);
            EXPECT_EQ(std::string(error.what()).find("table"), 0u) << error.what();
        }
    }
}

}  // namespace
}  // namespace tailor::text
