// Times the kernels of matmul: each format, each kernel that takes it, a few numbers of rows.
//
//     bench_matmul [--formats q4_k,q8_0] [--rows 1,8,512] [--shape 5632x2048] [--threads 2] [--isa avx512] [--kernels panel_bytes]
//
// Weights come from memory, not from a cache: copies of the matrix, four times the last-level cache in all, take turns. Each
// figure is the median of seven passes, and the kernels of a format take turns too, so that a busy moment hits all alike. For up to
// four rows, which wait for memory, reading is timed after every pass, and the last columns are the median share of it and its median speed: on
// a virtual machine the speed of memory changes from one second to the next.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <sstream>

#include "core/statistics.h"
#include "formats/panels.h"
#include "formats/registry.h"
#include "measure/cost.h"
#include "measure/machine.h"
#include "ops/registry.h"
#include "ops/support.h"

namespace {

using namespace tailor;

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
    return parts;
}

struct Setup {
    core::Pool& pool;
    cpu::Isa isa;
    std::int64_t n, k;
    measure::ReadMeter* meter;  ///< null: there are only many rows
};

constexpr std::int64_t most_reading_rows = 4;

// One thread is timed by the processor time it gets, which other programs do not lengthen; several by the clock.
double now_seconds(const core::Pool& pool) {
    if (pool.threads() == 1) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Seconds of one product.
double time_pass(const Setup& s, const ops::Kernel& kernel, const std::vector<core::Tensor>& weights, std::int64_t rows) {
    const core::Tensor x = formats::make_tensor(formats::get("f32"), {rows, s.k}), y = formats::make_tensor(formats::get("f32"), {rows, s.n});
    for (std::int64_t i = 0; i < rows * s.k; ++i) x.row_f32(0)[i] = static_cast<float>(i * 7 % 13 - 6);
    const core::Tensor scratch = formats::make_tensor(formats::get("f32"), {rows * s.k * 2 + 64});
    const ops::Attributes none;
    const std::vector<std::int32_t> zeros(static_cast<std::size_t>(rows));
    std::vector<core::Tensor> inputs{x, weights[0]};
    const double start = now_seconds(s.pool);
    for (const core::Tensor& w : weights) {
        inputs[1] = w;
        kernel.run.at(s.isa)({none, inputs, y, {}, {zeros, zeros}, &s.pool, s.isa, scratch.data});
    }
    return (now_seconds(s.pool) - start) / static_cast<double>(weights.size());
}

void time_format(const Setup& s, const formats::Format& format, const std::vector<std::int64_t>& rows, const std::vector<std::string>& names) {
    const core::Tensor in_rows = measure::random_weight(format, {s.n, s.k});
    const std::int64_t bytes = formats::tensor_bytes(format, in_rows.shape);
    const auto copies = static_cast<std::size_t>(4 * static_cast<std::int64_t>(measure::last_level_cache_bytes()) / bytes + 1);
    std::map<core::Layout, std::vector<core::Tensor>> weights;
    const ops::Attributes none;
    for (const std::int64_t r : rows) {
        std::map<std::string, std::vector<double>> times, shares, speeds;
        for (int pass = 0; pass < 8; ++pass)
            for (const core::Layout layout : {core::Layout::rows, core::Layout::panels}) {
                if (layout == core::Layout::panels && !formats::has_panels(format)) continue;
                const std::vector<ops::TensorType> types{ops::f32({r, s.k}), {&format, in_rows.shape, layout}};
                for (const ops::Kernel& kernel : ops::get("matmul").kernels) {
                    if (!names.empty() && std::find(names.begin(), names.end(), kernel.name) == names.end()) continue;
                    if (!kernel.run.at(s.isa) || !kernel.can_run({none, types, ops::f32({r, s.n})})) continue;
                    std::vector<core::Tensor>& set = weights[layout];
                    while (set.size() < copies) set.push_back(layout == core::Layout::panels ? formats::make_panels(in_rows, &s.pool) : measure::random_weight(format, {s.n, s.k}));
                    const std::vector<core::Tensor> used(set.begin(), set.begin() + static_cast<std::ptrdiff_t>(r > 16 ? 1 : copies));
                    const double seconds = time_pass(s, kernel, used, r);
                    if (pass == 0) continue;
                    times[std::string(kernel.name)].push_back(seconds);
                    if (r > most_reading_rows) continue;
                    const double reading = s.meter->bytes_per_second();
                    speeds[std::string(kernel.name)].push_back(reading);
                    shares[std::string(kernel.name)].push_back(static_cast<double>(bytes) / seconds / reading);
                }
            }
        for (const auto& [name, samples] : times) {
            const double seconds = core::median(samples);
            std::printf("%-7s %-12s %4lld rows %9.1f us %7.2f GB/s %8.1f GOP/s", std::string(format.name).c_str(), name.c_str(), static_cast<long long>(r),
                        seconds * 1e6, static_cast<double>(bytes) / seconds * 1e-9, 2e-9 * static_cast<double>(r * s.n * s.k) / seconds);
            if (r <= most_reading_rows) std::printf(" %4.0f %% of reading at %.1f GB/s", 100 * core::median(shares[name]), core::median(speeds[name]) * 1e-9);
            std::puts("");
        }
        std::fflush(stdout);
    }
}

}  // namespace

int main(int count, char** arguments) {
    std::map<std::string, std::string> options{{"--formats", ""}, {"--rows", "1,8,512"}, {"--shape", "5632x2048"}, {"--threads", "0"},
                                               {"--isa", cpu::name(cpu::active_isa())}, {"--kernels", ""}};
    for (int i = 1; i + 1 < count; i += 2) {
        if (!options.contains(arguments[i])) return std::fprintf(stderr, "unknown option %s\n", arguments[i]), 2;
        options[arguments[i]] = arguments[i + 1];
    }
    core::Pool pool(std::stoi(options["--threads"]));
    const std::vector<std::string> shape = split(options["--shape"], 'x');
    std::vector<std::int64_t> rows;
    for (const std::string& r : split(options["--rows"], ',')) rows.push_back(std::stoll(r));
    const cpu::Isa isa = cpu::parse_isa(options["--isa"]);
    if (isa > cpu::highest_isa()) return std::fprintf(stderr, "this processor has only %s\n", cpu::name(cpu::highest_isa())), 2;
    std::unique_ptr<measure::ReadMeter> meter;
    if (*std::min_element(rows.begin(), rows.end()) <= most_reading_rows) meter = std::make_unique<measure::ReadMeter>(pool, isa);
    const Setup setup{pool, isa, std::stoll(shape.at(0)), std::stoll(shape.at(1)), meter.get()};
    std::vector<std::string> names = split(options["--formats"], ',');
    if (names.empty())
        for (const formats::Format* format : formats::all())
            if (format->weights) names.emplace_back(format->name);
    for (const std::string& name : names) time_format(setup, formats::get(name), rows, split(options["--kernels"], ','));
}
