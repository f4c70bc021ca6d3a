// Backwards through time for gated recurrent cells (ops/cells.h): one loop for lstm, gru and slstm, whose files bring one unit's derivative.
//
// A cell is a struct with `gates`, `memories` (states beside h) and two functions of one unit, in the number type of the caller:
//     forward(x, product, h, memory)       the new h; memory is updated
//     backward(x, product, before, after, dh, dmemory, dproduct, dx)
// where x and product are the unit's gates, before and after its h and memories on both sides of the row, dh the gradient of the
// new h, dmemory those of the new memories on entry and of the old ones on return; it returns the direct part of the old h's.
// The rest comes through the recurrent weights: dh_old += R^T dproduct and dR += dproduct h_old^T.
// Products and states of the rows are computed anew and kept while a call runs. Inputs: x, R, bias (absent or of gru), gradient; results: the
// gradients of x, R and the bias one behind the other. Werbos, "Backpropagation Through Time", 1990.
#pragma once
#include <algorithm>
#include <vector>

#include "ops/cells.h"
#include "ops/gradients.h"
#include "ops/sequences.h"

namespace tailor::ops {

inline TensorType cell_gradient_type(const NodeView& node, std::int64_t gates) {
    const TensorType y = cell_type({node.attributes, std::vector<TensorType>{node.inputs[0], node.inputs[1], node.input(2)}, {}}, gates);
    require_f32(node, 3);
    require(node.inputs[3].shape == y.shape, "the gradient of a cell must be [rows, width]", node);
    std::int64_t numbers = 0;
    for (std::size_t i = 0; i < 3; ++i) numbers += node.input(i) ? node.inputs[i].shape.elements() : 0;
    return f32({numbers});
}

/// cell_cases with a gradient.
inline std::vector<Case> cell_gradient_cases(std::int64_t gates, bool bias) {
    std::vector<Case> list;
    for (Case& c : cell_cases(gates, bias)) {
        if (c.past) continue;
        const std::int64_t rows = c.inputs[0].shape.rows(), width = c.inputs[0].shape.width() / gates;
        c.inputs.push_back(f32({rows, width}));
        list.push_back(c);
    }
    return list;
}

/// The rule of a cell whose gradient is the operator `op`.
inline std::vector<Value> cell_gradients(const Differentiation& d, std::string_view op) {
    return parts(d, d.graph.add(op, {d.input(0), d.input(1), d.input(2), d.gradient}), {0, 1, 2});
}

inline Cost cell_gradient_cost(const NodeView& node) {
    return streaming_cost(node, 6 * static_cast<double>(node.inputs[0].shape.rows()) * static_cast<double>(node.inputs[1].shape.elements()));
}

/// The products with recurrent weights that the loop needs, in f32 by threads, and in double.
struct CellProducts {
    /// to[j] = R[j] . h for the rows [first, first + count) of R.
    static void forward(const Call& call, const float* h, std::int64_t first, std::int64_t count, std::int64_t width, float* to) noexcept { recurrent_product.at(call.isa)(call, h, first, count, width, to); }
    static void forward(const Call& call, const double* h, std::int64_t first, std::int64_t count, std::int64_t width, double* to) {
        const std::vector<double> products = reference_product(call, std::vector<double>(h, h + width), first, count);
        std::copy(products.begin(), products.end(), to);
    }
    /// dh += R^T d for the rows [first, first + count) of R, a few columns at a time.
    template <class Real>
    static void back(const Call& call, const Real* d, std::int64_t first, std::int64_t count, std::int64_t width, Real* dh) noexcept {
        const core::Tensor& weights = call.inputs[1];
        const std::int64_t head = weights.shape.width(), piece = std::min<std::int64_t>(head, 128), pieces = (head + piece - 1) / piece;
        call.pool->run(width / head * pieces, [&](std::int64_t c, int) {
            const std::int64_t h = c / pieces, begin = c % pieces * piece, end = std::min(head, begin + piece);
            for (std::int64_t j = 0; j < count; ++j) {
                if ((first + j) % width / head != h) continue;
                const float* const row = weights.row_f32(first + j);
                for (std::int64_t i = begin; i < end; ++i) dh[h * head + i] += static_cast<Real>(row[i]) * d[j];
            }
        });
    }
    /// dR[first + j] += sum over rows t of d[t][j] h[t] of the head of j.
    template <class Real>
    static void outer(const Call& call, const Real* d, std::int64_t d_row, const Real* h, std::int64_t h_row, std::int64_t rows, std::int64_t first, std::int64_t count, std::int64_t width, Real* dr) noexcept {
        const std::int64_t head = call.inputs[1].shape.width();
        call.pool->run(count, [&](std::int64_t j, int) {
            Real* const to = dr + (first + j) * head;
            for (std::int64_t t = 0; t < rows; ++t)
                for (std::int64_t i = 0; i < head; ++i) to[i] += d[t * d_row + j] * h[t * h_row + (first + j) % width / head * head + i];
        });
    }
};

template <class Cell>
std::int64_t cell_gradient_scratch_bytes(const NodeView& node) {
    const std::int64_t rows = node.inputs[0].shape.rows(), width = node.inputs[0].shape.width() / Cell::gates;
    return sequence_rows_bytes(rows) + ((rows + 1) * (2 * Cell::gates + 1 + Cell::memories) + 2 + Cell::memories) * width * static_cast<std::int64_t>(sizeof(float)) + 64;
}

/// The loop over one call, for buffers and results in `Real`; `out` is all zeros.
template <class Cell, class Real>
class CellBackwards {
  public:
    static constexpr std::int64_t gates = Cell::gates, memories = Cell::memories, kept = 1 + memories;

