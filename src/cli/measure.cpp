// tailor measure: what this machine can do at most, and the store of measurements.
#include "cli/common.h"
#include "cli/machine.h"
#include "core/error.h"

namespace tailor::cli::measure_command {

static std::string rate(double value, double unit, const char* name) { return value > 0 ? core::format("{:.1f} {}", value / unit, name) : "none"; }

static std::string cache(std::int64_t bytes) { return bytes > 0 ? core::human_bytes(static_cast<double>(bytes)) : "unknown"; }

static void print_report(const measure::MachineLimits& m, const measure::Store& store) {
    const std::vector<std::pair<std::string, std::string>> rows = {
        {"processor", m.processor},
        {"threads", std::to_string(m.threads)},
        {"instruction set", cpu::name(m.isa)},
        {"caches", core::format("L1 {}, L2 {}, L3 {}", cache(m.l1_bytes), cache(m.l2_bytes), cache(m.l3_bytes))},
        {"reading memory", rate(m.read_bytes_per_second, 1e9, "GB/s") + core::format(", spread {:.1f} %", 100 * m.read_spread)},
        {"f32 vectors", rate(m.vector_flops_per_second, 1e9, "GFLOP/s")},
        {"int16 vectors", rate(m.vector_int16_ops_per_second, 1e9, "GOP/s")},
        {"int8 vectors", rate(m.vector_int8_ops_per_second, 1e9, "GOP/s")},
        {"bf16 vectors", rate(m.vector_bf16_flops_per_second, 1e9, "GFLOP/s")},
        {"bf16 tiles", rate(m.tile_bf16_flops_per_second, 1e9, "GFLOP/s")},
        {"int8 tiles", rate(m.tile_int8_ops_per_second, 1e9, "GOP/s")},
        {"huge pages", core::format("{}, {:.0f} % of the buffer read", m.huge_pages.empty() ? "unknown" : m.huge_pages, 100 * m.huge_page_share)},
        {"energy", m.energy_readable ? core::format("readable, {:.1f} J in {:.1f} s", m.joules, m.seconds) : "not readable: " + m.energy_reason},
        {"measurements", store.persistent() ? "kept in " + store.path() : "kept in memory only"},
    };
    for (const auto& [label, value] : rows) print(core::format("{:<17}{}\n", label, value));
}

static void run(Options& options) {
    std::int64_t threads = 0;
    double seconds = 0.3;
    bool clear = false;
    options.add("-t,--threads", threads, "threads; 0: one per core");
    options.add("--seconds", seconds, "how long each of the seven tests runs");
    options.flag("--clear", clear, "forget all stored measurements, then stop");
    options.parse();
    if (!(seconds > 0 && seconds <= 60)) core::fail(core::ErrorKind::usage, "--seconds must be above 0 and at most 60, not {}", seconds);
    measure::Store store(measure::Store::default_directory(), note);
    if (clear) {
        const std::int64_t forgotten = store.clear();
        if (options.json()) return print_json(core::Json().set("forgotten", forgotten));
        return print(core::format("{} stored measurements forgotten\n", forgotten));
    }
    core::Pool pool(checked_threads(threads));
    measure::MachineLimits limits;
    {
        ProgressLine line("measuring, in percent");
        limits = measure::measure_machine(pool, cpu::active_isa(), [&](std::string_view, double done) { line.update(static_cast<std::int64_t>(100 * done), 100); },
                                          {.seconds_per_test = seconds});
    }
    with_best_peaks(limits, store);
    if (options.json()) print_json(measure::json(limits).set("store", store.path()));
    else print_report(limits, store);
}

}  // namespace tailor::cli::measure_command

namespace tailor::cli::entries {
extern const Command measure = {
    .name = "measure",
    .doc = "measure what this machine can do at most",
    .examples = "tailor measure\n"
                "tailor measure -t 1 --json\n"
                "tailor measure --seconds 2\n"
                "tailor measure --clear",
    .run = &measure_command::run,
    .place = 80,
};
}  // namespace tailor::cli::entries
