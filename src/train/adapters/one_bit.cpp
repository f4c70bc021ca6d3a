// One-bit adapters: each row of A and B is one magnitude and a sign per number.
//
//     A' = mean |A_i| sign(A_ij) in row i,   y = x W^T + (alpha / r) (x A'^T) B'^T
// Rows times signs with the mean magnitude as scale are the nearest such matrix (Rastegari et al., "XNOR-Net", 2016, section 3.1). The
// numbers behind the signs stay f32 while they are trained, and take the gradient of A' as theirs (straight-through: Bengio et al.,
// 2013). A rank of 128 then takes the bytes of a rank of 9 in f16 on disk, in q1_0, whose blocks of 128 with one magnitude hold exactly this.
#include <cmath>

#include "formats/registry.h"
#include "train/adapters/adapter_kind.h"

namespace tailor::train::adapters {

// The numbers plus what they lack to be one-bit, a step function that no gradient enters.
static graph::Value one_bit_form(graph::Graph& target, graph::Value numbers) { return target.add("add", {numbers, target.add("one_bit_residual", {numbers})}); }

static core::Tensor one_bit_written(const core::Tensor& numbers) {
    const core::Tensor result = formats::make_tensor(formats::get("f32"), numbers.shape);
    for (std::int64_t r = 0; r < numbers.shape.rows(); ++r) {
        const float* const from = numbers.row_f32(r);
        double total = 0;
        for (std::int64_t i = 0; i < numbers.shape.width(); ++i) total += std::fabs(static_cast<double>(from[i]));
        const auto magnitude = static_cast<float>(total / static_cast<double>(numbers.shape.width()));
        for (std::int64_t i = 0; i < numbers.shape.width(); ++i) result.row_f32(r)[i] = from[i] < 0 ? -magnitude : magnitude;
    }
    return result;
}

namespace entries {
extern const AdapterKind one_bit = {
    .name = "one-bit",
    .doc = "the same with a sign per number and a magnitude per row, for ranks of 128 and more",
    .rank = 128,
    .rate = 1e-3,
    .file_format = "q1_0",
    .form = &one_bit_form,
    .written = &one_bit_written,
};
}  // namespace entries
}  // namespace tailor::train::adapters
