// Greedy placement by size; see memory.h.
#include "graph/memory.h"

#include <algorithm>
#include <numeric>

namespace tailor::graph {

ArenaLayout lay_out(const std::vector<Lifetime>& lifetimes) {
    ArenaLayout layout;
    layout.offsets.assign(lifetimes.size(), 0);
    std::vector<std::size_t> order(lifetimes.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });
    std::vector<std::size_t> placed;
    for (const std::size_t i : order) {
        const std::int64_t size = (lifetimes[i].bytes + 63) / 64 * 64;
        std::vector<std::pair<std::int64_t, std::int64_t>> taken;  // [begin, end) of buffers alive at the same time
        for (const std::size_t j : placed)
            if (lifetimes[i].first <= lifetimes[j].last && lifetimes[j].first <= lifetimes[i].last)
                taken.emplace_back(layout.offsets[j], layout.offsets[j] + (lifetimes[j].bytes + 63) / 64 * 64);
        std::sort(taken.begin(), taken.end());
        std::int64_t offset = 0;
        for (const auto& [begin, end] : taken) {
            if (begin - offset >= size) break;
            offset = std::max(offset, end);
        }
        layout.offsets[i] = offset;
        layout.bytes = std::max(layout.bytes, offset + size);
        placed.push_back(i);
    }
    return layout;
}

}  // namespace tailor::graph
