// What gated recurrent cells (lstm, gru, slstm, minimal_gated_unit) share: the product of the output before with the recurrent
// weights, which bounds them, and a loop over rows in the order of their sequences.
//
// The inputs' part of the gates is one matmul over all rows and not these operators' concern: they take its result x
// [rows, gates * width], gate after gate, and recurrent weights R [gates * width, width / heads], block-diagonal over heads. A row
// needs the output of the row before, so only the rows of R can be shared between threads.
#pragma once
#include <cmath>

#include "ops/support.h"

namespace tailor::ops {

/// The sizes of a cell as its inputs state them.
struct CellShape {
    std::int64_t gates, width, head;  ///< head: columns of R, the units of one head

    CellShape(const core::Shape& x, const core::Shape& weights, std::int64_t gate_count) : gates(gate_count), width(x.width() / gate_count), head(weights.width()) {}
};

/// The gates of all cells, in the number type of the caller.
template <class Real>
Real sigmoid(Real x) { return 1 / (1 + std::exp(-x)); }

/// Checks x and R and gives the type of the output [rows, width].
TensorType cell_type(const NodeView& node, std::int64_t gates);
/// One state [1, width] per name.
std::vector<StateType> cell_states(const NodeView& node, std::int64_t gates, std::initializer_list<std::string_view> names);
/// Scratch for the products of one row, and as much again.
std::int64_t cell_scratch_bytes(const NodeView& node);
Cost cell_cost(const NodeView& node);
/// Odd widths, heads, past rows; `gates` times the width columns.
std::vector<Case> cell_cases(std::int64_t gates, bool bias);

/// to[j] = R[j] . h of the head of j, for the rows [first, first + count) of R = inputs[1].
using RecurrentProduct = void (*)(const Call& call, const float* h, std::int64_t first, std::int64_t count, std::int64_t width, float* to) noexcept;
extern const cpu::PerIsa<RecurrentProduct> recurrent_product;

/// The same in double precision.
std::vector<double> reference_product(const Call& call, const std::vector<double>& h, std::int64_t first, std::int64_t count);

/// State `i` of the sequence of row `r`, `width` numbers.
inline float* cell_state(const Call& call, std::size_t i, std::int64_t r) { return call.states[i].row_f32(call.batch.sequences[static_cast<std::size_t>(r)]); }
std::vector<double> reference_state(const Call& call, std::size_t i, std::int64_t r);
void store_state(const Call& call, std::size_t i, std::int64_t r, const std::vector<double>& values);

}  // namespace tailor::ops
