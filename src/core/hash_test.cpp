// Published values of XXH3, and that every byte, the length and the seed count.
#include "core/hash.h"

#include <gtest/gtest.h>

#include <set>

namespace tailor::core {

TEST(Hash, IsXxh3) {
    EXPECT_EQ(hash_hex(""), "99aa06d3014798d86001c324468d497f");
    EXPECT_EQ(hash64(""), 0x2d06800538d394c2u);
    EXPECT_EQ(hash_hex("abc"), "06b05ab6733a618578af5f94892f3950");
    EXPECT_EQ(hash64("abc"), 0x78af5f94892f3950u);
}

TEST(Hash, EveryByteCounts) {
    std::set<std::string> seen;
    for (const std::size_t size : {1u, 3u, 16u, 17u, 128u, 129u, 240u, 241u, 1024u, 5000u}) {
        std::string text(size, 'x');
        EXPECT_TRUE(seen.insert(hash_hex(text)).second) << size;
        for (std::size_t i = 0; i < size; ++i) {
            text[i] ^= 1;
            EXPECT_TRUE(seen.insert(hash_hex(text)).second) << size << " " << i;
            text[i] ^= 1;
        }
    }
}

TEST(Hash, SeedAndUnalignedStart) {
    EXPECT_NE(hash64("tailor", 1), hash64("tailor", 2));
    const std::string text = "?0123456789abcdefghijklmnopqrstuvwxyz";
    EXPECT_EQ(hash64(std::string_view(text).substr(1)), hash64(text.substr(1)));
    EXPECT_EQ(hash64(std::as_bytes(std::span(text.data(), text.size())), 7), hash64(text, 7));
}

}  // namespace tailor::core
