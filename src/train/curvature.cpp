// Loops over gradients, and differences of them; see curvature.h.
#include "train/curvature.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "core/error.h"
#include "formats/registry.h"
#include "train/gradient_norm.h"

namespace tailor::train {

using core::ErrorKind;
using core::fail;

// Of the difference of both formulas, at which steps are no longer halved: the better one is then off by about its square.
static constexpr double good_enough = 1e-3;

static std::vector<core::Tensor> like(std::span<const core::Tensor> tensors) {
    std::vector<core::Tensor> result;
    for (const core::Tensor& tensor : tensors) result.push_back(formats::make_tensor(formats::get("f32"), tensor.shape));
    return result;
}

static std::span<float> numbers(const core::Tensor& tensor) { return {tensor.row_f32(0), static_cast<std::size_t>(tensor.shape.elements())}; }

std::unique_ptr<Trainer> derivatives_of(const files::File& file, core::Pool& pool, std::int64_t batch, std::int64_t context, std::shared_ptr<Objective> objective) {
    TrainerOptions options;
    options.batch = batch, options.context = context, options.objective = std::move(objective);
    // It is never asked for a step; of all optimizers this one takes the least memory.
    options.optimizer = "adafactor";
    return std::make_unique<Trainer>(file, pool, options);
}

void per_sample_gradients(Trainer& trainer, const Sequences& sequences, const VisitSample& visit) {
    if (trainer.sequences_of_step() != 1) fail(ErrorKind::usage, "gradients of single sequences need a trainer whose batch is 1, not {}", trainer.sequences_of_step());
    const auto context = static_cast<std::size_t>(trainer.context());
    if (sequences.ids.size() % context != 0 || sequences.targets.size() != sequences.ids.size())
        fail(ErrorKind::bug, "{} tokens and {} targets are no sequences of {}", sequences.ids.size(), sequences.targets.size(), context);
    std::vector<std::int32_t> ids(context), targets(context);
    for (std::size_t s = 0; s * context < sequences.ids.size(); ++s) {
        const auto begin = static_cast<std::ptrdiff_t>(s * context), end = begin + static_cast<std::ptrdiff_t>(context);
        ids.assign(sequences.ids.begin() + begin, sequences.ids.begin() + end);
        targets.assign(sequences.targets.begin() + begin, sequences.targets.begin() + end);
        double loss = 0;
        const std::vector<core::Tensor> gradients = trainer.gradients(ids, targets, loss);
        visit(s, loss, gradients);
    }
}

std::vector<core::Tensor> fisher_diagonal(Trainer& trainer, const Sequences& sequences) {
    std::vector<core::Tensor> sums = like(trainer.trained());
    const auto count = static_cast<float>(sequences.ids.size()) / static_cast<float>(trainer.context());
    per_sample_gradients(trainer, sequences, [&](std::size_t, double, std::span<const core::Tensor> gradients) {
        for (std::size_t i = 0; i < sums.size(); ++i) {
            const std::span<const float> from = numbers(gradients[i]);
            const std::span<float> to = numbers(sums[i]);
            optimizers::for_chunks(trainer.pool(), static_cast<std::int64_t>(to.size()), [&](std::int64_t begin, std::int64_t end) {
                for (auto k = static_cast<std::size_t>(begin); k < static_cast<std::size_t>(end); ++k) to[k] += from[k] * from[k] / count;
            });
        }
    });
    return sums;
}

/// The weights of a trainer, put back when this ends.
class Moved {
  public:
    explicit Moved(Trainer& trainer) : trainer_(trainer), saved_(like(trainer.trained())) { copy(trainer.trained(), saved_); }
    ~Moved() { copy(saved_, trainer_.trained()); }
    Moved(const Moved&) = delete;
    Moved& operator=(const Moved&) = delete;

    /// weights + t direction
    void to(double t, std::span<const core::Tensor> direction) {
        for (std::size_t i = 0; i < saved_.size(); ++i) {
            const std::span<const float> from = numbers(saved_[i]), along = numbers(direction[i]);
            const std::span<float> weights = numbers(trainer_.trained()[i]);
            for (std::size_t k = 0; k < from.size(); ++k) weights[k] = static_cast<float>(static_cast<double>(from[k]) + t * static_cast<double>(along[k]));
        }
    }

