// What the gradients of elementwise operators share: y = gradient * f'(x), with an optional second factor for gates.
//
// An operator of this kind writes f' twice, in vectors and in double, and nothing else; the kernel is slope_kernel.h's.
#pragma once
#include "ops/elementwise.h"

namespace tailor::ops {

/// Rows of x, gradient and, for a gate, the other factor; all of one shape.
template <double (*slope)(double x, const Attributes&)>
void slope_reference(const Call& call) {
    for (std::int64_t r = 0; r < call.output.shape.rows(); ++r) {
        std::vector<double> y = row_as_double(call.inputs[0], r);
        const std::vector<double> gradient = row_as_double(call.inputs[1], r);
        const std::vector<double> factor = call.input(2) ? row_as_double(*call.input(2), r) : std::vector<double>(y.size(), 1);
        for (std::size_t i = 0; i < y.size(); ++i) y[i] = gradient[i] * slope(y[i], call.attributes) * factor[i];
        store_row(call.output, r, y);
    }
}

/// With and without the second factor.
inline std::vector<Case> slope_cases() {
    std::vector<Case> list = elementwise_cases<2>();
    for (const Case& c : elementwise_cases<3>()) list.push_back(c);
    return list;
}

/// Why these operators have no gradient of their own.
inline constexpr std::string_view no_second_derivative = "it is a derivative, and second derivatives of this function are not built";

}  // namespace tailor::ops
