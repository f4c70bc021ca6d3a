// Round: each row encoded by its format's own search for the best scales, weighted by column importance.
//
// The importance of column i of a weight W is the mean square of input i over calibration text: then the weighted error
// is the expected squared error of the output W x when inputs are uncorrelated. LeCun, Denker and Solla, "Optimal Brain
// Damage", 1989, is the same diagonal argument.
#include <atomic>
#include <cmath>
#include <vector>

#include "compress/method.h"
#include "core/error.h"
#include "formats/registry.h"

namespace tailor::compress::round_method {

static core::Tensor apply(const Request& request) {
    const core::Tensor& source = request.source;
    const std::int64_t rows = source.shape.rows(), width = source.shape.width();
    if (!importance_fits(request.importance, source.shape))
        core::fail(core::ErrorKind::bug, "{} importance weights for rows of {} values", request.importance.size(), width);
    core::Tensor target = formats::make_tensor(request.target, source.shape);
    const formats::Decode decode = source.format->decode.at(cpu::active_isa());
    std::vector<std::vector<float>> buffers(static_cast<std::size_t>(request.pool.threads()), std::vector<float>(static_cast<std::size_t>(width)));
    std::atomic<bool> finite{true};
    constexpr std::int64_t rows_per_chunk = 8;
    request.pool.run((rows + rows_per_chunk - 1) / rows_per_chunk, [&](std::int64_t c, int thread) {
        std::vector<float>& row = buffers[static_cast<std::size_t>(thread)];
        for (std::int64_t r = c * rows_per_chunk; r < std::min(rows, (c + 1) * rows_per_chunk); ++r) {
            decode(source.row(r), row.data(), width);
            bool good = true;
            for (const float value : row) good &= std::isfinite(value);
            if (good) request.target.encode(row.data(), importance_of_row(request.importance, source.shape, r).data(), target.row(r), width);
            else finite.store(false, std::memory_order_relaxed);
        }
    });
    if (!finite) core::fail(core::ErrorKind::numeric, "the weights hold NaN or infinity");
    return target;
}

}  // namespace tailor::compress::round_method

namespace tailor::compress::entries {
extern const Method round = {
    .name = "round",
    .doc = "round to the nearest code with scales searched for the least importance-weighted error",
    .apply = &round_method::apply,
};
}  // namespace tailor::compress::entries