    CellBackwards(const Call& call, Real* buffers, Real* out)
        : call_(call), rows_(call.inputs[0].shape.rows()), width_(call.inputs[0].shape.width() / gates), products_(buffers), back_(products_ + (rows_ + 1) * gates * width_),
          states_(back_ + (rows_ + 1) * gates * width_), dh_(states_ + (rows_ + 1) * kept * width_), dmemory_(dh_ + width_), dx_(out), dr_(out + call.inputs[0].shape.elements()),
          dbias_(dr_ + call.inputs[1].shape.elements()), bias_(call.input(2) ? call.input(2)->row_f32(0) : nullptr) {}

    void run(std::span<const std::int32_t> rows) noexcept {
        const auto count = static_cast<std::int64_t>(rows.size());
        std::fill_n(states_, kept * width_, Real{0});
        for (std::int64_t t = 0; t < count; ++t) advance(t, rows[static_cast<std::size_t>(t)]);
        std::fill_n(dh_, (1 + memories) * width_, Real{0});
        for (std::int64_t t = count; t-- > 0;) hand_back(t, rows[static_cast<std::size_t>(t)]);
        CellProducts::outer(call_, back_, gates * width_, states_, kept * width_, count, 0, gates * width_, width_, dr_);
    }

  private:
    void read(std::int64_t t, std::int32_t row, std::int64_t i, Real (&x)[gates], Real (&product)[gates]) const {
        for (std::int64_t g = 0; g < gates; ++g) {
            x[g] = static_cast<Real>(call_.inputs[0].row_f32(row)[g * width_ + i]);
            product[g] = products_[(t * gates + g) * width_ + i];
        }
        if (bias_) product[gates - 1] += static_cast<Real>(bias_[i]);
    }
    /// h and the memories of unit `i` before row `t`.
    void state(std::int64_t t, std::int64_t i, Real (&to)[kept]) const {
        for (std::int64_t s = 0; s < kept; ++s) to[s] = states_[(t * kept + s) * width_ + i];
    }

    void advance(std::int64_t t, std::int32_t row) noexcept {
        CellProducts::forward(call_, states_ + t * kept * width_, 0, gates * width_, width_, products_ + t * gates * width_);
        for (std::int64_t i = 0; i < width_; ++i) {
            Real x[gates], product[gates], s[kept];
            read(t, row, i, x, product);
            state(t, i, s);
            s[0] = Cell::forward(x, product, s[0], s + 1);
            for (std::int64_t j = 0; j < kept; ++j) states_[((t + 1) * kept + j) * width_ + i] = s[j];
        }
    }

    void hand_back(std::int64_t t, std::int32_t row) noexcept {
        for (std::int64_t i = 0; i < width_; ++i) {
            Real x[gates], product[gates], before[kept], after[kept], dmemory[1 + memories] = {}, dproduct[gates], dx[gates];
            read(t, row, i, x, product);
            state(t, i, before), state(t + 1, i, after);
            for (std::int64_t m = 0; m < memories; ++m) dmemory[m] = dmemory_[m * width_ + i];
            const Real dh = dh_[i] + static_cast<Real>(call_.inputs[3].row_f32(row)[i]);
            dh_[i] = Cell::backward(x, product, before, after, dh, dmemory, dproduct, dx);
            for (std::int64_t m = 0; m < memories; ++m) dmemory_[m * width_ + i] = dmemory[m];
            for (std::int64_t g = 0; g < gates; ++g) {
                dx_[(row * gates + g) * width_ + i] = dx[g];
                back_[(t * gates + g) * width_ + i] = dproduct[g];
            }
            if (bias_) dbias_[i] += dproduct[gates - 1];
        }
        CellProducts::back(call_, back_ + t * gates * width_, 0, gates * width_, width_, dh_);
    }

    const Call& call_;
    std::int64_t rows_, width_;
    Real *products_, *back_, *states_, *dh_, *dmemory_, *dx_, *dr_, *dbias_;
    const float* bias_;
};

template <class Cell>
void run_cell_gradient(const Call& call) noexcept {
    const std::int64_t rows = call.inputs[0].shape.rows();
    const std::span<const std::int32_t> sorted = sort_rows(call.batch, rows, call.scratch);
    std::fill_n(call.output.row_f32(0), call.output.shape.elements(), 0.0f);
    CellBackwards<Cell, float> loop(call, reinterpret_cast<float*>(call.scratch + sequence_rows_bytes(rows)), call.output.row_f32(0));
    for_each_sequence(call.batch, sorted, [&](std::span<const std::int32_t> sequence) { loop.run(sequence); });
}

template <class Cell>
void cell_gradient_reference(const Call& call) {
    const std::int64_t rows = call.inputs[0].shape.rows(), width = call.inputs[0].shape.width() / Cell::gates;
    std::vector<double> buffers(static_cast<std::size_t>(((rows + 1) * (2 * Cell::gates + 1 + Cell::memories) + 2 + Cell::memories) * width)), out(static_cast<std::size_t>(call.output.shape.elements()));
    std::vector<std::byte> order(static_cast<std::size_t>(sequence_rows_bytes(rows)));
    CellBackwards<Cell, double> loop(call, buffers.data(), out.data());
    for_each_sequence(call, rows, order.data(), [&](std::span<const std::int32_t> sequence) { loop.run(sequence); });
    std::copy(out.begin(), out.end(), call.output.row_f32(0));
}

}  // namespace tailor::ops
