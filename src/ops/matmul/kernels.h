// The kernels of matmul, each compiled once per instruction-set level; matmul.cpp lists them with their conditions.
#pragma once
#include "ops/op.h"

namespace tailor::ops::matmul_kernels {

/// Rows up to which `row_kernel` is used. Measured on a 2-core AVX-512 server: at 4 rows both kernels take the same time,
/// above it the panel's reuse of decoded weights wins.
inline constexpr std::int64_t few_rows = 4;

/// For a few rows of x: decodes each weight row once into cache and takes its dot product with every row of x.
extern const cpu::PerIsa<Run> row_kernel;
/// For many rows of x: decodes panels of weight rows and multiplies them in register tiles.
extern const cpu::PerIsa<Run> panel_kernel;

}  // namespace tailor::ops::matmul_kernels
