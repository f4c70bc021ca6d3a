// The cost model: what it measures once it finds again, and the working set stands for the model.
#include "measure/cost.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "formats/registry.h"

namespace tailor::measure {
namespace {

constexpr std::uint64_t mib = 1 << 20;

TEST(Cost, WorkingSetGrowsWithTheModelUpToFourCaches) {
    EXPECT_EQ(1 * mib, working_set(1000, 32 * mib));
    EXPECT_EQ(8 * mib, working_set(5 * mib, 32 * mib));
    EXPECT_EQ(128 * mib, working_set(5000 * mib, 32 * mib));
    EXPECT_GT(last_level_cache_bytes(), 0u);
}

TEST(Cost, MeasuresOnceAndRemembers) {
    core::Pool pool(2);
    Store store{""};
    CostModel costs(pool, {.isa = cpu::active_isa()}, store);
    const formats::Format& format = formats::get("q8_0");
    const double small = costs.matmul_nanoseconds(format, 64, 64, 1, mib);
    EXPECT_GT(small, 0);
    EXPECT_EQ(1, costs.measured());
    EXPECT_EQ(small, costs.matmul_nanoseconds(format, 64, 64, 1, mib));
    EXPECT_EQ(1, costs.measured());
    // A hundred times the work cannot be as fast, however noisy the machine is.
    EXPECT_GT(costs.matmul_nanoseconds(format, 640, 640, 1, mib), small);
    EXPECT_EQ(2, costs.measured());
    CostModel again(pool, {.isa = cpu::active_isa()}, store);
    EXPECT_EQ(small, again.matmul_nanoseconds(format, 64, 64, 1, mib));
    EXPECT_EQ(0, again.measured());
    CostModel exact(pool, {.isa = cpu::active_isa(), .most_error = 1e-3}, store);  // other kernels
    exact.matmul_nanoseconds(format, 64, 64, 1, mib);
    EXPECT_EQ(1, exact.measured());
}

// A row that is sent to 2 of 64 experts reads a thirty-second of them; all 64 are read by 32 rows. However noisy the machine is,
// reading all is slower, and the same sizes as a plain matrix are another product.
TEST(Cost, ExpertsCostWhatTheirRowsRead) {
    core::Pool pool(1);
    Store store{""};
    CostModel costs(pool, {.isa = cpu::active_isa()}, store);
    const formats::Format& format = formats::get("q8_0");
    const double one = costs.nanoseconds(format, {.n = 64, .k = 256, .rows = 1, .experts = 64, .used = 2}, mib);
    const double all = costs.nanoseconds(format, {.n = 64, .k = 256, .rows = 32, .experts = 64, .used = 2}, mib);
    EXPECT_GT(one, 0);
    EXPECT_GT(all, 2 * one);
    costs.nanoseconds(format, {.n = 64, .k = 256, .rows = 1}, mib);
    costs.nanoseconds(format, {.n = 64, .k = 256, .rows = 1, .experts = 64, .used = 2, .own_rows = true}, mib);
    EXPECT_EQ(4, costs.measured());
    EXPECT_EQ(one, costs.nanoseconds(format, {.n = 64, .k = 256, .rows = 1, .experts = 64, .used = 2}, mib));
    EXPECT_EQ(4, costs.measured());
}

TEST(Cost, RefusesRowsThatDoNotFit) {
    core::Pool pool(1);
    Store store{""};
    CostModel costs(pool, {}, store);
    EXPECT_THROW(costs.matmul_nanoseconds(formats::get("q4_k"), 8, 100, 1, mib), core::Error);
}

}  // namespace
}  // namespace tailor::measure
