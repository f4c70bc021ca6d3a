// Look-ups and the error of a compressed tensor; see registry.h.
#include "compress/registry.h"

#include <vector>

#include "core/error.h"

namespace tailor::compress {

const Method& get(std::string_view name) {
    std::vector<std::string> names;
    for (const Method* method : all()) {
        if (method->name == name) return *method;
        names.emplace_back(method->name);
    }
    core::fail(core::ErrorKind::usage, "there is no compression method '{}'; there are {}", name, core::join(names, ", "));
}

WeightedError weighted_error(const core::Tensor& source, const core::Tensor& compressed, std::span<const float> importance, core::Pool& pool) {
    const std::int64_t rows = source.shape.rows(), width = source.shape.width();
    constexpr std::int64_t rows_per_chunk = 16;
    std::vector<WeightedError> chunks(static_cast<std::size_t>((rows + rows_per_chunk - 1) / rows_per_chunk));
    const cpu::Isa isa = cpu::active_isa();
    std::vector<std::vector<float>> buffers(static_cast<std::size_t>(pool.threads()) * 2, std::vector<float>(static_cast<std::size_t>(width)));
    pool.run(static_cast<std::int64_t>(chunks.size()), [&](std::int64_t c, int thread) {
        std::vector<float>& a = buffers[static_cast<std::size_t>(thread) * 2];
        std::vector<float>& b = buffers[static_cast<std::size_t>(thread) * 2 + 1];
        WeightedError& total = chunks[static_cast<std::size_t>(c)];
        for (std::int64_t r = c * rows_per_chunk; r < std::min(rows, (c + 1) * rows_per_chunk); ++r) {
            source.format->decode.at(isa)(source.row(r), a.data(), width);
            compressed.format->decode.at(isa)(compressed.row(r), b.data(), width);
            const std::span<const float> columns = importance_of_row(importance, source.shape, r);
            for (std::size_t i = 0; i < a.size(); ++i) {
                const double weight = columns.empty() ? 1.0 : columns[i], difference = static_cast<double>(a[i]) - b[i];
                total.error += weight * difference * difference;
                total.energy += weight * a[i] * a[i];
            }
        }
    });
    WeightedError sum;
    for (const WeightedError& chunk : chunks) sum.error += chunk.error, sum.energy += chunk.energy;
    return sum;
}

}  // namespace tailor::compress