  private:
    static void copy(std::span<const core::Tensor> from, std::span<const core::Tensor> to) {
        for (std::size_t i = 0; i < from.size(); ++i) std::memcpy(to[i].data, from[i].data, static_cast<std::size_t>(4 * from[i].shape.elements()));
    }
    Trainer& trainer_;
    std::vector<core::Tensor> saved_;
};

/// grad L(w + t v) - grad L(w - t v)
static std::vector<core::Tensor> difference(Trainer& trainer, Moved& moved, const Sequences& sequences, std::span<const core::Tensor> direction, double t) {
    std::vector<core::Tensor> result = like(direction);
    for (const float sign : {1.0f, -1.0f}) {
        moved.to(sign * t, direction);
        double loss = 0;
        const std::vector<core::Tensor> gradients = trainer.gradients(sequences.ids, sequences.targets, loss);
        if (!std::isfinite(loss)) fail(ErrorKind::numeric, "the loss is not finite {} times the direction away from the weights; a smaller step may help", t);
        for (std::size_t i = 0; i < gradients.size(); ++i)
            for (std::size_t k = 0; k < numbers(result[i]).size(); ++k) numbers(result[i])[k] += sign * numbers(gradients[i])[k];
    }
    return result;
}

static HessianProduct product_of(std::span<const core::Tensor> near, std::span<const core::Tensor> far, double h, core::Pool& pool) {
    HessianProduct result{.product = like(near)};
    double squares = 0;
    for (std::size_t i = 0; i < near.size(); ++i)
        for (std::size_t k = 0; k < numbers(near[i]).size(); ++k) {
            const double plain = static_cast<double>(numbers(near[i])[k]) / (2 * h);
            const double better = (8 * static_cast<double>(numbers(near[i])[k]) - static_cast<double>(numbers(far[i])[k])) / (12 * h);
            numbers(result.product[i])[k] = static_cast<float>(better);
            squares += (plain - better) * (plain - better);
        }
    const double size = gradient_norm(result.product, pool);
    result.relative_error = size > 0 ? std::sqrt(squares) / size : 0;
    return result;
}

HessianProduct hessian_product(Trainer& trainer, const Sequences& sequences, std::span<const core::Tensor> direction, double step) {
    const double length = gradient_norm(direction, trainer.pool());
    if (direction.size() != trainer.trained().size() || !(length > 0)) fail(ErrorKind::bug, "a direction of {} tensors and norm {} for {} weights", direction.size(), length, trainer.trained().size());
    double h = step * gradient_norm(trainer.trained(), trainer.pool()) / length;
    Moved moved(trainer);
    std::vector<core::Tensor> far = difference(trainer, moved, sequences, direction, 2 * h), near = difference(trainer, moved, sequences, direction, h);
    HessianProduct best = product_of(near, far, h, trainer.pool());
    // Every halving takes two gradients, since near becomes far; 2^-12 of the first step is where f32 leaves nothing.
    for (int halvings = 0; halvings < 12 && best.relative_error > good_enough; ++halvings) {
        far = std::move(near), h /= 2;
        near = difference(trainer, moved, sequences, direction, h);
        HessianProduct finer = product_of(near, far, h, trainer.pool());
        if (finer.relative_error > best.relative_error) break;
        best = std::move(finer);
    }
    return best;
}

HessianDiagonal hessian_diagonal(Trainer& trainer, const Sequences& sequences, int draws, std::uint64_t seed) {
    if (draws < 1) fail(ErrorKind::usage, "{} draws estimate nothing; it takes one or more", draws);
    const std::size_t tensors = trainer.trained().size();
    HessianDiagonal result{.diagonal = like(trainer.trained()), .trace = std::vector<double>(tensors), .trace_error = std::vector<double>(tensors)};
    const std::vector<core::Tensor> signs = like(trainer.trained());
    std::mt19937_64 random(seed);
    for (int d = 0; d < draws; ++d) {
        for (const core::Tensor& sign : signs)
            for (float& v : numbers(sign)) v = (random() & 1) != 0 ? 1.0f : -1.0f;
        const HessianProduct h = hessian_product(trainer, sequences, signs);
        result.relative_error = std::max(result.relative_error, h.relative_error);
        for (std::size_t i = 0; i < tensors; ++i) {
            double trace = 0;
            for (std::size_t k = 0; k < numbers(signs[i]).size(); ++k) {
                const float value = numbers(signs[i])[k] * numbers(h.product[i])[k];
                numbers(result.diagonal[i])[k] += value / static_cast<float>(draws);
                trace += static_cast<double>(value);
            }
            result.trace[i] += trace, result.trace_error[i] += trace * trace;
        }
    }
    for (std::size_t i = 0; i < tensors; ++i) {
        const double mean = result.trace[i] / draws, square = result.trace_error[i] / draws;
        result.trace[i] = mean;
        result.trace_error[i] = draws > 1 ? std::sqrt(std::max(0.0, square - mean * mean) / (draws - 1)) : 0;
    }
    return result;
}

}  // namespace tailor::train
