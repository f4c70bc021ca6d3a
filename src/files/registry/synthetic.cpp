// Weights from a counter; see synthetic.h.
//
// Value i of a tensor is a function of (seed of the tensor, i): SplitMix64's finalizer of seed + i * odd constant (Steele,
// Lea, Flood 2014), whose four 16-bit quarters are summed. The sum of four uniform numbers has mean 2 and variance 1/3
// and is close to normal up to 3.46 standard deviations, which is all that is needed here, at one hash per weight.
// Weights get standard deviation 1/sqrt(width), so that activations keep their size through the layers.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "files/synthetic.h"
#include "formats/registry.h"

namespace tailor::files {

namespace {

using core::ErrorKind;

constexpr SyntheticShape shapes[] = {
    // name        width layers heads kv head  ffn   vocab  context tied   rope base
    {"llama-tiny", 64, 2, 4, 2, 16, 192, 512, 256, false, 10000},
    {"llama-160m", 768, 12, 12, 12, 64, 3072, 32000, 2048, false, 10000},
    {"llama-1.1b", 2048, 22, 32, 4, 64, 5632, 32000, 2048, false, 10000},
    {"llama-3.2-1b", 2048, 16, 32, 8, 64, 8192, 128256, 131072, true, 500000},
    {"llama-7b", 4096, 32, 32, 32, 128, 11008, 32000, 4096, false, 10000},
};

// Searching the best scales of a quantized block costs up to microseconds, hours for a whole model. Speed does not depend
// on the values, so other formats than f32 get this many different rows, repeated: enough that no row equals a neighbour
// within the reach of any tile.
constexpr std::int64_t distinct_rows = 64;

std::uint64_t mix(std::uint64_t x) {
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
    x = (x ^ x >> 27) * 0x94D049BB133111EB;
    return x ^ x >> 31;
}

std::uint64_t seed_of(std::string_view shape, std::string_view tensor) {
    std::uint64_t seed = 0;
    for (const char c : shape) seed = mix(seed + static_cast<unsigned char>(c) + 1);
    for (const char c : tensor) seed = mix(seed + static_cast<unsigned char>(c) + 257);
    return seed;
}

/// `count` nearly normal values from `first` on in the stream of `seed`.
void generate(std::uint64_t seed, std::int64_t first, float mean, float deviation, float* values, std::int64_t count) {
    const float scale = deviation * std::sqrt(3.0f) / 65536.0f;
    constexpr float middle = 4 * 65535 / 2;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::uint64_t bits = mix(seed + static_cast<std::uint64_t>(first + i) * 0x9E3779B97F4A7C15);
        const auto sum =
            static_cast<std::int32_t>((bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48));
        values[i] = mean + (static_cast<float>(sum) - middle) * scale;
    }
}

class SyntheticFile : public File {
  public:
    SyntheticFile(const SyntheticShape& shape, const formats::Format& format) : shape_(shape) {
        path_ = core::format("synthetic {}", shape.name);
        if (!format.weights || !format.encode)
            core::fail(ErrorKind::unsupported, "{}: {} cannot hold made-up weights", path_, format.name);
        describe(format);
        add_tensors(format);
    }

    core::Tensor read(const TensorInfo& info) const override {
        core::Tensor tensor = formats::make_tensor(*info.format, info.shape);
        const std::int64_t width = info.shape.width(), rows = info.shape.rows();
        const std::uint64_t seed = seed_of(shape_.name, info.name);
        const bool norm = info.shape.rank() == 1;
        const float mean = norm ? 1.0f : 0.0f;
        const float deviation = norm ? 0.1f : 1 / std::sqrt(static_cast<float>(width));
        if (info.format == formats::find("f32")) {
            generate(seed, 0, mean, deviation, reinterpret_cast<float*>(tensor.data), rows * width);
            return tensor;
        }
        std::vector<float> row(static_cast<std::size_t>(width));
        for (std::int64_t r = 0; r < std::min(rows, distinct_rows); ++r) {
            generate(seed, r * width, mean, deviation, row.data(), width);
            info.format->encode(row.data(), nullptr, tensor.row(r), width);
        }
        for (std::int64_t r = distinct_rows; r < rows; ++r)
            std::memcpy(tensor.row(r), tensor.row(r % distinct_rows), static_cast<std::size_t>(tensor.row_stride_bytes));
        return tensor;
    }

