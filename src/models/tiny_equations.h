// The few operations that papers' equations need, in double precision and one token at a time, for tests that hold families to them.
#pragma once
#include <functional>

#include "models/tiny_model.h"

namespace tailor::models::testing {

using Numbers = std::vector<double>;

inline Numbers values(const TinyModel& m, const std::string& name) {
    const core::Tensor t = m.at(name);
    return {t.row_f32(0), t.row_f32(0) + t.shape.elements()};
}

inline Numbers each(const Numbers& x, const std::function<double(double, std::size_t)>& f) {
    Numbers y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = f(x[i], i);
    return y;
}
inline Numbers operator+(const Numbers& x, const Numbers& y) { return each(x, [&](double v, std::size_t i) { return v + y[i % y.size()]; }); }
inline Numbers operator-(const Numbers& x, const Numbers& y) { return each(x, [&](double v, std::size_t i) { return v - y[i % y.size()]; }); }
inline Numbers operator*(const Numbers& x, const Numbers& y) { return each(x, [&](double v, std::size_t i) { return v * y[i % y.size()]; }); }
inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
inline Numbers sigmoids(const Numbers& x) { return each(x, [](double v, std::size_t) { return sigmoid(v); }); }
inline Numbers part(const Numbers& x, std::size_t begin, std::size_t count) { return {x.begin() + static_cast<std::ptrdiff_t>(begin), x.begin() + static_cast<std::ptrdiff_t>(begin + count)}; }

inline Numbers apply(const TinyModel& m, const std::string& name, const Numbers& x) {
    const core::Tensor w = m.at(name);
    Numbers y(static_cast<std::size_t>(w.shape.rows()));
    for (std::size_t r = 0; r < y.size(); ++r)
        for (std::size_t i = 0; i < x.size(); ++i) y[r] += static_cast<double>(w.row_f32(static_cast<std::int64_t>(r))[i]) * x[i];
    return y;
}

/// Each group of `width` values: mean taken off if `center`, then divided by the root of its mean square.
inline Numbers normalized(const Numbers& x, std::size_t width, double epsilon, bool center) {
    Numbers y = x;
    for (std::size_t g = 0; g < x.size(); g += width) {
        double mean = 0, square = 0;
        for (std::size_t i = g; center && i < g + width; ++i) mean += x[i] / static_cast<double>(width);
        for (std::size_t i = g; i < g + width; ++i) square += (x[i] - mean) * (x[i] - mean) / static_cast<double>(width);
        for (std::size_t i = g; i < g + width; ++i) y[i] = (x[i] - mean) / std::sqrt(square + epsilon);
    }
    return y;
}

inline Numbers layer_norm(const TinyModel& m, const std::string& name, const Numbers& x) {
    return normalized(x, x.size(), 1e-5, true) * values(m, name + ".weight") + values(m, name + ".bias");
}
inline Numbers rms_norm(const TinyModel& m, const std::string& name, const Numbers& x) { return normalized(x, x.size(), 1e-5, false) * values(m, name + ".weight"); }

inline Numbers embedding(const TinyModel& m, std::int64_t token) {
    const float* const row = m.at("token_embd.weight").row_f32(token);
    return {row, row + dim};
}

/// Logits of the tokens that logits_of() uses; `forward` is called for one after the other.
inline std::vector<float> one_by_one(const std::function<Numbers(std::int64_t token)>& forward) {
    std::vector<float> all;
    for (std::int64_t r = 0; r < rows; ++r)
        for (const double v : forward(r * 7 % vocabulary)) all.push_back(static_cast<float>(v));
    return all;
}

}  // namespace tailor::models::testing
