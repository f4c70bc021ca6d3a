// The windows of neighbourhood attention along one axis; see neighborhood_attention.cpp for the equations.
#pragma once
#include <algorithm>
#include <cstdint>

#include "ops/op.h"

namespace tailor::ops {

/// The keys of one token along an axis: `count` tokens, `step` apart, from `first` on.
struct Window {
    std::int64_t first, step, count;
};

struct WindowAxis {
    std::int64_t size, window, dilation, stride;
    bool causal;

    /// Least size of the axis so that every window is whole.
    std::int64_t least_size() const { return causal ? 1 : window * dilation; }

    Window of(std::int64_t token) const noexcept {
        const std::int64_t phase = token % dilation, j = token / dilation, length = (size - phase + dilation - 1) / dilation;
        if (causal) {
            const std::int64_t leader = std::min(j / stride * stride + stride - 1, length - 1), start = std::min(std::max<std::int64_t>(leader - window + 1, 0), j);
            return {start * dilation + phase, dilation, j + 1 - start};
        }
        const std::int64_t leader = std::min(j / stride * stride + stride / 2, length - 1);
        const std::int64_t start = std::min(std::max<std::int64_t>(leader - window / 2, 0), length - window);
        return {start * dilation + phase, dilation, window};
    }
};

/// Both axes of a picture, from a node's attributes; a line has one row.
struct Neighborhood {
    WindowAxis vertical, horizontal;

    explicit Neighborhood(const Attributes& a)
        : vertical{a.integer("height", 1), a.integer("window_height", 1), a.integer("dilation_height", 1), a.integer("stride_height", 1), false},
          horizontal{a.integer("width"), a.integer("window_width"), a.integer("dilation_width", 1), a.integer("stride_width", 1), a.integer("causal", 0) != 0} {}
    std::int64_t tokens() const { return vertical.size * horizontal.size; }
};

}  // namespace tailor::ops
