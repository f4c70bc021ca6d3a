// Watches the inputs of every matmul with a constant weight; see importance.h.
#include "compress/importance.h"

#include "core/error.h"

namespace tailor::compress {

std::span<const float> Importance::of(std::string_view tensor) const {
    const auto it = mean_squares_.find(tensor);
    return it == mean_squares_.end() ? std::span<const float>() : std::span<const float>(it->second);
}

Importance Importance::measure(run::Session& session, const run::Windows& windows, const run::Progress& progress) {
    std::map<std::string, std::vector<double>, std::less<>> sums;
    std::int64_t rows = 0;
    session.set_runner([&](graph::Plan& plan, const ops::Batch& batch) {
        plan.run_observed(batch, [&](const graph::Node& node, std::span<const core::Tensor> inputs) {
            if (node.op->name != "matmul" || !plan.graph().node(node.inputs[1]).is_constant()) return;
            std::vector<double>& sum = sums[plan.graph().node(node.inputs[1]).name];
            sum.resize(static_cast<std::size_t>(inputs[0].shape.width()));
            for (std::int64_t r = 0; r < inputs[0].shape.rows(); ++r)
                for (std::size_t i = 0; i < sum.size(); ++i) {
                    const double x = inputs[0].row_f32(r)[i];
                    sum[i] += x * x;
                }
        });
    });
    for (std::size_t w = 0; w < windows.size(); ++w) {
        core::check_interrupt();
        session.reset();
        session.evaluate(windows[w], static_cast<std::int64_t>(windows[w].size()));
        rows += static_cast<std::int64_t>(windows[w].size());
        if (progress) progress(static_cast<std::int64_t>(w + 1), static_cast<std::int64_t>(windows.size()));
    }
    session.set_runner({});
    Importance result;
    for (const auto& [name, sum] : sums) {
        std::vector<float>& mean = result.mean_squares_[name];
        for (const double s : sum) mean.push_back(static_cast<float>(s / static_cast<double>(rows)));
    }
    return result;
}

}  // namespace tailor::compress
