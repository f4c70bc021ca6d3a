// How much attention the entries of a cache get: what is added up to decide which of them to keep.
//
// For a query q of a head and the entries j it sees, the shares are softmax_j(scale q . K[j]); the mass of an entry is the sum of its
// shares over queries and over the heads that share its kv head. Zhang et al., "H2O", 2023, section 4.
// Computed beside the attention kernels, which never hold the shares of all keys at once, and only when entries must go. What some
// models do to scores besides (a softcap) is left out: it keeps the order of the shares of a query.
#pragma once
#include <vector>

#include "ops/attention/cache.h"

namespace tailor::ops::attention_kernels {

/// Queries of the heads that share one kv head, of sequence 0.
struct MassCall {
    const core::Tensor& keys;  ///< the cache
    std::int64_t kv_head;
    const float* queries;      ///< of its first head in the first row; the other heads follow
    std::int64_t rows, row_stride, heads;
    std::int64_t first_end;    ///< entries that the first row sees; each row after it sees one more
    float scale;
};
/// Adds to `mass` [first_end + rows - 1] what each entry gets. `scratch` grows as needed.
void add_mass(const MassCall& call, cpu::Isa isa, std::vector<float>& scratch, float* mass);

}  // namespace tailor::ops::attention_kernels
