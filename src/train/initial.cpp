// The table of first values; see initial.h.
#include "train/initial.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <span>

#include "core/hash.h"

namespace tailor::train {

namespace {

struct Weight {
    float* numbers;
    std::int64_t rows, width;
    std::int64_t layers;
    std::mt19937_64& random;

    std::int64_t count() const { return rows * width; }
    double uniform() const { return (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53; }
    void fill(double value) const { std::fill_n(numbers, count(), static_cast<float>(value)); }
    /// Between -reach and reach.
    void spread(double reach) const {
        for (std::int64_t i = 0; i < count(); ++i) numbers[i] = static_cast<float>(reach * (2 * uniform() - 1));
    }
    // Box and Muller, since the library's normal numbers may differ from one to the next.
    void normal(double deviation) const {
        for (std::int64_t i = 0; i < count(); ++i) {
            const double radius = std::sqrt(-2 * std::log(uniform())), angle = 2 * M_PI * uniform();
            numbers[i] = static_cast<float>(deviation * radius * std::cos(angle));
        }
    }
};

constexpr double usual_deviation = 0.02;

void ones(const Weight& w) { w.fill(1); }
void zeros(const Weight& w) { w.fill(0); }
void to_residual(const Weight& w) { w.normal(usual_deviation / std::sqrt(2 * static_cast<double>(w.layers))); }

// Rows of -1, -2, ... -states: the real part of HiPPO's matrix (Gu et al., "On the Parameterization and Initialization of Diagonal State
// Space Models", 2022, section 4.3). One number per head: between -1 and -16 (Dao and Gu, "Transformers are SSMs", 2024, section 9).
void decays(const Weight& w) {
    const bool per_head = w.rows == 1 || w.width == 1;
    for (std::int64_t i = 0; i < w.count(); ++i) w.numbers[i] = static_cast<float>(per_head ? -(1 + 15 * w.uniform()) : -static_cast<double>(i % w.width + 1));
}

// softplus(bias) spread evenly in the logarithm between 0.001 and 0.1: Gu and Dao, "Mamba", 2023, section 3.6.
void steps(const Weight& w) {
    for (std::int64_t i = 0; i < w.count(); ++i) {
        const double step = std::exp(std::log(0.001) + w.uniform() * std::log(0.1 / 0.001));
        w.numbers[i] = static_cast<float>(step + std::log(-std::expm1(-step)));
    }
}

void by_width(const Weight& w) { w.spread(1 / std::sqrt(static_cast<double>(w.width))); }

// A forget gate that begins open: Jozefowicz et al., "An Empirical Exploration of Recurrent Network Architectures", 2015, section 4.
// Gates stand in the order input, forget, candidate, output.
void open_to_remember(const Weight& w) {
    w.fill(0);
    std::fill_n(w.numbers + w.count() / 4, w.count() / 4, 1.0f);
}

void each_group(const Weight& w, std::span<const double> coefficients) {
    for (std::int64_t i = 0; i < w.count(); ++i) w.numbers[i] = static_cast<float>(coefficients[static_cast<std::size_t>(i) % coefficients.size()]);
}

void identity(const Weight& w) {
    constexpr double above[] = {0, 1, 0, 0, 0, 0};
    each_group(w, above);
}

// SiLU by least squares on [-6, 6], within 2.4e-4 there: x / 2 (1 + b_2 x^2 + b_4 x^4) + a_2 x^2 + a_4 x^4 over 1 + b_2 x^2 + b_4 x^4, so
// that the odd part is exact.
constexpr double b2 = 0.10446749643972982, b4 = 0.00045348448922813737;
void silu_above(const Weight& w) {
    constexpr double above[] = {0, 0.5, 0.2498374815, b2 / 2, 0.0053787856, b4 / 2};
    each_group(w, above);
}
void silu_below(const Weight& w) {
    constexpr double below[] = {0, b2, 0, b4};
    each_group(w, below);
}

struct Rule {
    std::string_view ending;
    void (*fill)(const Weight&);
};

// The first line whose ending fits counts.
constexpr Rule rules[] = {
    {"norm.weight", &ones},
    {"norm_2.weight", &ones},
    {"_ln.weight", &ones},
    {"ssm_dt.bias", &steps},
    {"ssm_dt.weight", &by_width},  // dt is of rank `width`: Mamba, section 3.6
    {"ssm_a", &decays},
    {"ssm_d", &ones},
    {"conv1d.weight", &by_width},  // a filter's taps: LeCun et al., "Efficient BackProp", 1998, equation 16
    {"conv.weight", &by_width},
    {"lstm_in.bias", &open_to_remember},
    {"lstm_recurrent.weight", &by_width},
    {"act_1.numerator", &identity},
    {"act_1.denominator", &zeros},
    {"act_2.numerator", &silu_above},
    {"act_2.denominator", &silu_below},
    {".bias", &zeros},
    {"attn_output.weight", &to_residual},
    {"ffn_down.weight", &to_residual},
    {"ffn_down_exps.weight", &to_residual},
    {"ssm_out.weight", &to_residual},
    {"time_mix_output.weight", &to_residual},
    {"channel_mix_value.weight", &to_residual},
};

}  // namespace

void initialize_weight(std::string_view name, const core::Tensor& weight, std::int64_t layers, std::uint64_t seed) {
    std::mt19937_64 random(seed ^ core::hash64(name));
    // Parts of a tensor are named "tensor[0]", "tensor[1]".
    const std::string_view whole = name.substr(0, name.find('['));
    const Weight w{weight.row_f32(0), weight.shape.rows(), weight.shape.width(), layers, random};
    const auto rule = std::find_if(std::begin(rules), std::end(rules), [&](const Rule& r) { return whole.ends_with(r.ending); });
    if (rule != std::end(rules)) return rule->fill(w);
    if (weight.shape.rank() >= 2 && weight.shape.rows() >= 2) w.normal(usual_deviation);
}

}  // namespace tailor::train
