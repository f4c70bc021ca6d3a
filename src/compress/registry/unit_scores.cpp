// Sums over columns of weights times gradients; see unit_scores.h.
#include "compress/unit_scores.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "core/error.h"
#include "train/curvature.h"

namespace tailor::compress {

constexpr std::string_view before = "blk.", after = ".ffn_down.weight";

struct DownOnly : train::Objective {
    bool trains(std::string_view weight) const override { return weight.starts_with(before) && weight.ends_with(after); }
};

static std::vector<double> slopes_of_units(const core::Tensor& weight, const core::Tensor& gradient) {
    std::vector<double> slopes(static_cast<std::size_t>(weight.shape.width()));
    for (std::int64_t i = 0; i < weight.shape.rows(); ++i)
        for (std::size_t j = 0; j < slopes.size(); ++j) slopes[j] += static_cast<double>(weight.row_f32(i)[j]) * static_cast<double>(gradient.row_f32(i)[j]);
    return slopes;
}

std::map<std::int64_t, std::vector<double>> fisher_of_units(const files::File& file, core::Pool& pool, const run::Windows& windows, const run::Progress& progress) {
    if (windows.empty()) core::fail(core::ErrorKind::usage, "{}: no text to measure its units on", file.path());
    const auto trainer = train::derivatives_of(file, pool, 1, static_cast<std::int64_t>(windows[0].size()), std::make_shared<DownOnly>());
    std::map<std::int64_t, std::vector<double>> scores;
    for (std::size_t w = 0; w < windows.size(); ++w) {
        std::vector<std::int32_t> targets(windows[w].begin() + 1, windows[w].end());
        targets.push_back(-1);
        const std::vector<std::int32_t> ids(windows[w].begin(), windows[w].end());
        train::per_sample_gradients(*trainer, {ids, targets}, [&](std::size_t, double, std::span<const core::Tensor> gradients) {
            for (std::size_t i = 0; i < gradients.size(); ++i) {
                std::vector<double>& sums = scores[std::stol(trainer->name(i).substr(before.size()))];
                const std::vector<double> slopes = slopes_of_units(trainer->trained()[i], gradients[i]);
                sums.resize(slopes.size());
                for (std::size_t j = 0; j < slopes.size(); ++j) sums[j] += slopes[j] * slopes[j] / static_cast<double>(windows.size());
            }
        });
        if (progress) progress(static_cast<std::int64_t>(w + 1), static_cast<std::int64_t>(windows.size()));
    }
    return scores;
}

std::vector<std::int64_t> highest_units(const std::vector<double>& scores, std::int64_t count) {
    if (count < 1 || count > static_cast<std::int64_t>(scores.size())) core::fail(core::ErrorKind::usage, "{} of {} units cannot be kept", count, scores.size());
    std::vector<std::int64_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) { return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)]; });
    order.resize(static_cast<std::size_t>(count));
    std::sort(order.begin(), order.end());
    return order;
}

}  // namespace tailor::compress
