// Runs the loops of machine_kernels.h on every thread and reads what Linux tells about the machine; see machine.h.
#include "measure/machine.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

#include "core/error.h"
#include "core/statistics.h"
#include "cpu/caches.h"
#include "measure/energy.h"
#include "measure/machine_kernels.h"

namespace tailor::measure {

namespace {

double now_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// The value after "key :" in the first processor's part of /proc/cpuinfo.
std::string processor_field(const std::string& wanted) {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        const auto colon = line.find(':');
        if (colon == std::string::npos) continue;
        const auto key_end = line.find_last_not_of(" \t", colon == 0 ? 0 : colon - 1);
        const auto value = line.find_first_not_of(" \t", colon + 1);
        if (line.substr(0, key_end + 1) == wanted && value != std::string::npos) return line.substr(value);
    }
    return {};
}

/// The word in brackets of "always [madvise] never".
std::string huge_page_setting() {
    std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
    std::string line;
    std::getline(file, line);
    const auto open = line.find('['), close = line.find(']');
    return open == std::string::npos || close == std::string::npos ? "" : line.substr(open + 1, close - open - 1);
}

/// Memory for the bandwidth test: mapped afresh, in huge pages if the kernel gives them.
class Buffer {
  public:
    explicit Buffer(std::int64_t bytes) : bytes_(bytes) {
        constexpr int access = PROT_READ | PROT_WRITE, kind = MAP_PRIVATE | MAP_ANONYMOUS;
        void* const memory = ::mmap(nullptr, static_cast<std::size_t>(bytes), access, kind, -1, 0);
        if (memory == MAP_FAILED)
            core::fail(core::ErrorKind::io, "there is no memory for the {} that measuring the bandwidth needs",
                       core::human_bytes(static_cast<double>(bytes)));
#if defined(MADV_HUGEPAGE)
        ::madvise(memory, static_cast<std::size_t>(bytes), MADV_HUGEPAGE);
#endif
        data_ = static_cast<std::byte*>(memory);
    }
    ~Buffer() { ::munmap(data_, static_cast<std::size_t>(bytes_)); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    std::byte* data() const { return data_; }
    std::int64_t bytes() const { return bytes_; }

    /// From the AnonHugePages line of the mapping in /proc/self/smaps, which the kernel may have merged with a neighbour.
    double huge_page_share() const {
        std::ifstream file("/proc/self/smaps");
        const auto wanted = reinterpret_cast<std::uintptr_t>(data_);
        bool inside = false;
        for (std::string line; std::getline(file, line);) {
            unsigned long begin = 0, end = 0;
            if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) inside = wanted >= begin && wanted < end;
            unsigned long kibibytes = 0;
            if (inside && std::sscanf(line.c_str(), "AnonHugePages: %lu", &kibibytes) == 1)
                return std::min(1.0, static_cast<double>(kibibytes) * 1024 / static_cast<double>(bytes_));
        }
        return 0;
    }

