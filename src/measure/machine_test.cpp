// Limits are plausible at every level, every kernel does the work it claims, and the JSON comes back as it went.
#include "measure/machine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "core/error.h"
#include "measure/machine_kernels.h"

namespace tailor::measure {

constexpr MachineOptions tiny{.seconds_per_test = 0.002, .buffer_bytes = 1 << 20};

TEST(Machine, PlausibleAtEveryLevel) {
    core::Pool pool(2);
    for (const cpu::Isa level : cpu::available_isas()) {
        std::vector<double> shares;
        const auto progress = [&](std::string_view, double done) { shares.push_back(done); };
        const MachineLimits limits = measure_machine(pool, level, progress, tiny);
        EXPECT_EQ(limits.isa, level);
        EXPECT_EQ(limits.threads, 2);
        EXPECT_FALSE(limits.processor.empty());
        // A pocket calculator and a supercomputer are both outside.
        EXPECT_GT(limits.read_bytes_per_second, 1e7);
        EXPECT_LT(limits.read_bytes_per_second, 1e14);
        EXPECT_GT(limits.vector_flops_per_second, 1e7);
        EXPECT_LT(limits.vector_flops_per_second, 1e14);
        EXPECT_GT(limits.vector_int16_ops_per_second, 1e7);
        EXPECT_EQ(limits.vector_int8_ops_per_second > 0, level >= cpu::Isa::avx512);
        EXPECT_EQ(limits.vector_bf16_flops_per_second > 0, level >= cpu::Isa::avx512 && cpu::has_avx512_bf16());
        EXPECT_EQ(limits.tile_bf16_flops_per_second > 0, level == cpu::Isa::amx);
        EXPECT_EQ(limits.tile_int8_ops_per_second > 0, level == cpu::Isa::amx);
        EXPECT_GE(limits.huge_page_share, 0);
        EXPECT_LE(limits.huge_page_share, 1);
        EXPECT_EQ(limits.energy_readable, limits.energy_reason.empty());
        EXPECT_GT(limits.seconds, 0);
        ASSERT_GE(shares.size(), 2u);
        EXPECT_EQ(shares.front(), 0);
        EXPECT_EQ(shares.back(), 1);
        for (std::size_t i = 1; i < shares.size(); ++i) EXPECT_GT(shares[i], shares[i - 1]);
    }
}

TEST(Machine, ReadKernelReadsEveryWord) {
    for (const cpu::Isa level : cpu::available_isas()) {
        const ReadKernel read = read_kernel(level);
        std::vector<std::byte> data(8192 + 1);
        std::byte* const start = data.data() + 1;  // alignment is not required
        EXPECT_EQ(read(start, 8192), 0u);
        for (int i = 0; i < 8192; ++i) {
            start[i] = std::byte{1};
            EXPECT_EQ(read(start, 8192), 1u << i % 4 * 8) << "byte " << i;
            start[i] = std::byte{0};
        }
    }
}

TEST(Machine, PeakKernelsDoTheWork) {
    for (const cpu::Isa level : cpu::available_isas()) {
        const PeakKernel vector = vector_peak(level);
        const double lanes = vector.operations / 24;
        // x -> 0.999 x + 0.001 brings every lane towards 1; 12 accumulators start at 1 + i / 100.
        EXPECT_NEAR(vector.run(0), lanes * 12.66, 1e-3 * lanes);
        EXPECT_NEAR(vector.run(1), lanes * (12.66 * 0.999 + 0.012), 1e-3 * lanes);
        EXPECT_NEAR(vector.run(20000), lanes * 12, 1e-2 * lanes);
        // One lane: 12 accumulators that start at 0 to 11, each adding 2 products of 1 per round.
        EXPECT_EQ(vector_int16_peak(level).run(100), 66 + 100 * 12 * 2);
        // The same with 4 products.
        if (const PeakKernel dot = vector_int8_peak(level); dot.run) {
            EXPECT_EQ(dot.run(100), 66 + 100 * 12 * 4);
        }
        // Two products of 2^-30 per round: seen where the accumulator starts at 0.
        if (const PeakKernel dot = vector_bf16_peak(level); dot.run) {
            EXPECT_NEAR(dot.run(100), 66, 1e-3);
        }
        if (const PeakKernel tiles = tile_bf16_peak(level); tiles.run) {
            EXPECT_EQ(tiles.run(100), 100 * 32 * std::ldexp(1.0f, -30));
        }
        if (const PeakKernel tiles = tile_int8_peak(level); tiles.run) {
            EXPECT_EQ(tiles.run(100), 100 * 64);
        }
    }
}

TEST(Machine, JsonRoundTrip) {
    MachineLimits limits{.processor = "Test \"9000\"", .isa = cpu::Isa::avx2, .threads = 3, .l1_bytes = 32768, .l3_bytes = 1 << 25};
    limits.read_bytes_per_second = 12345678901.5, limits.vector_flops_per_second = 1e12;
    limits.energy_reason = "none", limits.huge_pages = "madvise";
    const core::Json value = json(limits);
    EXPECT_EQ(value.at("isa").string(), "avx2");
    EXPECT_EQ(value.at("l1_bytes").integer(), 32768);
    EXPECT_EQ(json(machine_limits(core::Json::parse(value.text()))).text(), value.text());
    core::Json broken = value;
    broken.set("isa", "mmx");
    EXPECT_THROW(machine_limits(broken), core::Error);
    EXPECT_THROW(machine_limits(core::Json(core::Json::Object{{"isa", "base"}})), core::Error);
}

TEST(Machine, ReadMeterReads) {
    core::Pool pool(2);
    ReadMeter meter(pool, cpu::highest_isa());
    const double rate = meter.bytes_per_second();
    EXPECT_GT(rate, 1e7);
    EXPECT_LT(rate, 1e14);
}

TEST(Machine, IdentityNamesTheProcessor) {
    EXPECT_EQ(processor_identity().rfind(processor_name(), 0), 0u);
    EXPECT_EQ(processor_identity(), processor_identity());
}

}  // namespace tailor::measure
