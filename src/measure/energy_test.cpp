// The meter on counters made by the test: addition, wrapping, the domains left out, and clear reasons.
#include "measure/energy.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace tailor::measure {

class Energy : public testing::Test {
  protected:
    void SetUp() override {
        root_ = std::filesystem::temp_directory_path() / ("tailor_energy_" + std::to_string(::getpid()));
        std::filesystem::create_directories(root_);
    }
    void TearDown() override { std::filesystem::remove_all(root_); }

    void domain(const std::string& folder, const std::string& name, const std::string& microjoules) {
        std::filesystem::create_directories(root_ / folder);
        std::ofstream(root_ / folder / "name") << name << "\n";
        std::ofstream(root_ / folder / "energy_uj") << microjoules << "\n";
        std::ofstream(root_ / folder / "max_energy_range_uj") << "1000000000\n";
    }

    std::filesystem::path root_;
};

TEST_F(Energy, AddsPackagesAndMemory) {
    domain("intel-rapl:0", "package-0", "5000000");
    domain("intel-rapl:0:0", "core", "1000000");
    domain("intel-rapl:0:1", "dram", "2000000");
    domain("intel-rapl:1", "psys", "9000000");
    domain("intel-rapl-mmio:0", "package-0", "5000000");
    EnergyMeter meter(root_);
    ASSERT_TRUE(meter.available()) << meter.reason();
    EXPECT_EQ(meter.joules(), 0);
    domain("intel-rapl:0", "package-0", "8500000");
    domain("intel-rapl:0:0", "core", "3000000");
    domain("intel-rapl:0:1", "dram", "2250000");
    EXPECT_DOUBLE_EQ(meter.joules().value(), 3.75);
    meter.start();
    EXPECT_EQ(meter.joules(), 0);
}

TEST_F(Energy, CounterWraps) {
    domain("intel-rapl:0", "package-0", "999000000");
    EnergyMeter meter(root_);
    domain("intel-rapl:0", "package-0", "1500000");
    EXPECT_DOUBLE_EQ(meter.joules().value(), 2.5);
    domain("intel-rapl:0", "package-0", "2500000");
    EXPECT_DOUBLE_EQ(meter.joules().value(), 3.5);
}

TEST_F(Energy, SaysWhyNot) {
    EnergyMeter none(root_ / "absent");
    EXPECT_FALSE(none.available());
    EXPECT_FALSE(none.joules().has_value());
    EXPECT_NE(none.reason().find("no RAPL"), std::string::npos);

    domain("intel-rapl:0", "package-0", "not a number");
    EnergyMeter unreadable(root_);
    EXPECT_FALSE(unreadable.available());
    EXPECT_NE(unreadable.reason().find("energy_uj"), std::string::npos);
}

TEST_F(Energy, CounterThatGoesAway) {
    domain("intel-rapl:0", "package-0", "1");
    EnergyMeter meter(root_);
    std::filesystem::remove_all(root_ / "intel-rapl:0");
    EXPECT_FALSE(meter.joules().has_value());
    EXPECT_FALSE(meter.available());
}

}  // namespace tailor::measure
