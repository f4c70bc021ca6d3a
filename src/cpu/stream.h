// Writing what other cores read next, past the caches.
//
// A line that another core has read must be taken back from it before it can be written. On a processor of several parts these take-backs
// wait for one another, 140 ns each when the other core sits in another part (measured: 5 KB that both cores read before took 10
// microseconds to write again, and 1.8 so). A line written past the caches is taken back without waiting, and comes from memory when it is read.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace tailor::cpu {

inline constexpr std::size_t cache_line = 64;

/// memcpy(), whole lines past the caches. Other threads see them after finish_streams().
inline void stream(void* to, const void* from, std::size_t bytes) noexcept {
#if defined(__x86_64__)
    if (reinterpret_cast<std::uintptr_t>(to) % cache_line == 0) {
        const std::size_t whole = bytes / cache_line * cache_line;
        for (std::size_t i = 0; i < whole; i += 16)
            _mm_stream_si128(reinterpret_cast<__m128i*>(static_cast<char*>(to) + i), _mm_loadu_si128(reinterpret_cast<const __m128i*>(static_cast<const char*>(from) + i)));
        to = static_cast<char*>(to) + whole, from = static_cast<const char*>(from) + whole, bytes -= whole;
    }
#endif
    std::memcpy(to, from, bytes);
}

/// To be called by the thread that streamed, before others may read.
inline void finish_streams() noexcept {
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

}  // namespace tailor::cpu
