// Decoding, or finding what was rounded; see distillation_student.h.
#include "train/distillation_student.h"

#include <vector>

#include "formats/registry.h"

namespace tailor::train {

static core::Tensor in_f32(const core::Tensor& tensor) {
    core::Tensor copy = formats::make_tensor(formats::get("f32"), tensor.shape);
    for (std::int64_t r = 0; r < tensor.shape.rows(); ++r) tensor.format->decode.functions[0](tensor.row(r), copy.row_f32(r), tensor.shape.width());
    return copy;
}

/// Whether `stored` is what rounding `whole` gives, by this or another rounding: it is hardly farther from it than its format's own encoder.
static bool is_rounding_of(const core::Tensor& whole, const core::Tensor& stored) {
    const std::int64_t width = whole.shape.width();
    std::vector<float> given(static_cast<std::size_t>(width)), best(given);
    std::vector<std::byte> blocks(static_cast<std::size_t>(stored.format->row_bytes(width)));
    double error = 0, least = 0;
    for (std::int64_t r = 0; r < whole.shape.rows(); ++r) {
        const float* const row = whole.row_f32(r);
        stored.format->encode(row, nullptr, blocks.data(), width);
        stored.format->decode.functions[0](blocks.data(), best.data(), width);
        stored.format->decode.functions[0](stored.row(r), given.data(), width);
        for (std::int64_t i = 0; i < width; ++i) {
            const double a = static_cast<double>(row[i] - given[static_cast<std::size_t>(i)]), b = static_cast<double>(row[i] - best[static_cast<std::size_t>(i)]);
            error += a * a, least += b * b;
        }
    }
    // Calibrated rounding trades some of this error for less where it matters.
    return error < 1.5 * least;
}

StudentFile::StudentFile(const files::File& student, const files::File& teacher, const std::function<bool(const files::TensorInfo&)>& decoded) : student_(student) {
    path_ = student.path();
    metadata_ = student.metadata();
    tensors_ = student.tensors();
    const bool trained_since = !student.metadata().text(distilled_from_key, "").empty();
    for (files::TensorInfo& info : tensors_) {
        if (!info.format || !decoded(info)) continue;
        const core::Tensor stored = student.read(info);
        core::Tensor weight = in_f32(stored);
        const files::TensorInfo* const other = teacher.find(info.name);
        if (!trained_since && info.format->values_per_block > 1 && other && other->format && other->format->values_per_block == 1 && other->format->weights && other->shape == info.shape)
            if (const core::Tensor whole = in_f32(teacher.read(*other)); is_rounding_of(whole, stored)) weight = whole, ++taken_;
        info.format = weight.format, info.type_name = "F32", info.bytes = static_cast<std::uint64_t>(4 * weight.shape.elements());
        decoded_[info.name] = weight;
    }
}

core::Tensor StudentFile::read(const files::TensorInfo& tensor) const {
    const auto it = decoded_.find(tensor.name);
    return it != decoded_.end() ? it->second : student_.read(*student_.find(tensor.name));
}

}  // namespace tailor::train
