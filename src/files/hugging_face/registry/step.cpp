// See step.h. Rows and scalars are moved as bytes, whatever they mean.
#include "files/hugging_face/step.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "formats/registry.h"

namespace tailor::files::hugging_face {

namespace {

/// Row r of the result is row source(r) of the tensor; `back` goes the other way.
core::Tensor move_rows(const core::Tensor& tensor, const std::function<std::int64_t(std::int64_t, std::int64_t)>& source, bool back) {
    core::Tensor result = formats::make_tensor(*tensor.format, tensor.shape);
    // A vector is moved by its numbers, as the matrix it belongs to is by its rows.
    const bool vector = tensor.shape.rank() == 1;
    const std::int64_t rows = vector ? tensor.shape.width() : tensor.shape.rows();
    const std::int64_t row_bytes = vector ? tensor.format->bytes_per_block : tensor.format->row_bytes(tensor.shape.width());
    const std::int64_t stride = vector ? row_bytes : tensor.row_stride_bytes;
    for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t from = back ? r : source(r, rows), to = back ? source(r, rows) : r;
        std::memcpy(result.data + to * row_bytes, tensor.data + from * stride, static_cast<std::size_t>(row_bytes));
    }
    return result;
}

core::Tensor transpose(const core::Tensor& tensor) {
    if (tensor.shape.rank() != 2) return tensor;
    const std::int64_t rows = tensor.shape[0], columns = tensor.shape[1];
    core::Tensor result = formats::make_tensor(*tensor.format, {columns, rows});
    const auto bytes = static_cast<std::size_t>(tensor.format->bytes_per_block);
    // Tiles of 32 x 32 numbers keep both sides in the cache.
    constexpr std::int64_t tile = 32;
    for (std::int64_t r0 = 0; r0 < rows; r0 += tile)
        for (std::int64_t c0 = 0; c0 < columns; c0 += tile)
            for (std::int64_t r = r0; r < std::min(rows, r0 + tile); ++r)
                for (std::int64_t c = c0; c < std::min(columns, c0 + tile); ++c)
                    std::memcpy(result.row(c) + r * static_cast<std::int64_t>(bytes), tensor.row(r) + c * static_cast<std::int64_t>(bytes), bytes);
    return result;
}

template <class Function>
core::Tensor map_values(const core::Tensor& tensor, const Function& function) {
    core::Tensor result = formats::make_tensor(formats::get("f32"), tensor.shape);
    for (std::int64_t r = 0; r < tensor.shape.rows(); ++r)
        for (std::int64_t c = 0; c < tensor.shape.width(); ++c) result.row_f32(r)[c] = function(tensor.row_f32(r)[c]);
    return result;
}

core::Tensor with_shape(const core::Tensor& tensor, const core::Shape& shape) {
    core::Tensor result = tensor;
    result.shape = shape;
    result.row_stride_bytes = tensor.format->row_bytes(shape.width());
    return result;
}

}  // namespace

Step same() { return {}; }

Step exact() { return {.name = "exact", .as_f32 = true}; }

Step rows_reordered(std::string_view name, std::int64_t multiple, std::function<std::int64_t(std::int64_t, std::int64_t)> source_row) {
    const auto checked = [multiple](const core::Shape& s) {
        const std::int64_t rows = s.rank() == 1 ? s.width() : s.rows();
        if (multiple < 1 || rows < multiple || rows % multiple != 0)
            core::fail(core::ErrorKind::format, "a tensor of shape {} has no rows for {} equal parts", s.text(), multiple);
        return s;
    };
    return {.name = name,
            .shape = checked,
            .shape_back = checked,
            .apply = [source_row](const core::Tensor& t) { return move_rows(t, source_row, false); },
            .undo = [source_row](const core::Tensor& t) { return move_rows(t, source_row, true); }};
}

Step neighbour_pairs(std::int64_t heads) {
    return rows_reordered("neighbour_pairs", 2 * heads, [heads](std::int64_t row, std::int64_t rows) {
        const std::int64_t width = rows / heads, head = row / width, within = row % width;
        return head * width + within % 2 * (width / 2) + within / 2;
    });
}

Step split_fused_heads(std::int64_t heads) {
    return rows_reordered("split_fused_heads", 3 * heads, [heads](std::int64_t row, std::int64_t rows) {
        const std::int64_t width = rows / (3 * heads), part = row / (heads * width), head = row / width % heads;
        return (head * 3 + part) * width + row % width;
    });
}

Step transposed() {
    const auto swap = [](const core::Shape& s) { return s.rank() == 2 ? core::Shape{s[1], s[0]} : s; };
    return {.name = "transposed", .shape = swap, .shape_back = swap, .apply = &transpose, .undo = &transpose};
}

Step plus_one() {
    return {.name = "plus_one",
            .as_f32 = true,
            .apply = [](const core::Tensor& t) { return map_values(t, [](float x) { return x + 1; }); },
            .undo = [](const core::Tensor& t) { return map_values(t, [](float x) { return x - 1; }); }};
}

Step negative_exponential() {
    return {.name = "negative_exponential",
            .as_f32 = true,
            .apply = [](const core::Tensor& t) { return map_values(t, [](float x) { return -std::exp(x); }); },
            .undo = [](const core::Tensor& t) { return map_values(t, [](float x) { return std::log(-x); }); }};
}

Step without_middle() {
    const auto drop = [](const core::Shape& s) { return s.rank() == 3 && s[1] == 1 ? core::Shape{s[0], s[2]} : s; };
    const auto insert = [](const core::Shape& s) { return s.rank() == 2 ? core::Shape{s[0], 1, s[1]} : s; };
    return {.name = "without_middle",
            .as_f32 = true,
            .shape = drop,
            .shape_back = insert,
            .apply = [drop](const core::Tensor& t) { return with_shape(t, drop(t.shape)); },
            .undo = [insert](const core::Tensor& t) { return with_shape(t, insert(t.shape)); }};
}

Step reshaped(core::Shape theirs, core::Shape ours) {
    const auto change = [](core::Shape from, core::Shape to) {
        return [from, to](const core::Shape& s) { return s == from ? to : s; };
    };
    const auto forward = change(theirs, ours), backward = change(ours, theirs);
    return {.name = "reshaped",
            .as_f32 = true,
            .shape = forward,
            .shape_back = backward,
            .apply = [forward](const core::Tensor& t) { return with_shape(t, forward(t.shape)); },
            .undo = [backward](const core::Tensor& t) { return with_shape(t, backward(t.shape)); }};
}

core::Tensor converted(const core::Tensor& tensor, const formats::Format& format) {
    if (tensor.format == &format) return tensor;
    if (!format.encode) core::fail(core::ErrorKind::unsupported, "tensors cannot be converted to {}", format.name);
    core::Tensor result = formats::make_tensor(format, tensor.shape);
    const std::int64_t width = tensor.shape.width();
    const formats::Decode decode = tensor.format->decode.at(cpu::active_isa());
    std::vector<float> row(static_cast<std::size_t>(width));
    for (std::int64_t r = 0; r < tensor.shape.rows(); ++r) {
        decode(tensor.row(r), row.data(), width);
        format.encode(row.data(), nullptr, result.row(r), width);
    }
    return result;
}

}  // namespace tailor::files::hugging_face
