// tailor measure: what this machine can do at most, which kernels do it fastest, and the store of measurements.
#include <set>

#include "cli/common.h"
#include "cli/machine.h"
#include "core/error.h"
#include "formats/panels.h"
#include "measure/cost.h"
#include "measure/kernel_times.h"
#include "ops/support.h"

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

static std::set<const formats::Format*> formats_of(const std::string& model) {
    std::set<const formats::Format*> formats;
    const std::unique_ptr<files::File> file = open_file(model);
    for (const files::TensorInfo& tensor : file->tensors())
        if (tensor.format && tensor.format->weights && tensor.shape.rank() >= 2 && formats::has_panels(*tensor.format)) formats.insert(tensor.format);
    if (formats.empty()) core::fail(core::ErrorKind::usage, "{} has no weights with a choice of kernels", model);
    return formats;
}

/// What a session takes for so many rows.
struct Chosen {
    std::int64_t first_row, last_row;
    std::string kernel;
};

// Asks plans as sessions make them, with a small weight: the choice depends on format and rows.
static std::vector<Chosen> chosen_kernels(const formats::Format& format, const std::vector<std::int64_t>& row_counts, core::Pool& pool, const std::shared_ptr<const measure::Store>& store) {
    const core::Tensor weight = formats::make_panels(measure::random_weight(format, {16, 256}));
    run::SessionOptions session;
    session.preference = measure::measured_preference(store, session.isa);
    std::vector<Chosen> list;
    for (const std::int64_t rows : row_counts) {
        graph::Graph g;
        g.output(g.add("matmul", {g.input("x", ops::f32({rows, 256})), g.constant("w", weight)}));
        const std::string kernel = graph::Plan(g, pool, session.planning()).node_times().at(0).kernel;
        if (list.empty() || list.back().kernel != kernel) list.push_back({rows, rows, kernel});
        list.back().last_row = rows;
    }
    return list;
}

static void print_kernels(const formats::Format& format, const std::vector<Chosen>& chosen) {
    std::vector<std::string> parts;
    for (const Chosen& c : chosen)
        parts.push_back(c.first_row == c.last_row ? core::format("{} rows {}", c.first_row, c.kernel) : core::format("{} to {} rows {}", c.first_row, c.last_row, c.kernel));
    print(core::format("{:<17}{}\n", format.name, core::join(parts, ", ")));
}

static core::Json kernels_json(const formats::Format& format, const measure::KernelTimes& times, const std::vector<Chosen>& chosen) {
    core::Json list{core::Json::Array{}};
    for (const Chosen& c : chosen) list.add(core::Json().set("first_row", c.first_row).set("last_row", c.last_row).set("kernel", c.kernel));
    return measure::json(times).set("format", format.name).set("chosen", list);
}

static void measure_kernels(const std::set<const formats::Format*>& formats, core::Pool& pool, const std::shared_ptr<measure::Store>& store, core::Json* json) {
    if (!json) print(core::format("\nfastest kernels of products, {} threads, by rows of activations; runs on this machine now take them\n", pool.threads()));
    core::Json list{core::Json::Array{}};
    for (const formats::Format* format : formats) {
        ProgressLine line(core::format("timing kernels of {}, in percent", format->name));
        const measure::KernelTimes times = measure::measure_kernels(pool, cpu::active_isa(), *store, *format, {.done = [&](double done) { line.update(static_cast<std::int64_t>(100 * done), 100); }});
        const std::vector<Chosen> chosen = chosen_kernels(*format, times.rows, pool, store);
        if (json) list.add(kernels_json(*format, times, chosen));
        else print_kernels(*format, chosen);
    }
    if (json) json->set("kernels", list);
}

static void run(Options& options) {
    std::string model;
    std::int64_t threads = 0;
    double seconds = 0.3;
    bool clear = false;
    options.add("model", model, "model file: time the kernels that can multiply its weights, too");
    options.add("-t,--threads", threads, "threads; 0: one per core");
    options.add("--seconds", seconds, "how long each of the seven tests runs");
    options.flag("--clear", clear, "forget all stored measurements, then stop");
    options.parse();
    if (!(seconds > 0 && seconds <= 60)) core::fail(core::ErrorKind::usage, "--seconds must be above 0 and at most 60, not {}", seconds);
    const auto store = std::make_shared<measure::Store>(measure::Store::default_directory(), note);
    if (clear) {
        const std::int64_t forgotten = store->clear();
        if (options.json()) return print_json(core::Json().set("forgotten", forgotten));
        return print(core::format("{} stored measurements forgotten\n", forgotten));
    }
    const std::set<const formats::Format*> formats = model.empty() ? std::set<const formats::Format*>{} : formats_of(model);
    core::Pool pool(checked_threads(threads));
    measure::MachineLimits limits;
    {
        ProgressLine line("measuring, in percent");
        limits = measure::measure_machine(pool, cpu::active_isa(), [&](std::string_view, double done) { line.update(static_cast<std::int64_t>(100 * done), 100); },
                                          {.seconds_per_test = seconds});
    }
    with_best_peaks(limits, *store);
    if (!options.json()) {
        print_report(limits, *store);
        if (!formats.empty()) measure_kernels(formats, pool, store, nullptr);
        return;
    }
    core::Json json = measure::json(limits).set("store", store->path());
    if (!formats.empty()) measure_kernels(formats, pool, store, &json);
    print_json(json);
}

}  // namespace tailor::cli::measure_command

namespace tailor::cli::entries {
extern const Command measure = {
    .name = "measure",
    .doc = "measure what this machine can do at most, and which kernels are fastest on it",
    .examples = "tailor measure\n"
                "tailor measure model.gguf\n"
                "tailor measure -t 1 --json\n"
                "tailor measure --seconds 2\n"
                "tailor measure --clear",
    .run = &measure_command::run,
    .place = 80,
};
}  // namespace tailor::cli::entries
