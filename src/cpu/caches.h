// The processor's caches.
#pragma once
#include <cstdint>

namespace tailor::cpu {

/// Bytes of the data or unified cache of the first core at `level` (1 to 3); 0 when Linux does not say. Reads files: ask once.
std::int64_t cache_bytes(int level);

}  // namespace tailor::cpu
