// Window and sinks: the latest tokens stay, and the first four.
//
// Attention has to go somewhere: models put what they do not need on the first tokens, whatever those say, and without these "sinks" a
// window alone makes nonsense as soon as the first token leaves it. Four of them are enough (Xiao et al., "Efficient streaming language
// models with attention sinks", 2023, table 2). Keys keep the rotation of the position at which they were written, so a text cannot be
// longer than the context; the paper turns them anew by their place in the cache.
#include "run/evictions/policy.h"

namespace tailor::run::evictions::entries {
extern const EvictionPolicy window = {
    .name = "window",
    .doc = "the first four tokens and the latest ones",
    .choose = [](const Entries& entries, std::int64_t kept, std::vector<char>& stays) {
        constexpr std::int64_t sinks = 4;
        const std::int64_t first = std::min(sinks, kept / 2);
        keep_largest(first, stays, [&](std::int64_t i) { return -entries.positions[static_cast<std::size_t>(i)]; });
        keep_largest(kept - first, stays, [&](std::int64_t i) { return entries.positions[static_cast<std::size_t>(i)]; });
    },
};
}  // namespace tailor::run::evictions::entries
