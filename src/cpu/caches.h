// What kernels ask of the processor's caches.
#pragma once
#include <cstdint>

namespace tailor::cpu {

/// Bytes of the first-level data cache of a core; 0 where the system does not say.
std::int64_t first_level_cache_bytes() noexcept;

}  // namespace tailor::cpu
