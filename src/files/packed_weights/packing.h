// Packed weights: matrices that a quantizer left as codes and scales in tensors of their own, decoded when they are read.
//
// A packing is one file src/files/packed_weights/<name>.cpp that defines `extern const Packing <name>` in namespace
// tailor::files::packed_weights::entries. Its name is the "quant_method" of config.json's "quantization_config". Everything
// it needs stands in the codes, the scales and those settings, so a weight can be decoded alone, a few rows at a time.
#pragma once
#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "files/safetensors/layout.h"

namespace tailor::files::packed_weights {

/// A stored tensor and its data.
struct Part {
    const safetensors::StoredTensor* tensor = nullptr;
    const std::byte* data = nullptr;
    std::string path;  ///< of its file, for messages
};

/// Finds a stored tensor of the checkpoint; a Part without tensor when there is none.
using FindPart = std::function<Part(const std::string& name)>;
/// Takes `rows` rows of the matrix, from row `first` on, one after the other.
using RowSink = std::function<void(std::int64_t first, std::int64_t rows, const float* values)>;

/// A weight [rows, columns] that can be decoded.
struct Weight {
    std::string name;                          ///< "model.layers.0.mlp.up_proj.weight"
    core::Shape shape;
    const formats::Format* format = nullptr;   ///< what decoded values are kept as: see format_of_scales()
    std::vector<std::string> parts;            ///< stored tensors it is made of
    std::function<void(const RowSink&)> decode;  ///< hands over all rows in order
};

struct Packing {
    std::string_view name;
    std::string_view doc;
    /// The weight whose main part is `main`, if it is one. Throws Error(format) or Error(unsupported) naming file and tensor.
    std::optional<Weight> (*unpack)(const Part& main, const FindPart& find, const core::Json& settings);
    /// Ends of names of tensors that say how to quantize activations; they are no weights.
    std::span<const std::string_view> unused;
};

// ---- For the packings ----

/// f16 or bf16 as the scales are: the product of a code and a scale is then rounded as the model that was measured when it
/// was published rounded it. f16 for f32 scales: its 11 bits are more than any code here has.
const formats::Format* format_of_scales(const Part& scales);
/// Throws Error(format) naming the tensor unless its type and dimensions are these (-1: any).
void require_part(const Part& part, std::string_view type, const std::vector<std::int64_t>& dimensions);
/// All numbers of a part as f32; Error naming it if its type has none.
std::vector<float> numbers(const Part& part);
/// All numbers of an integer part; Error(format) naming it unless they lie in [least, most].
std::vector<std::int32_t> integers(const Part& part, std::int32_t least, std::int32_t most);
/// The whole number `key` of `settings` or of its alias; `fallback` if neither is there.
std::int64_t setting(const core::Json& settings, std::string_view key, std::string_view alias, std::int64_t fallback);
/// `name` less `suffix`, which it ends with, and with `replacement` instead.
std::string renamed(std::string_view name, std::string_view suffix, std::string_view replacement);

/// Calls fill(first, rows, values) for a few rows at a time and hands them to `sink`.
template <class Fill>
void decode_rows(const core::Shape& shape, const RowSink& sink, const Fill& fill) {
    // Sixty-four rows: a cache line of 8-bit codes that lie column by column, four of 32-bit words.
    constexpr std::int64_t step = 64;
    std::vector<float> values(static_cast<std::size_t>(std::min(step, shape[0]) * shape[1]));
    for (std::int64_t first = 0; first < shape[0]; first += step) {
        const std::int64_t rows = std::min(step, shape[0] - first);
        fill(first, rows, values.data());
        sink(first, rows, values.data());
    }
}

/// Unaligned 32-bit words of the data of a part.
class Words {
  public:
    explicit Words(const std::byte* data) : data_(data) {}
    std::uint32_t operator[](std::int64_t i) const {
        std::uint32_t word;
        __builtin_memcpy(&word, data_ + 4 * i, sizeof word);
        return word;
    }

  private:
    const std::byte* data_;
};

/// A matrix of codes times one scale per block of rows x columns, less a zero point per block if there is one.
struct ScaledCodes {
    Part codes, scales, zero_points;                 ///< zero_points may be none
    std::int64_t block_rows = 1, block_columns = 1;  ///< the last block of a row or column may be cut off
};
/// The weight `name` = (codes - zero point) * scale.
Weight scaled_weight(const std::string& name, const ScaledCodes& parts);

}  // namespace tailor::files::packed_weights
