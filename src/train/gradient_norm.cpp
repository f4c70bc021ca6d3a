// Sums over chunks of fixed borders; see gradient_norm.h.
#include "train/gradient_norm.h"

#include <atomic>
#include <cmath>
#include <vector>

#include "train/optimizers/optimizer.h"

namespace tailor::train {

double sum_of_squares(std::span<const core::Tensor> gradients, core::Pool& pool) {
    double total = 0;
    for (const core::Tensor& gradient : gradients) {
        const float* const numbers = gradient.row_f32(0);
        std::vector<double> sums(static_cast<std::size_t>(gradient.shape.elements() / optimizers::chunk + 1));
        optimizers::for_chunks(pool, gradient.shape.elements(), [&](std::int64_t begin, std::int64_t end) {
            double sum = 0;
            for (std::int64_t i = begin; i < end; ++i) sum += static_cast<double>(numbers[i]) * static_cast<double>(numbers[i]);
            sums[static_cast<std::size_t>(begin / optimizers::chunk)] = sum;
        });
        for (const double sum : sums) total += sum;
    }
    return total;
}

double gradient_norm(std::span<const core::Tensor> gradients, core::Pool& pool) { return std::sqrt(sum_of_squares(gradients, pool)); }

bool has_not_finite(const core::Tensor& tensor, core::Pool& pool) {
    std::atomic<bool> found{false};
    const float* const numbers = tensor.row_f32(0);
    optimizers::for_chunks(pool, tensor.shape.elements(), [&](std::int64_t begin, std::int64_t end) {
        bool finite = true;
        for (std::int64_t i = begin; i < end; ++i) finite &= std::isfinite(numbers[i]);
        if (!finite) found.store(true, std::memory_order_relaxed);
    });
    return found.load();
}

}  // namespace tailor::train
