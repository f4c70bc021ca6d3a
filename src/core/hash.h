// Hashes of bytes: names for cached measurements, checks that a file is the one it was.
//
// XXH3 (Y. Collet) by way of xxHash: about as fast as memory delivers, well mixed, the same on every machine. It is no
// cryptographic hash: it tells accidents apart, not adversaries.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tailor::core {

/// 64-bit XXH3. Pass the hash of one piece as the `seed` of the next to hash a sequence of pieces.
std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed = 0) noexcept;
std::uint64_t hash64(std::string_view text, std::uint64_t seed = 0) noexcept;

/// 128-bit XXH3 as 32 lower-case hexadecimal digits, most significant first, as `xxh128sum` prints it.
std::string hash_hex(std::span<const std::byte> bytes);
std::string hash_hex(std::string_view text);

}  // namespace tailor::core
