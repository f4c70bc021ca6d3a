// What the files of attention share: the kernels, the cache's addresses and the writing of new rows into it.
#pragma once
#include "formats/format.h"
#include "ops/op.h"

namespace tailor::ops::attention_kernels {

/// The widest head, of keys or of values: bounds every buffer on the stack.
inline constexpr std::int64_t most_head_dim = 512;

/// Rows up to which `split_kernel` is used; see attention.cpp.
inline constexpr std::int64_t few_rows = 4;

/// For prompts: blocks of queries against tiles of keys.
extern const cpu::PerIsa<Run> tiled_kernel;
/// For a few rows per sequence: each row against parts of its context, merged afterwards.
extern const cpu::PerIsa<Run> split_kernel;

/// Where the keys (or values) of one head of one sequence begin; its rows follow each other.
inline std::byte* cache_head(const core::Tensor& cache, std::int64_t sequence, std::int64_t head) {
    return cache.data + (sequence * cache.shape[1] + head) * cache.shape[2] * cache.format->row_bytes(cache.shape[3]);
}

/// Writes row `r` of the new keys and values of one kv head to its place in the cache.
void append_head(const Call& call, std::int64_t r, std::int64_t kv_head) noexcept;
/// Writes all new keys and values, in parallel.
void append(const Call& call) noexcept;

}  // namespace tailor::ops::attention_kernels
