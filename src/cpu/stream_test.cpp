// Streamed bytes arrive as copied ones do, wherever they begin and end, and nothing beside them changes.
#include "cpu/stream.h"

#include <gtest/gtest.h>

#include <vector>

namespace tailor::cpu {
namespace {

TEST(Stream, CopiesAnyBytesToAnyPlace) {
    std::vector<unsigned char> from(400);
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<unsigned char>(i * 7 + 1);
    for (const std::size_t offset : {0u, 1u, 16u, 63u})
        for (const std::size_t begin : {0u, 3u})
            for (const std::size_t bytes : {0u, 1u, 63u, 64u, 65u, 128u, 300u}) {
                alignas(cache_line) unsigned char to[512] = {};
                stream(to + offset, from.data() + begin, bytes);
                finish_streams();
                std::vector<unsigned char> expected(sizeof to);
                std::memcpy(expected.data() + offset, from.data() + begin, bytes);
                EXPECT_EQ(0, std::memcmp(expected.data(), to, sizeof to)) << offset << " " << begin << " " << bytes;
            }
}

}  // namespace
}  // namespace tailor::cpu
