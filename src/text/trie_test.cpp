// The trie against a search through all entries.
#include "text/trie.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tailor::text {
namespace {

TEST(Trie, FindsEveryPrefixShortestFirst) {
    const Trie trie({{"abc", 3}, {"a", 1}, {"b", 9}, {"ab", 2}, {"", 7}, {"a", 8}, {"\xFF\x01", 4}});
    std::vector<std::pair<std::size_t, std::int32_t>> found;
    trie.each_prefix("abcd", [&](std::size_t bytes, std::int32_t value) { found.emplace_back(bytes, value); });
    EXPECT_EQ(found, (std::vector<std::pair<std::size_t, std::int32_t>>{{1, 1}, {2, 2}, {3, 3}}));
    EXPECT_EQ(trie.longest("abx").value, 2);
    EXPECT_EQ(trie.longest("\xFF\x01\x02").bytes, 2u);
    EXPECT_EQ(trie.longest("xabc").bytes, 0u);
    EXPECT_EQ(trie.longest("").bytes, 0u);
    EXPECT_EQ(Trie().longest("a").bytes, 0u);
    EXPECT_EQ(Trie(std::vector<Trie::Entry>{}).longest("a").bytes, 0u);
}

TEST(Trie, AgreesWithASearchThroughAll) {
    std::mt19937 random(3);
    const auto word = [&] {
        std::string text(random() % 6, 'a');
        for (char& c : text) c = static_cast<char>(random() % 3 ? 'a' + random() % 3 : random());
        return text;
    };
    std::vector<std::string> words;
    for (int i = 0; i < 2000; ++i) words.push_back(word());
    std::vector<Trie::Entry> entries;
    for (std::size_t i = 0; i < words.size(); ++i) entries.push_back({words[i], static_cast<std::int32_t>(i)});
    const Trie trie(entries);
    for (int i = 0; i < 300; ++i) {
        const std::string text = word() + word();
        Trie::Match expected;
        for (std::size_t w = words.size(); w-- > 0;)
            if (text.compare(0, words[w].size(), words[w]) == 0 && words[w].size() >= expected.bytes && !words[w].empty())
                expected = {words[w].size(), static_cast<std::int32_t>(w)};
        const Trie::Match found = trie.longest(text);
        EXPECT_EQ(found.bytes, expected.bytes);
        EXPECT_EQ(found.value, expected.value);
    }
}

}  // namespace
}  // namespace tailor::text
