// Asked of the C library, which asks the processor: /sys, which `tailor measure` reads, is not there in every container.
#include "cpu/caches.h"

#include <unistd.h>

namespace tailor::cpu {

std::int64_t first_level_cache_bytes() noexcept {
#if defined(_SC_LEVEL1_DCACHE_SIZE)
    static const long bytes = ::sysconf(_SC_LEVEL1_DCACHE_SIZE);
    return bytes > 0 ? bytes : 0;
#else
    return 0;
#endif
}

}  // namespace tailor::cpu
