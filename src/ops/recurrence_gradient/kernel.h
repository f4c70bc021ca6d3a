// What the definition and the kernel of recurrence_gradient share: its inputs taken apart, and where results go.
#pragma once
#include "ops/recurrence.h"

namespace tailor::ops::recurrence_gradient_kernels {

/// Inputs: 0 q, 1 k, 2 v, 3 gradient, then the optional ones: 4 decay, 5 rate, 6 value scale, 7 a, 8 b, 9 bonus, 10 skip.
inline constexpr std::size_t first_optional = 4, most_inputs = 11;

/// The numbers of a row for a head.
inline const float* numbers_at(const HeadRows& x, std::int64_t row, std::int64_t head) { return x.data + row * x.row_stride + head / x.share % x.groups * x.dim; }

/// The inputs of a call per row and head, and where in the output the gradient of each begins.
struct Operands {
    std::int64_t heads, key_dim, value_dim;
    HeadRows q, k, v, gradient, decay, value_scale, a, b;
    const float *rate = nullptr, *bonus = nullptr, *skip = nullptr;
    bool delta;
    std::int64_t places[most_inputs] = {};  ///< of inputs that are there; q at 0, k behind it

    explicit Operands(const Call& call)
        : heads(call.attributes.integer("heads")), key_dim(call.attributes.integer("key_dim")), value_dim(call.inputs[2].shape.width() / heads),
          delta(call.attributes.integer("delta", 0) != 0) {
        const bool tiled = call.attributes.integer("tiled", 0) != 0;
        q = head_rows(call.inputs[0], heads, key_dim, tiled), k = head_rows(call.inputs[1], heads, key_dim, tiled);
        v = head_rows(call.inputs[2], heads, value_dim), gradient = head_rows(call.inputs[3], heads, value_dim);
        if (const core::Tensor* const tensor = call.input(4)) {
            decay = head_rows(*tensor, heads, tensor->shape.width() / heads);
            if (tensor->shape.rank() == 1) decay.row_stride = 0;
        }
        if (call.input(6)) value_scale = head_rows(*call.input(6), heads, 1);
        if (call.input(7)) a = head_rows(*call.input(7), heads, key_dim), b = head_rows(*call.input(8), heads, key_dim);
        if (call.input(5)) rate = call.input(5)->row_f32(0);
        if (call.input(9)) bonus = call.input(9)->row_f32(0);
        if (call.input(10)) skip = call.input(10)->row_f32(0);
        const std::int64_t rows = call.inputs[0].shape.rows();
        places[1] = rows * heads * key_dim, places[2] = 2 * places[1];
        std::int64_t next = places[2] + rows * heads * value_dim;
        for (std::size_t i = first_optional; i < most_inputs; ++i)
            if (call.input(i)) places[i] = next, next += call.input(i)->shape.elements();
    }
};

extern const cpu::PerIsa<Run> gradient_kernel;
/// Bytes of Call::scratch that it needs.
std::int64_t gradient_scratch_bytes(std::int64_t rows, std::int64_t heads, std::int64_t key_dim, std::int64_t value_dim);

}  // namespace tailor::ops::recurrence_gradient_kernels
