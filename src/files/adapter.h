// Adapters: what was learned beside the frozen weights of a model, in a file of its own.
//
// For a weight W [outputs, inputs] an adapter holds A [rank, inputs] and B [outputs, rank], and the model then computes with
//
//     W + factor B A,    factor = alpha / rank
// (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021, section 4.1). Two forms of file hold the same: a GGUF file with
// general.type "adapter", adapter.type "lora", adapter.lora.alpha and the tensors <weight>.lora_a and <weight>.lora_b, as llama.cpp
// reads it; and a folder of PEFT's with adapter_config.json and adapter_model.safetensors under the names of Hugging Face, whose rows may
// lie in another order (hugging_face/step.h).
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "files/file.h"

namespace tailor::files {

struct Adapter {
    /// Beside one weight; both matrices may have any number format.
    struct Pair {
        std::string weight;  ///< "blk.0.attn_q.weight"
        core::Tensor a, b;

        std::int64_t rank() const { return a.shape.rows(); }
    };
    std::string path;  ///< for messages; empty: it was never in a file
    double alpha = 0;
    std::vector<Pair> pairs;
    std::shared_ptr<const void> memory;  ///< what views among the pairs point into

    /// nullptr when there is none.
    const Pair* find(std::string_view weight) const;
    double factor(const Pair& pair) const { return alpha / static_cast<double>(pair.rank()); }
};

inline constexpr std::string_view adapter_a = ".lora_a", adapter_b = ".lora_b";  ///< after the name of the weight

/// Reads either form; names become those of `base`, whose tensors must have the shapes that the pairs call for. Throws Error naming the
/// file and the tensor: io, format, or unsupported for a pair without a place in `base`.
Adapter read_adapter(const std::string& path, const File& base);
/// Writes GGUF to a path that ends in ".gguf", else a new folder in PEFT's form; `format` holds the matrices where they fit its blocks,
/// f16 elsewhere (always in a folder, unless it is f32 or bf16). Returns the size in bytes. Throws Error(unsupported) naming the weight that has no
/// single name in Hugging Face's convention.
std::uint64_t write_adapter(const std::string& path, const Adapter& adapter, const File& base, const formats::Format& format);

/// `base` with every weight that has a pair read as W + factor B A in f32, one at a time. Both must outlive it.
std::unique_ptr<File> merged(const File& base, const Adapter& adapter);

}  // namespace tailor::files
