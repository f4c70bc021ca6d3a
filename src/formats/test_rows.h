// Random rows and error measures for the tests of formats. The generator and the transforms are our own, so that a row is the
// same under every standard library.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

namespace tailor::formats::test {

/// splitmix64: a counter through a mixing function.
class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t bits() {
        std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        return z ^ z >> 31;
    }
    /// Uniform in (0, 1).
    double uniform() { return (static_cast<double>(bits() >> 11) + 0.5) * 0x1p-53; }
    double normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform()); }
    double exponential() { return -std::log(uniform()); }

  private:
    std::uint64_t state_;
};

enum class Shape { gaussian, laplace, student, lognormal };
inline constexpr Shape shapes[] = {Shape::gaussian, Shape::laplace, Shape::student, Shape::lognormal};

/// Independent values; student has 3 degrees of freedom, so its tails fall as x^-4; lognormal is all positive.
inline std::vector<float> random_row(Shape shape, std::size_t count, std::uint64_t seed, float scale = 1) {
    Random random(seed);
    std::vector<float> row(count);
    for (float& value : row) {
        double x = random.normal();
        if (shape == Shape::laplace) x = random.exponential() * (random.bits() & 1 ? 1 : -1);
        if (shape == Shape::lognormal) x = std::exp(x);
        if (shape == Shape::student) {
            const double a = random.normal(), b = random.normal(), c = random.normal();
            x /= std::sqrt((a * a + b * b + c * c) / 3);
        }
        value = static_cast<float>(x * scale);
    }
    return row;
}

/// Importances of which some are large and some next to zero.
inline std::vector<float> random_importance(std::size_t count, std::uint64_t seed) {
    Random random(seed);
    std::vector<float> row(count);
    for (float& value : row) value = static_cast<float>(std::pow(random.exponential(), 2));
    return row;
}

/// Root of sum w (x - y)^2 / sum w x^2; w null means 1.
inline double relative_error(const std::vector<float>& x, const std::vector<float>& y, const float* w = nullptr) {
    double error = 0, energy = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double weight = w ? w[i] : 1, miss = double{x[i]} - y[i];
        error += weight * miss * miss;
        energy += weight * x[i] * x[i];
    }
    return std::sqrt(error / energy);
}

}  // namespace tailor::formats::test
