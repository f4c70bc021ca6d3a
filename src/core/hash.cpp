// The only file that includes xxHash; see hash.h. Its functions are inlined here, so nothing is linked.
#include "core/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tailor::core {

std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::uint64_t hash64(std::string_view text, std::uint64_t seed) noexcept {
    return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

std::string hash_hex(std::span<const std::byte> bytes) {
    const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
    std::string digits(32, '0');
    for (int i = 0; i < 32; ++i) {
        const std::uint64_t half = i < 16 ? hash.high64 : hash.low64;
        digits[static_cast<std::size_t>(i)] = "0123456789abcdef"[half >> (60 - i % 16 * 4) & 15];
    }
    return digits;
}

std::string hash_hex(std::string_view text) { return hash_hex(std::as_bytes(std::span(text.data(), text.size()))); }

}  // namespace tailor::core
