// Shapes and tensors.
//
// A Tensor is bytes, a number format, a shape and strides. Dimensions are written outermost first: a weight matrix is
// [n, k], activations are [tokens, width]. The last dimension is always packed (it may be made of quantized blocks);
// the others have strides in bytes, so a column range of a matrix is a view. A tensor owns its bytes when `owner` holds
// them, otherwise it is a view whose source must outlive it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>

namespace tailor::formats {
struct Format;
}

namespace tailor::core {

/// Up to four dimensions, outermost first. Missing outer dimensions count as 1.
class Shape {
  public:
    static constexpr int max_rank = 4;
    Shape() = default;
    Shape(std::initializer_list<std::int64_t> dimensions);

    int rank() const { return rank_; }
    std::int64_t operator[](int i) const { return dimensions_[static_cast<std::size_t>(i)]; }
    std::int64_t& operator[](int i) { return dimensions_[static_cast<std::size_t>(i)]; }
    void append(std::int64_t dimension);

    /// Product of all dimensions.
    std::int64_t elements() const;
    /// The packed dimension, the last one; 1 for a scalar.
    std::int64_t width() const { return rank_ ? dimensions_[static_cast<std::size_t>(rank_ - 1)] : 1; }
    /// Number of packed rows: the product of all dimensions but the last.
    std::int64_t rows() const { return rank_ ? elements() / (width() ? width() : 1) : 1; }
    /// "[512, 2048]"
    std::string text() const;
    bool operator==(const Shape&) const = default;

  private:
    int rank_ = 0;
    std::array<std::int64_t, max_rank> dimensions_{};
};

/// How the rows of a matrix lie in memory.
enum class Layout : std::uint8_t {
    rows,    ///< one after the other, each in blocks of its format
    panels,  ///< sixteen at a time, rearranged for kernels: formats/panels.h
};

struct Tensor {
    const formats::Format* format = nullptr;
    Shape shape;
    std::byte* data = nullptr;
    std::int64_t row_stride_bytes = 0;  ///< distance between packed rows (all outer dimensions flattened); panels have none
    std::shared_ptr<const void> owner;
    Layout layout = Layout::rows;

    /// Only for Layout::rows.
    std::byte* row(std::int64_t i) const { return data + i * row_stride_bytes; }
    /// Row `i` as 32-bit floats; only for tensors whose format is f32.
    float* row_f32(std::int64_t i) const { return reinterpret_cast<float*>(row(i)); }
    /// Row `i` as 32-bit integers; only for tensors whose format is i32.
    std::int32_t* row_i32(std::int64_t i) const { return reinterpret_cast<std::int32_t*>(row(i)); }
    explicit operator bool() const { return data != nullptr; }
};

}  // namespace tailor::core
