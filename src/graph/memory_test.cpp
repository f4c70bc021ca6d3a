// The arena: values alive at the same time never share bytes, and a chain of values needs two buffers, not its length.
#include "graph/memory.h"

#include <gtest/gtest.h>

#include <random>

namespace tailor::graph {
namespace {

bool overlap(const std::vector<Lifetime>& l, const ArenaLayout& a, std::size_t i, std::size_t j) {
    const bool in_time = l[i].first <= l[j].last && l[j].first <= l[i].last;
    const bool in_space = a.offsets[i] < a.offsets[j] + l[j].bytes && a.offsets[j] < a.offsets[i] + l[i].bytes;
    return in_time && in_space;
}

TEST(Memory, LiveValuesNeverOverlap) {
    std::mt19937 random(1);
    for (int round = 0; round < 50; ++round) {
        std::vector<Lifetime> lifetimes;
        std::int64_t total = 0;
        for (int i = 0; i < 40; ++i) {
            const int first = static_cast<int>(random() % 30);
            lifetimes.push_back({static_cast<std::int64_t>(random() % 5000), first, first + static_cast<int>(random() % 8)});
            total += (lifetimes.back().bytes + 63) / 64 * 64;
        }
        const ArenaLayout layout = lay_out(lifetimes);
        EXPECT_LE(layout.bytes, total);
        for (std::size_t i = 0; i < lifetimes.size(); ++i) {
            EXPECT_EQ(0, layout.offsets[i] % 64);
            EXPECT_LE(layout.offsets[i] + lifetimes[i].bytes, layout.bytes);
            for (std::size_t j = 0; j < i; ++j) EXPECT_FALSE(overlap(lifetimes, layout, i, j));
        }
    }
}

TEST(Memory, AChainNeedsTwoBuffers) {
    std::vector<Lifetime> chain;
    for (int i = 0; i < 20; ++i) chain.push_back({1024, i, i + 1});
    EXPECT_EQ(2048, lay_out(chain).bytes);
}

TEST(Memory, NothingNeedsNothing) { EXPECT_EQ(0, lay_out({}).bytes); }

}  // namespace
}  // namespace tailor::graph
