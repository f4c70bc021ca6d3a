// Joules that the processor used, from the RAPL counters of Linux.
//
// The kernel shows each power domain as /sys/class/powercap/intel-rapl:N (AMD's too): a name ("package-0", and below it
// "dram") and energy_uj, microjoules since some time ago, which wraps at max_energy_range_uj. The joules of the packages
// and their memory are added up; "core" and "uncore" are parts of a package and "psys" contains it, so they are left
// out. Reading needs root on most systems, and virtual machines seldom have the counters: `reason` then says which.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tailor::measure {

class EnergyMeter {
  public:
    /// Finds the counters below `root` and starts counting. Never throws.
    explicit EnergyMeter(std::string root = "/sys/class/powercap");

    bool available() const { return reason_.empty(); }
    /// Why there is no reading and what would help; empty when there is one.
    const std::string& reason() const { return reason_; }

    /// Counts from now.
    void start();
    /// Joules since start(), of the whole machine, other programs included; nothing when not available. A counter may
    /// wrap once between two calls (after half an hour at 150 W), so measure long work in pieces.
    std::optional<double> joules();

  private:
    struct Domain {
        std::string path;
        std::uint64_t last = 0, range = 0;  // microjoules
    };
    std::vector<Domain> domains_;
    std::string reason_;
    double microjoules_ = 0;
};

}  // namespace tailor::measure
