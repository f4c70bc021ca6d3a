// What the operators spill and fetch share: a stretch of an open file, read and written whole.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "ops/support.h"

namespace tailor::ops::spilling {

/// Disks take about ten times as long for a byte as memory; policies compare costs.
inline constexpr double cost_of_byte = 10;

/// Calls move(at, left) until all bytes are moved; it gives what one system call moved. False if one fails.
template <class Move>
bool move_all(std::int64_t bytes, const Move& move) noexcept {
    for (std::int64_t at = 0; at < bytes;) {
        const std::int64_t moved = move(at, static_cast<std::size_t>(bytes - at));
        if (moved < 0 && errno == EINTR) continue;
        if (moved <= 0) return false;
        at += moved;
    }
    return true;
}

/// A file in memory for tests, with 64 KB of numbers in it.
inline std::int64_t test_file() {
    static const int descriptor = [] {
        const int file = ::memfd_create("spill", MFD_CLOEXEC);
        for (int i = 0; i < 16384; ++i) {
            const float number = static_cast<float>(i % 977) * 0.25f;
            if (::write(file, &number, sizeof number) != sizeof number) break;
        }
        return file;
    }();
    return descriptor;
}

}  // namespace tailor::ops::spilling
