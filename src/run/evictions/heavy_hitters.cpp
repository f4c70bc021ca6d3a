// Heavy hitters: half of what stays are the latest tokens, the other half those that got most attention so far.
//
// A few tokens get most of the attention, and those that did go on to (Zhang et al., "H2O: heavy-hitter oracle", 2023; Liu et al.,
// "Scissorhands", 2023, the persistence of importance). Each kv head of each layer chooses for itself. The latest tokens stay because
// they had no time to be attended to.
#include "run/evictions/policy.h"

namespace tailor::run::evictions::entries {
extern const EvictionPolicy heavy_hitters = {
    .name = "heavy-hitters",
    .doc = "for each kv head the entries with the most attention so far, and as many of the latest",
    .weighs = true,
    .choose = [](const Entries& entries, std::int64_t kept, std::vector<char>& stays) {
        keep_largest(kept / 2, stays, [&](std::int64_t i) { return entries.positions[static_cast<std::size_t>(i)]; });
        keep_largest(kept - kept / 2, stays, [&](std::int64_t i) { return entries.mass[static_cast<std::size_t>(i)]; });
    },
};
}  // namespace tailor::run::evictions::entries
