// What a matrix product costs on this machine: measured, by weight shape, number format and number of rows.
//
// A weight's time depends on where it lies when it is needed. In a decode step every weight of the model is read once, so
// a model larger than the last-level cache streams from memory, and a smaller one stays in cache. The measurement does the
// same: it cycles through copies of the weight until as many bytes have passed as the whole model will have.
#pragma once
#include <cstdint>

#include "core/pool.h"
#include "formats/format.h"
#include "graph/plan.h"
#include "measure/store.h"

namespace tailor::measure {

/// One product of a step: y = x W^T with x [rows, k] and W [n, k], or with the `used` of `experts` such matrices that each row is
/// sent to.
struct Product {
    std::int64_t n = 0, k = 0, rows = 0;
    std::int64_t experts = 0, used = 0;  ///< 0: a plain matrix
    bool own_rows = false;               ///< x holds a row for every pair of a row and an expert
};

class CostModel {
  public:
    /// Products are planned as `options` say, so that they take the kernels of the sessions they stand for. The pool and the store must
    /// outlive it.
    CostModel(core::Pool& pool, graph::PlanOptions options, Store& store);

    /// Nanoseconds of a product with W in `format`, in a model whose weights take `model_bytes`: from the store, or measured now
    /// (up to half a second) and stored. Throws Error(shape) if k does not fit the format.
    double nanoseconds(const formats::Format& format, const Product& product, std::uint64_t model_bytes);
    /// The same for a plain matrix.
    double matmul_nanoseconds(const formats::Format& format, std::int64_t n, std::int64_t k, std::int64_t rows, std::uint64_t model_bytes) {
        return nanoseconds(format, {n, k, rows}, model_bytes);
    }

    /// How many measurements were made, rather than found in the store.
    std::int64_t measured() const { return measured_; }

  private:
    core::Pool& pool_;
    graph::PlanOptions options_;
    Store& store_;
    std::int64_t measured_ = 0;
};

/// Rows of activations up to which a product waits for its weights, so that it matters where they lie.
inline constexpr std::int64_t few_rows = 16;

/// A weight of random codes: a few rows encoded, and repeated, since time does not depend on the values.
core::Tensor random_weight(const formats::Format& format, const core::Shape& shape);

/// Another number when any of an operator's kernels has changed.
std::int64_t kernel_version(std::string_view op);

/// Bytes through which weights must cycle to stand for a model of `model_bytes`: a power of two, at least 1 MiB, at most
/// four times the last-level cache (beyond that nothing changes).
std::uint64_t working_set(std::uint64_t model_bytes, std::uint64_t cache_bytes);

/// Bytes of the largest cache of this machine; 32 MiB if it cannot be known.
std::uint64_t last_level_cache_bytes();

}  // namespace tailor::measure
