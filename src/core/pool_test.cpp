// The pool: every chunk once, on any number of threads, for many regions in a row, with sleeping in between.
#include "core/pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace tailor::core {
namespace {

TEST(Pool, RunsEveryChunkOnce) {
    for (const int threads : {1, 2, 3, 7}) {
        Pool pool(threads);
        EXPECT_EQ(threads, pool.threads());
        for (const std::int64_t chunks : {0, 1, 2, 5, 64, 1000}) {
            std::vector<std::atomic<int>> counts(static_cast<std::size_t>(chunks));
            std::atomic<bool> thread_in_range{true};
            pool.run(chunks, [&](std::int64_t chunk, int thread) {
                counts[static_cast<std::size_t>(chunk)].fetch_add(1);
                if (thread < 0 || thread >= threads) thread_in_range = false;
            });
            for (const auto& count : counts) EXPECT_EQ(1, count.load());
            EXPECT_TRUE(thread_in_range);
        }
    }
}

TEST(Pool, WritesOfARegionAreSeenAfterIt) {
    Pool pool(3);
    std::vector<std::int64_t> values(300, 0);
    for (int region = 0; region < 2000; ++region) {
        pool.run(300, [&](std::int64_t chunk, int) { values[static_cast<std::size_t>(chunk)] += chunk; });
        if (region % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // workers fall asleep
    }
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(2000 * static_cast<std::int64_t>(i), values[i]);
}

TEST(Pool, AThreadThatIsHeldUpIsHelped) {
    Pool pool(2);
    std::atomic<int> done{0};
    // One chunk takes long; whoever has it, the others are done by the other thread meanwhile.
    pool.run(100, [&](std::int64_t chunk, int) {
        if (chunk == 0 || chunk == 50) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        done.fetch_add(1);
    });
    EXPECT_EQ(100, done.load());
}

TEST(Pool, EndsWhileWorkersSleepOrSpin) {
    for (int i = 0; i < 50; ++i) {
        Pool pool(4);
        if (i % 2) pool.run(8, [](std::int64_t, int) {});
    }
}

}  // namespace
}  // namespace tailor::core
