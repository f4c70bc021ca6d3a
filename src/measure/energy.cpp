// Reads the counters as small files; see energy.h.
#include "measure/energy.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/text.h"

namespace tailor::measure {

namespace {

std::optional<std::uint64_t> read_counter(const std::string& path) {
    std::ifstream file(path);
    std::uint64_t value = 0;
    if (file >> value) return value;
    return std::nullopt;
}

std::string read_word(const std::string& path) {
    std::ifstream file(path);
    std::string word;
    file >> word;
    return word;
}

}  // namespace

EnergyMeter::EnergyMeter(std::string root) {
    std::error_code error;
    std::vector<std::string> found;
    for (std::filesystem::directory_iterator entry(root, error), end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename();
        // intel-rapl-mmio shows the same packages a second time.
        if (name.rfind("intel-rapl:", 0) == 0) found.push_back(entry->path());
    }
    std::sort(found.begin(), found.end());
    std::string unreadable;
    for (const std::string& path : found) {
        const std::string name = read_word(path + "/name");
        if (name.rfind("package", 0) != 0 && name != "dram") continue;
        const auto value = read_counter(path + "/energy_uj");
        if (!value) unreadable = path + "/energy_uj";
        else domains_.push_back({path + "/energy_uj", *value, read_counter(path + "/max_energy_range_uj").value_or(0)});
    }
    if (!unreadable.empty()) {
        domains_.clear();
        reason_ = core::format("{} cannot be read: Linux lets only root; run as root or let this user read it", unreadable);
    } else if (domains_.empty()) {
        reason_ = core::format("there are no RAPL energy counters in {}: this is a virtual machine or another kind of processor, or "
                               "the kernel module intel_rapl_msr is not loaded", root);
    }
    start();
}

void EnergyMeter::start() {
    joules();
    microjoules_ = 0;
}

std::optional<double> EnergyMeter::joules() {
    if (!available()) return std::nullopt;
    for (Domain& domain : domains_) {
        const auto now = read_counter(domain.path);
        if (!now) {
            reason_ = core::format("{} could be read before but not any more", domain.path);
            return std::nullopt;
        }
        const std::uint64_t wrapped = *now < domain.last ? domain.range : 0;
        microjoules_ += static_cast<double>(*now + wrapped - domain.last);
        domain.last = *now;
    }
    return microjoules_ * 1e-6;
}

}  // namespace tailor::measure
