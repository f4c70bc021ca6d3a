// Which kernel multiplies fastest on this machine: timed once, by number format and rows of activations, and kept in the store.
//
// The operators' lists of kernels say from how many rows on each of them pays (ops::Kernel::slower); these numbers come from other
// machines. Where times of this one are known, they decide instead. Products with experts keep the lists' numbers.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "core/pool.h"
#include "graph/plan.h"
#include "measure/store.h"

namespace tailor::measure {

/// Times of the kernels of matmul with weights of one format in panels.
struct KernelTimes {
    struct Kernel {
        std::string name;
        std::vector<double> nanoseconds;  ///< for each of `rows`; 0: it cannot run with so many
    };
    std::vector<std::int64_t> rows;  ///< of activations, ascending
    std::vector<Kernel> kernels;     ///< in the order of the operator's list

    /// The fastest of some kernels with so many rows of activations, by the nearest number that was timed: the one that their list says, unless another
    /// takes 5 % less there and with the next fewer or more rows, so that one disturbed time changes nothing. Null if not all have times.
    const ops::Kernel* fastest(std::span<const ops::Kernel* const> kernels, const ops::NodeView& node) const;
};

/// {"rows": [...], "nanoseconds": {kernel: [...]}}
core::Json json(const KernelTimes& times);

/// Times of a format for this processor and version of the kernels; nothing if they were not measured.
std::optional<KernelTimes> find_kernel_times(const Store& store, const formats::Format& format, cpu::Isa isa, int threads);

/// What is timed, and how long.
struct KernelTiming {
    std::vector<std::int64_t> rows = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 512};
    std::int64_t width = 2048;        ///< weights are [width, width]
    std::uint64_t bytes = 0;          ///< of weights that pass before one comes again; 0: four times the last-level cache
    int passes = 7;
    std::function<void(double)> done;  ///< called with the share of the work that is done; may be empty
};
/// Times every kernel that can multiply weights of `format`, taking turns, and keeps the times in the store: some seconds. Throws Error(usage) for a
/// format without panels.
KernelTimes measure_kernels(core::Pool& pool, cpu::Isa isa, Store& store, const formats::Format& format, const KernelTiming& timing = {});

/// A choice among the kernels of matmul by what the store holds; what was not timed is left to the lists. It keeps the store.
graph::Preference measured_preference(std::shared_ptr<const Store> store, cpu::Isa isa);

}  // namespace tailor::measure
