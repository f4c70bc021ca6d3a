// The update and its companions; see adamw.h.
#include "train/adamw.h"

#include <algorithm>
#include <cmath>

namespace tailor::train {

// 64 KB of each of four streams: few enough that a small tensor keeps two threads busy.
constexpr std::int64_t chunk = 16384;

void AdamW::update(float* weights, const float* gradient, double gradient_scale, double rate, std::int64_t step, const AdamWOptions& options, core::Pool& pool) {
    const auto numbers = static_cast<std::int64_t>(mean_.size());
    const auto b1 = static_cast<float>(options.first_decay), b2 = static_cast<float>(options.second_decay), scale = static_cast<float>(gradient_scale);
    const double first = 1 - std::pow(options.first_decay, static_cast<double>(step)), second = 1 - std::pow(options.second_decay, static_cast<double>(step));
    const auto pace = static_cast<float>(rate / first), root = static_cast<float>(1 / std::sqrt(second)), epsilon = static_cast<float>(options.epsilon);
    const auto kept = static_cast<float>(1 - rate * options.weight_decay);
    pool.run((numbers + chunk - 1) / chunk, [&](std::int64_t c, int) {
        float *const m = mean_.data(), *const v = square_.data();
        for (std::int64_t i = c * chunk; i < std::min(numbers, (c + 1) * chunk); ++i) {
            const float g = gradient[i] * scale;
            m[i] = b1 * m[i] + (1 - b1) * g;
            v[i] = b2 * v[i] + (1 - b2) * g * g;
            weights[i] = weights[i] * kept - pace * m[i] / (std::sqrt(v[i]) * root + epsilon);
        }
    });
}

double global_norm(std::span<const core::Tensor> gradients, core::Pool& pool) {
    double total = 0;
    for (const core::Tensor& gradient : gradients) {
        const std::int64_t numbers = gradient.shape.elements(), chunks = (numbers + chunk - 1) / chunk;
        std::vector<double> sums(static_cast<std::size_t>(chunks));
        pool.run(chunks, [&](std::int64_t c, int) {
            double sum = 0;
            for (std::int64_t i = c * chunk; i < std::min(numbers, (c + 1) * chunk); ++i) sum += static_cast<double>(gradient.row_f32(0)[i]) * static_cast<double>(gradient.row_f32(0)[i]);
            sums[static_cast<std::size_t>(c)] = sum;
        });
        for (const double sum : sums) total += sum;
    }
    return std::sqrt(total);
}

double cosine_rate(double peak, std::int64_t step, std::int64_t warmup, std::int64_t steps) {
    if (step <= warmup) return peak * static_cast<double>(step) / static_cast<double>(std::max<std::int64_t>(1, warmup));
    const double share = std::min(1.0, static_cast<double>(step - warmup) / static_cast<double>(std::max<std::int64_t>(1, steps - warmup)));
    return peak * (0.1 + 0.45 * (1 + std::cos(M_PI * share)));
}

}  // namespace tailor::train
