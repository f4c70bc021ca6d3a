// The heap must merge exactly as the definition says: always the best pair, the leftmost among equals.
#include "text/merge.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace tailor::text {
namespace {

using Merges = std::map<std::string, float>;  ///< text of the merged symbol -> priority

std::vector<std::string> by_definition(const std::string& word, const Merges& merges) {
    std::vector<std::string> symbols;
    for (const char c : word) symbols.emplace_back(1, c);
    for (;;) {
        std::size_t best = symbols.size();
        float priority = 0;
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
            const auto merge = merges.find(symbols[i] + symbols[i + 1]);
            if (merge != merges.end() && (best == symbols.size() || merge->second > priority)) best = i, priority = merge->second;
        }
        if (best == symbols.size()) return symbols;
        symbols[best] += symbols[best + 1];
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
}

TEST(Merge, AgreesWithTheDefinition) {
    std::mt19937 random(11);
    Merger merger;
    for (int round = 0; round < 2000; ++round) {
        Merges merges;
        for (int i = 0; i < 12; ++i) {
            std::string text;
            for (unsigned j = 0, n = 2 + random() % 4; j < n; ++j) text += static_cast<char>('a' + random() % 3);
            merges[text] = static_cast<float>(random() % 6);
        }
        std::string word;
        for (unsigned j = 0, n = random() % 25; j < n; ++j) word += static_cast<char>('a' + random() % 3);
        merger.clear();
        for (std::size_t i = 0; i < word.size(); ++i) merger.add(1, 0);
        merger.run([&](const Symbol& left, const Symbol& right) -> Merge {
            const auto merge = merges.find(word.substr(left.begin, left.length + right.length));
            return merge == merges.end() ? Merge{} : Merge{merge->second, 1};
        });
        std::vector<std::string> found;
        merger.each([&](const Symbol& s) { found.push_back(word.substr(s.begin, s.length)); });
        EXPECT_EQ(found, by_definition(word, merges)) << word;
    }
}

}  // namespace
}  // namespace tailor::text
