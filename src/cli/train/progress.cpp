// See progress.h.
#include "cli/train/progress.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "core/error.h"
#include "measure/machine.h"
#include "measure/store.h"

namespace tailor::cli::train_command {

std::string clock_text(double seconds) {
    const auto total = static_cast<std::int64_t>(seconds + 0.5);
    if (total < 3600) return core::format("{}:{:02}", total / 60, total % 60);
    return core::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

double measured_peak(int threads) {
    try {
        measure::Store store;
        const std::string key = core::format("{} {} {}", measure::processor_identity(), cpu::name(cpu::active_isa()), threads);
        const std::optional<core::Json> stored = store.find_json("machine", key);
        return stored ? measure::machine_limits(*stored).vector_flops_per_second : 0;
    } catch (const core::Error&) {  // of another version; the share is then left out
        return 0;
    }
}

LiveLine::LiveLine() : terminal_(::isatty(STDERR_FILENO) == 1) {}
LiveLine::~LiveLine() { clear(); }

void LiveLine::show(const std::string& text) {
    if (!terminal_) return;
    const std::int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
    if (dirty_ && now - last_milliseconds_ < 100) return;
    last_milliseconds_ = now, dirty_ = true;
    std::fprintf(stderr, "\r\033[K%s", text.c_str());
    std::fflush(stderr);
}

void LiveLine::clear() {
    if (!dirty_) return;
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
    dirty_ = false;
}

std::uint64_t resident_bytes() {
    std::FILE* const file = std::fopen("/proc/self/statm", "r");
    if (!file) return 0;
    unsigned long long all = 0, resident = 0;
    const int read = std::fscanf(file, "%llu %llu", &all, &resident);
    std::fclose(file);
    return read == 2 ? resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace tailor::cli::train_command
