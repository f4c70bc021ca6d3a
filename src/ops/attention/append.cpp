// Writing new keys and values into the cache, in its number format.
//
// Encoding to a block format searches for the best scale, so a prompt's rows are encoded in parallel; f32, f16 and bf16
// only round. The bits are those of the format's own `encode`, which is what is called.
#include <algorithm>

#include "ops/attention/kernels.h"

namespace tailor::ops::attention_kernels {

// Heads of rows per unit of work: encoding one to a block format takes about a microsecond per 32 values, so a unit of a
// 64-wide head takes tens of microseconds, which is well above the cost of handing it out.
constexpr std::int64_t heads_per_chunk = 8;

void append_head(const Call& call, std::int64_t r, std::int64_t kv_head) noexcept {
    const std::int64_t sequence = call.batch.sequences[static_cast<std::size_t>(r)], position = call.batch.positions[static_cast<std::size_t>(r)];
    for (std::size_t i = 0; i < 2; ++i) {
        const core::Tensor& cache = call.states[i];
        const std::int64_t dim = cache.shape[3];
        std::byte* const place = cache_head(cache, sequence, kv_head) + position * cache.format->row_bytes(dim);
        cache.format->encode(call.inputs[1 + i].row_f32(r) + kv_head * dim, nullptr, place, dim);
    }
}

void append(const Call& call) noexcept {
    const std::int64_t kv_heads = call.states[0].shape[1], items = call.inputs[0].shape.rows() * kv_heads;
    call.pool->run((items + heads_per_chunk - 1) / heads_per_chunk, [&](std::int64_t c, int) {
        for (std::int64_t i = c * heads_per_chunk; i < std::min(items, (c + 1) * heads_per_chunk); ++i) append_head(call, i / kv_heads, i % kv_heads);
    });
}

}  // namespace tailor::ops::attention_kernels
