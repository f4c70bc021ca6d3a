// Peaks only rise, bandwidth follows the moment, and levels and thread counts are kept apart.
#include "cli/machine.h"

#include <gtest/gtest.h>

#include "core/text.h"

namespace tailor::cli {
namespace {

measure::MachineLimits limits(double peak, double bandwidth, int threads) {
    measure::MachineLimits m;
    m.threads = threads, m.vector_flops_per_second = peak, m.read_bytes_per_second = bandwidth;
    return m;
}

TEST(BestPeaks, RiseAndAreKept) {
    measure::Store store("");
    EXPECT_EQ(2e11, with_best_peaks(limits(2e11, 2e10, 2), store).vector_flops_per_second);
    const measure::MachineLimits busy = with_best_peaks(limits(1e11, 1e10, 2), store);
    EXPECT_EQ(2e11, busy.vector_flops_per_second);
    EXPECT_EQ(1e10, busy.read_bytes_per_second);
    EXPECT_EQ(3e11, with_best_peaks(limits(3e11, 1e10, 2), store).vector_flops_per_second);
    EXPECT_EQ(3e11, with_best_peaks(limits(1e11, 1e10, 2), store).vector_flops_per_second);
    EXPECT_EQ(1e11, with_best_peaks(limits(1e11, 1e10, 1), store).vector_flops_per_second);
}

TEST(BestPeaks, AnUnreadableEntryIsReplaced) {
    measure::Store store("");
    const measure::MachineLimits m = limits(1e11, 1e10, 3);
    store.put_json("machine", core::format("{} {} {}", measure::processor_identity(), cpu::name(m.isa), m.threads), core::Json().set("other", 1));
    EXPECT_EQ(1e11, with_best_peaks(m, store).vector_flops_per_second);
    EXPECT_EQ(1e11, with_best_peaks(limits(5e10, 1e10, 3), store).vector_flops_per_second);
}

}  // namespace
}  // namespace tailor::cli
