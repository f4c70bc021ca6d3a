// Linear recurrences over a matrix of memory per head: what the operators linear_attention, gated_delta, ssd, rwkv6 and rwkv7
// have in common, and the kernels that they share.
//
// Every head carries S [key_dim, value_dim] from row to row:
//     z_t = a_t^T S_(t-1)
//     S_t = diag(w_t) S_(t-1) + b_t z_t^T + k_t v_t^T
//     y_t = q_t^T S_t
// with decays w in [0, 1], per dimension of the key or one for all. The operators differ in which parts there are. For many
// rows the kernels take 16 at a time: within such a chunk every sum over earlier rows becomes a product of small matrices
// and S is read and written once (registry/recurrence.cpp tells how). Yang et al., "Gated Linear Attention Transformers with
// Hardware-Efficient Training", 2024, section 3; Dao and Gu, "Transformers are SSMs", 2024, section 6.
#pragma once
#include "ops/support.h"

namespace tailor::ops {

/// An operand with `dim` numbers per row and head: columns of an f32 tensor [rows, groups * dim].
struct HeadRows {
    const float* data = nullptr;
    std::int64_t row_stride = 0;  ///< in numbers; 0: every row has the same
    std::int64_t dim = 0;
    std::int64_t share = 1;   ///< neighbouring heads that use the same columns
    std::int64_t groups = 1;  ///< head h uses group h / share mod groups

    explicit operator bool() const { return data != nullptr; }
    /// The columns of one head alone: its row i is at row(i).
    HeadRows of_head(std::int64_t head) const { return {data ? data + head / share % groups * dim : nullptr, row_stride, dim}; }
    const float* row(std::int64_t i) const { return data + i * row_stride; }
};

/// Columns of `tensor` for `heads` heads of `dim` numbers. Where it has fewer groups than heads, neighbouring heads share one,
/// or with `tiled` every groups-th head does.
HeadRows head_rows(const core::Tensor& tensor, std::int64_t heads, std::int64_t dim, bool tiled = false);

/// One call of such an operator. All tensors are f32; the state is call.states[0], [slots, heads, key_dim, value_dim].
struct Recurrence {
    std::int64_t heads = 0, key_dim = 0, value_dim = 0;
    HeadRows q, k, v;
    HeadRows log_decay;            ///< natural logarithms of w: dim = key_dim, or 1 for one per head; absent: w = 1
    const float* rate = nullptr;   ///< [heads] factors of the logarithms, only where their dim is 1; null: 1
    HeadRows value_scale;          ///< dim 1: v is multiplied by it; absent: 1
    HeadRows a, b;                 ///< of z, only with decays per dimension; absent: no z
    bool delta_rule = false;       ///< z^T = -value_scale (w k)^T S and b = k: the memory of k is replaced by v, not added to
    const float* bonus = nullptr;  ///< [heads, key_dim] u, only with decays per dimension: y_t = q_t^T (S_(t-1) + diag(u) k_t v_t^T) instead
    const float* skip = nullptr;   ///< [heads]: y_t gets skip v_t added, v before value_scale
    float query_scale = 1;
    bool bf16 = false;             ///< products with the memory in bf16 where rows go in chunks: level avx512 with AVX512_BF16, a key_dim that 4 divides, no a
};

/// The widest key and the most value columns are bounded by buffers on the stack and by sense; shape rules check this.
inline constexpr std::int64_t most_key_dim = 256;

/// Rows in one chunk of the chunked form.
inline constexpr std::int64_t recurrence_chunk = 16;
/// A run of fewer rows of one sequence is cheaper row by row: a chunk is computed as a whole, with rows of zeros in it.
inline constexpr std::int64_t least_chunk_rows = 6;

/// Computes output and state. Runs of at least `least_rows` rows of a sequence go in chunks, the others row by row.
using RunRecurrence = void (*)(const Call& call, const Recurrence& recurrence, std::int64_t least_rows) noexcept;
extern const cpu::PerIsa<RunRecurrence> run_recurrence;

/// For the chunked kernel's `declines`.
std::string declines_few_rows(const NodeView& node);
/// For the kernel in chunks with bf16 products.
std::string declines_pairs(const NodeView& node, std::int64_t key_dim);
/// Error that its products add, as a share of the largest result; measured: up to 0.0062.
inline constexpr double pairs_error = 0.008;
/// The state of an operator with one matrix per head.
std::vector<StateType> matrix_state(std::int64_t heads, std::int64_t key_dim, std::int64_t value_dim);
/// Work of the row-by-row form: `products` fused multiply-adds per element of the state and row, the state once each way.
Cost recurrence_cost(const NodeView& node, std::int64_t state_elements, double products);

/// A state in double precision, for references: read when made, written back by store().
class StateInDouble {
  public:
    explicit StateInDouble(const core::Tensor& state);
    /// The memory of one sequence, as StateType::shape says.
    double* slot(std::int64_t sequence) { return values_.data() + sequence * slot_size_; }
    void store() const;

  private:
    core::Tensor state_;
    std::int64_t slot_size_;
    std::vector<double> values_;
};

/// For conformance cases: makes every number of an input negative, as logarithms of decays are.
void make_negative(const core::Tensor& tensor);

}  // namespace tailor::ops
