// The kernel of attention_gradient, compiled once per instruction-set level; kernel.cpp.
#pragma once
#include "ops/op.h"

namespace tailor::ops::attention_gradient_kernels {

extern const cpu::PerIsa<Run> gradient_kernel;
/// The same with products of bf16 pairs, where the processor has them; level avx512 only.
extern const cpu::PerIsa<Run> pair_gradient_kernel;
/// Bytes of Call::scratch that it needs; `dim` and `value_dim` are the widths of a key and of a value.
std::int64_t gradient_scratch_bytes(std::int64_t rows, std::int64_t heads, std::int64_t kv_heads, std::int64_t dim, std::int64_t value_dim);

}  // namespace tailor::ops::attention_gradient_kernels