  private:
    std::byte* data_;
    std::int64_t bytes_;
};

std::int64_t buffer_size(const MachineLimits& limits, const MachineOptions& options) {
    constexpr std::int64_t least = 256 << 20, most = 1 << 30;
    std::int64_t bytes = options.buffer_bytes;
    if (bytes <= 0) {
        bytes = std::clamp(8 * limits.l3_bytes, least, most);
        const std::int64_t free = std::int64_t{::sysconf(_SC_AVPHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
        if (free > 0) bytes = std::min(bytes, free / 2);
    }
    // Each thread reads a multiple of 4096 bytes.
    const std::int64_t unit = std::int64_t{4096} * limits.threads;
    return std::max<std::int64_t>(bytes / unit, 1) * unit;
}

/// Seconds of each pass of `work`, one warm-up pass left out, until `seconds` have gone by; at least 3 passes.
template <class Work>
std::vector<double> time_passes(double seconds, const Work& work) {
    work();
    std::vector<double> passes;
    for (const double end = now_seconds() + seconds; passes.size() < 3 || now_seconds() < end;) {
        core::check_interrupt();
        const double start = now_seconds();
        work();
        passes.push_back(now_seconds() - start);
    }
    return passes;
}

/// A buffer and the reading of all of it, each thread a share.
class Reading {
  public:
    Reading(core::Pool& pool, cpu::Isa isa, std::int64_t bytes) : pool_(pool), buffer_(bytes), share_(bytes / pool.threads()), read_(read_kernel(isa)) {
        results_.resize(static_cast<std::size_t>(pool.threads()));
        // Written by the thread that will read it: on several sockets that decides where the memory lies.
        pool.run(pool.threads(), [&](std::int64_t part, int) { std::fill_n(buffer_.data() + part * share_, share_, std::byte{0x5A}); });
    }
    const Buffer& buffer() const { return buffer_; }
    void pass() {
        pool_.run(pool_.threads(), [&](std::int64_t part, int) { results_[static_cast<std::size_t>(part)] = read_(buffer_.data() + part * share_, share_); });
    }
    /// All words are equal and even in number, so their exclusive or is 0; anything else means bytes were not read.
    void check() const {
        for (const std::uint32_t result : results_)
            if (result != 0) core::fail(core::ErrorKind::bug, "the bandwidth test read {} where 0 was written", result);
    }

  private:
    core::Pool& pool_;
    Buffer buffer_;
    std::int64_t share_;
    ReadKernel read_;
    std::vector<std::uint32_t> results_;
};

void measure_reading(core::Pool& pool, const MachineOptions& options, MachineLimits& limits) {
    Reading reading(pool, limits.isa, buffer_size(limits, options));
    limits.huge_page_share = reading.buffer().huge_page_share();
    const auto passes = time_passes(options.seconds_per_test, [&] { reading.pass(); });
    reading.check();
    const double median = core::median(passes);
    limits.read_bytes_per_second = static_cast<double>(reading.buffer().bytes()) / median;
    limits.read_spread = core::median_absolute_deviation(passes) / median;
}

/// Best rate over many short passes, all threads at once. A pass of 2 ms is shorter than a scheduler's time slice, so some
/// run undisturbed even beside busy neighbours, and 200 times longer than starting the threads takes.
double measure_peak(core::Pool& pool, const PeakKernel& kernel, double seconds) {
    if (!kernel.run) return 0;
    const int threads = pool.threads();
    const double pass_seconds = std::min(2e-3, seconds / 10);
    std::vector<float> results(static_cast<std::size_t>(threads));
    const auto pass = [&](std::int64_t rounds) {
        const double start = now_seconds();
        pool.run(threads, [&](std::int64_t part, int) { results[part] = kernel.run(rounds); });
        return now_seconds() - start;
    };
    const auto best_of_three = [&](std::int64_t rounds) { return std::min({pass(rounds), pass(rounds), pass(rounds)}); };
    std::int64_t rounds = 1000;
    while (rounds < std::int64_t{1} << 40 && best_of_three(rounds) < pass_seconds) rounds *= 2;
    const auto passes = time_passes(seconds, [&] { pass(rounds); });
    return kernel.operations * static_cast<double>(rounds) * threads / *std::min_element(passes.begin(), passes.end());
}

}  // namespace

struct ReadMeter::State {
    Reading reading;
};

static std::int64_t meter_bytes(core::Pool& pool) {
    return buffer_size({.threads = pool.threads(), .l3_bytes = cpu::cache_bytes(3)}, {});
}

ReadMeter::ReadMeter(core::Pool& pool, cpu::Isa isa) : state_(new State{Reading(pool, isa, meter_bytes(pool))}) {}
ReadMeter::~ReadMeter() = default;

double ReadMeter::bytes_per_second() {
    const auto passes = time_passes(0, [&] { state_->reading.pass(); });
    state_->reading.check();
    return static_cast<double>(state_->reading.buffer().bytes()) / core::median(passes);
}

std::string processor_name() {
    const std::string name = processor_field("model name");
    return name.empty() ? "unknown processor" : name;
}

std::string processor_identity() {
    std::vector<std::string> numbers;
    for (const char* field : {"cpu family", "model", "stepping", "CPU implementer", "CPU part"})
        if (const std::string value = processor_field(field); !value.empty()) numbers.push_back(value);
    return numbers.empty() ? processor_name() : processor_name() + " " + core::join(numbers, "/");
}

MachineLimits measure_machine(core::Pool& pool, cpu::Isa isa, const Progress& progress, const MachineOptions& options) {
    const double start = now_seconds();
    MachineLimits limits;
    limits.processor = processor_name();
    limits.isa = std::min(isa, cpu::highest_isa());
    limits.threads = pool.threads();
    limits.l1_bytes = cpu::cache_bytes(1), limits.l2_bytes = cpu::cache_bytes(2), limits.l3_bytes = cpu::cache_bytes(3);
    limits.huge_pages = huge_page_setting();
    EnergyMeter energy;

    const struct {
        const char* doing;
        PeakKernel kernel;
        double MachineLimits::*rate;
    } peaks[] = {
        {"f32 multiply-add", vector_peak(limits.isa), &MachineLimits::vector_flops_per_second},
        {"int16 products", vector_int16_peak(limits.isa), &MachineLimits::vector_int16_ops_per_second},
        {"int8 dot products", vector_int8_peak(limits.isa), &MachineLimits::vector_int8_ops_per_second},
        {"bf16 dot products", vector_bf16_peak(limits.isa), &MachineLimits::vector_bf16_flops_per_second},
        {"bf16 tiles", tile_bf16_peak(limits.isa), &MachineLimits::tile_bf16_flops_per_second},
        {"int8 tiles", tile_int8_peak(limits.isa), &MachineLimits::tile_int8_ops_per_second},
    };
    constexpr double tests = 1 + std::size(peaks);
    double done = 0;
    if (progress) progress("reading memory", 0);
    measure_reading(pool, options, limits);
    for (const auto& peak : peaks) {
        if (progress) progress(peak.doing, ++done / tests);
        limits.*peak.rate = measure_peak(pool, peak.kernel, options.seconds_per_test);
    }
    limits.joules = energy.joules().value_or(0);
    limits.energy_readable = energy.available();
    limits.energy_reason = energy.reason();
    limits.seconds = now_seconds() - start;
    if (progress) progress("done", 1);
    return limits;
}

namespace {

/// Calls visit(name, member) for every field that is a plain value.
template <class Limits, class Visit>
void fields(Limits& l, const Visit& visit) {
    visit("processor", l.processor);
    visit("threads", l.threads);
    visit("l1_bytes", l.l1_bytes);
    visit("l2_bytes", l.l2_bytes);
    visit("l3_bytes", l.l3_bytes);
    visit("read_bytes_per_second", l.read_bytes_per_second);
    visit("read_spread", l.read_spread);
    visit("vector_flops_per_second", l.vector_flops_per_second);
    visit("vector_int16_ops_per_second", l.vector_int16_ops_per_second);
    visit("vector_int8_ops_per_second", l.vector_int8_ops_per_second);
    visit("vector_bf16_flops_per_second", l.vector_bf16_flops_per_second);
    visit("tile_bf16_flops_per_second", l.tile_bf16_flops_per_second);
    visit("tile_int8_ops_per_second", l.tile_int8_ops_per_second);
    visit("huge_pages", l.huge_pages);
    visit("huge_page_share", l.huge_page_share);
    visit("energy_readable", l.energy_readable);
    visit("energy_reason", l.energy_reason);
    visit("joules", l.joules);
    visit("seconds", l.seconds);
}

void read(const core::Json& value, std::string& to) { to = value.string(); }
void read(const core::Json& value, int& to) { to = static_cast<int>(value.integer()); }
void read(const core::Json& value, std::int64_t& to) { to = value.integer(); }
void read(const core::Json& value, double& to) { to = value.number(); }
void read(const core::Json& value, bool& to) { to = value.boolean(); }

}  // namespace

core::Json json(const MachineLimits& limits) {
    core::Json result;
    result.set("isa", cpu::name(limits.isa));
    fields(limits, [&](const char* name, const auto& member) { result.set(name, member); });
    return result;
}

MachineLimits machine_limits(const core::Json& value) {
    MachineLimits limits;
    try {
        limits.isa = cpu::parse_isa(value.at("isa").string());
    } catch (const core::Error& error) {
        core::fail(core::ErrorKind::format, "machine limits: {}", std::string(error.what()));
    }
    fields(limits, [&](const char* name, auto& member) { read(value.at(name), member); });
    return limits;
}

}  // namespace tailor::measure
