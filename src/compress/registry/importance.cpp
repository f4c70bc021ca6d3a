// Watches the inputs of every product with a constant weight; see importance.h.
#include "compress/importance.h"

#include "core/error.h"

namespace tailor::compress {

std::span<const float> Importance::of(std::string_view tensor) const {
    const auto it = mean_squares_.find(tensor);
    return it == mean_squares_.end() ? std::span<const float>() : std::span<const float>(it->second);
}

namespace {

/// Sums of squares of the inputs of one weight, [matrices][width], and the rows that each matrix met.
struct Sums {
    std::vector<double> squares;
    std::vector<std::int64_t> rows;

    void add(std::int64_t matrix, const float* x, std::int64_t width) {
        ++rows[static_cast<std::size_t>(matrix)];
        double* const to = squares.data() + matrix * width;
        for (std::int64_t i = 0; i < width; ++i) to[i] += static_cast<double>(x[i]) * x[i];
    }
};

// Every row of x meets the one matrix, the experts that it was sent to, or part by part all matrices of the stack.
void collect(Sums& sums, const core::Shape& weight, std::span<const core::Tensor> inputs) {
    const std::int64_t matrices = weight.rank() == 3 ? weight[0] : 1, width = weight.width(), rows = inputs[0].shape.rows();
    sums.squares.resize(static_cast<std::size_t>(matrices * width));
    sums.rows.resize(static_cast<std::size_t>(matrices));
    if (weight.rank() == 3 && inputs.size() > 2 && inputs[2]) {
        const std::int64_t pairs = inputs[2].shape.elements();
        for (std::int64_t p = 0; p < pairs; ++p) sums.add(inputs[2].row_i32(0)[p], inputs[0].row_f32(p * rows / pairs), width);
        return;
    }
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t m = 0; m < matrices; ++m) sums.add(m, inputs[0].row_f32(r) + m * width, width);
}

// An expert that no token was sent to still needs to know its columns: each gets one more row, the average of all.
std::vector<float> means(const Sums& sums, std::int64_t tokens) {
    const std::size_t matrices = sums.rows.size(), width = sums.squares.size() / matrices;
    std::int64_t rows = 0;
    for (const std::int64_t r : sums.rows) rows += r;
    std::vector<double> average(width);
    for (std::size_t i = 0; i < sums.squares.size() && matrices > 1; ++i) average[i % width] += sums.squares[i] / static_cast<double>(rows);
    std::vector<float> mean;
    for (std::size_t i = 0; i < sums.squares.size(); ++i) mean.push_back(static_cast<float>((sums.squares[i] + average[i % width]) / static_cast<double>(tokens)));
    return mean;
}

}  // namespace

Importance Importance::measure(run::Session& session, const run::Windows& windows, const run::Progress& progress) {
    std::map<std::string, Sums, std::less<>> sums;
    std::int64_t rows = 0;
    session.set_runner([&](graph::Plan& plan, const ops::Batch& batch) {
        plan.run_observed(batch, [&](const graph::Node& node, std::span<const core::Tensor> inputs) {
            const int input = node.op->weight_input;
            if (input < 0) return;
            const graph::Node& weight = plan.graph().node(node.inputs[static_cast<std::size_t>(input)]);
            if (weight.is_constant()) collect(sums[weight.name], weight.type.shape, inputs);
        });
    });
    for (std::size_t w = 0; w < windows.size(); ++w) {
        core::check_interrupt();
        run::answer(session, windows[w], static_cast<std::int64_t>(windows[w].size()));
        rows += static_cast<std::int64_t>(windows[w].size());
        if (progress) progress(static_cast<std::int64_t>(w + 1), static_cast<std::int64_t>(windows.size()));
    }
    session.set_runner({});
    Importance result;
    for (const auto& [name, sum] : sums) result.mean_squares_[name] = means(sum, rows);
    return result;
}

}  // namespace tailor::compress
