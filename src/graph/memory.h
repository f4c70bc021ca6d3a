// Where each intermediate value lies in one block of memory.
//
// Values that are alive at the same time never overlap; the rest share. Offsets are chosen first-fit in order of
// decreasing size, which on chains of transformer layers comes within a few percent of the peak of live bytes.
// Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020 (greedy by size).
#pragma once
#include <cstdint>
#include <vector>

#include "graph/graph.h"

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

/// What a graph wants memory for while its operators run in order, one step each.
struct Buffers {
    std::vector<Lifetime> lifetimes;
    std::vector<int> of_value;    ///< index into lifetimes; -1 for inputs and constants. Values that are written over each other share one
    std::vector<int> of_scratch;  ///< likewise, of the memory that a node wants while it runs; -1: none
    std::vector<int> step_of;     ///< of each node; -1 for inputs and constants
};

/// A node writes over its first input where its operator can and nothing reads that later.
Buffers buffers_of(const Graph& graph);

/// The step at which most bytes are wanted, and how many.
struct Peak {
    std::int64_t bytes = 0;
    int step = 0;
};
Peak peak_of(const std::vector<Lifetime>& lifetimes);

}  // namespace tailor::graph
