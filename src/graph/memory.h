// Where each intermediate value lies in one block of memory.
//
// Values that are alive at the same time never overlap; the rest share. Offsets are chosen first-fit in order of
// decreasing size, which on chains of transformer layers comes within a few percent of the peak of live bytes.
// Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020 (greedy by size).
#pragma once
#include <cstdint>
#include <vector>

namespace tailor::graph {

/// A buffer needed from step `first` to step `last`, both included.
struct Lifetime {
    std::int64_t bytes = 0;
    int first = 0, last = 0;
};

struct ArenaLayout {
    std::vector<std::int64_t> offsets;  ///< one per lifetime, multiples of 64
    std::int64_t bytes = 0;             ///< of the whole block
};

ArenaLayout lay_out(const std::vector<Lifetime>& lifetimes);

}  // namespace tailor::graph
