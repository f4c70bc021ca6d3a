// Numbers in words, and the round numbers beside an axis.
#include "search/report/units.h"

#include <gtest/gtest.h>

#include <cmath>

#include "search/report/scale.h"

namespace tailor::search::report {

TEST(ReportUnits, PickPrefixAndDigits) {
    EXPECT_EQ(quantity(3984375.0, Unit::bytes), "3.98 MB");
    EXPECT_EQ(quantity(999.0, Unit::bytes), "999 bytes");
    EXPECT_EQ(quantity(999700.0, Unit::bytes), "1.00 MB");
    EXPECT_EQ(quantity(1.23e15, Unit::bytes), "1230 TB");
    EXPECT_EQ(quantity(4.2e6, Unit::nanoseconds), "4.20 ms");
    EXPECT_EQ(quantity(0.25, Unit::nanoseconds), "0.250 ns");
    EXPECT_EQ(quantity(0.9712, Unit::share), "97.1 %");
    EXPECT_EQ(quantity(8.03e6, Unit::count), "8.03 million");
    EXPECT_EQ(quantity(2.0, Unit::count), "2");
    EXPECT_EQ(quantity(0.0, Unit::nats), "0");
    EXPECT_EQ(quantity(Number{}, Unit::bytes), "–");
}

TEST(ReportUnits, RoundWhereTheErrorStands) {
    EXPECT_EQ(quantity(Measured{0.01234, 0.00123}, Unit::nats), "0.0123 ± 0.0012");
    EXPECT_EQ(quantity(Measured{4.2e6, 50e3}, Unit::nanoseconds), "4.200 ± 0.050 ms");
    EXPECT_EQ(quantity(Measured{12.34, 0.0996}, Unit::plain), "12.34 ± 0.10");
    EXPECT_EQ(quantity(Measured{3.3e-5, 2e-6}, Unit::nats), "(3.30 ± 0.20)×10⁻⁵");
    EXPECT_EQ(quantity(Measured{5.0, 40.0}, Unit::plain), "5 ± 40");
    EXPECT_EQ(quantity(Measured{5.0, {}}, Unit::plain), "5.00");
    EXPECT_EQ(quantity(Measured{{}, 1.0}, Unit::plain), "–");
}

TEST(ReportUnits, WriteSmallAndNegativeNumbers) {
    EXPECT_EQ(significant(0.000321), "3.21×10⁻⁴");
    EXPECT_EQ(significant(0.00321), "0.00321");
    EXPECT_EQ(significant(-4.0), "−4.00");
    EXPECT_EQ(significant(0.09999), "0.100");
    EXPECT_EQ(fixed(-0.001, 2), "0.00");
    EXPECT_EQ(compact(0.000321), "3.2e-4");
    EXPECT_EQ(compact(0.123), "0.12");
    EXPECT_EQ(change(4, 1), "−75.0 %");
    EXPECT_EQ(change(1, 3), "+200 %");
    EXPECT_EQ(change(1, 1.0001), "0 %");
    EXPECT_EQ(change(0, 1), "");
    EXPECT_EQ(times(4.06), "4.1×");
    EXPECT_EQ(tick_label(12.5, 0.5), "12.5");
    EXPECT_EQ(tick_label(40, 10), "40");
}

TEST(ReportScale, LinearTicksAreRound) {
    const Scale scale = Scale::linear(0, 10, 100, 200);
    EXPECT_DOUBLE_EQ(scale(5), 150);
    EXPECT_DOUBLE_EQ(scale(20), 200);
    EXPECT_EQ(scale.ticks(5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
    EXPECT_EQ(Scale::linear(12.1, 13.1, 0, 1).ticks(4), (std::vector<double>{12.5, 13}));
    // The steps of a range this narrow are lost in rounding; there must still be an end.
    EXPECT_LE(Scale::linear(1e16, 1e16 + 2, 0, 1).ticks(5).size(), 11u);
    EXPECT_TRUE(Scale::linear(3, 3, 0, 1).contains(3));
}

TEST(ReportScale, LogarithmicTicksArePowers) {
    const Scale scale = Scale::logarithmic(1e-3, 10, 400, 0);
    EXPECT_DOUBLE_EQ(scale(0.1), 200);
    EXPECT_DOUBLE_EQ(scale(0), 400);
    const std::vector<double> ticks = scale.ticks(5);
    ASSERT_EQ(ticks.size(), 5u);
    for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(ticks[i], std::pow(10.0, static_cast<double>(i) - 3), 1e-12);
    EXPECT_EQ(Scale::logarithmic(0.9, 11, 0, 1).ticks(5), (std::vector<double>{1, 2, 5, 10}));
    EXPECT_GE(Scale::logarithmic(2.1, 3.3, 0, 1).ticks(5).size(), 2u);
    EXPECT_LE(Scale::logarithmic(1e-30, 1e30, 0, 1).ticks(6).size(), 8u);
}

}  // namespace tailor::search::report