    std::uint64_t bytes() const override { return bytes_; }

  private:
    void describe(const formats::Format& format) {
        metadata_.set_text("general.architecture", "llama");
        metadata_.set_text("general.name", path_);
        if (format.gguf_file_type >= 0) metadata_.set_integer("general.file_type", format.gguf_file_type);
        metadata_.set_integer("llama.block_count", shape_.layers);
        metadata_.set_integer("llama.context_length", shape_.context);
        metadata_.set_integer("llama.embedding_length", shape_.width);
        metadata_.set_integer("llama.feed_forward_length", shape_.ffn_width);
        metadata_.set_integer("llama.attention.head_count", shape_.heads);
        metadata_.set_integer("llama.attention.head_count_kv", shape_.kv_heads);
        metadata_.set_real("llama.attention.layer_norm_rms_epsilon", 1e-5f);
        metadata_.set_integer("llama.rope.dimension_count", shape_.head_width);
        metadata_.set_real("llama.rope.freq_base", shape_.rope_base);
        metadata_.set_integer("llama.vocab_size", shape_.vocabulary);
    }

    void add(std::string name, const formats::Format& format, core::Shape shape) {
        if (!format.holds(shape.width()))
            core::fail(ErrorKind::shape,
                       "{}: tensor '{}' has rows of {} values, but {} stores blocks of {}; choose another format", path_, name,
                       shape.width(), format.name, format.values_per_block);
        TensorInfo info;
        info.name = std::move(name);
        info.format = &format;
        info.type_name = format.name;
        info.shape = shape;
        info.offset = bytes_;
        info.bytes = static_cast<std::uint64_t>(formats::tensor_bytes(format, shape));
        bytes_ += info.bytes;
        tensors_.push_back(std::move(info));
    }

    void add_tensors(const formats::Format& format) {
        const formats::Format& exact = formats::get("f32");
        const std::int64_t width = shape_.width, queries = shape_.heads * shape_.head_width,
                           keys = shape_.kv_heads * shape_.head_width;
        add("token_embd.weight", format, {shape_.vocabulary, width});
        for (std::int64_t layer = 0; layer < shape_.layers; ++layer) {
            const std::string block = core::format("blk.{}.", layer);
            add(block + "attn_norm.weight", exact, {width});
            add(block + "attn_q.weight", format, {queries, width});
            add(block + "attn_k.weight", format, {keys, width});
            add(block + "attn_v.weight", format, {keys, width});
            add(block + "attn_output.weight", format, {width, queries});
            add(block + "ffn_norm.weight", exact, {width});
            add(block + "ffn_gate.weight", format, {shape_.ffn_width, width});
            add(block + "ffn_up.weight", format, {shape_.ffn_width, width});
            add(block + "ffn_down.weight", format, {width, shape_.ffn_width});
        }
        add("output_norm.weight", exact, {width});
        if (!shape_.tied) add("output.weight", format, {shape_.vocabulary, width});
    }

    const SyntheticShape& shape_;
    std::uint64_t bytes_ = 0;
};

}  // namespace

std::span<const SyntheticShape> synthetic_shapes() { return shapes; }

std::unique_ptr<File> make_synthetic(std::string_view name, const formats::Format& format) {
    std::vector<std::string> names;
    for (const SyntheticShape& shape : shapes) {
        if (shape.name == name) return std::make_unique<SyntheticFile>(shape, format);
        names.emplace_back(shape.name);
    }
    core::fail(ErrorKind::usage, "there is no synthetic model '{}'; there are {}", name, core::join(names, ", "));
}

}  // namespace tailor::files
