// A Hugging Face folder as a model file: read with the names and metadata of GGUF, and written from a model file.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "files/file.h"

namespace tailor::files::hugging_face {

/// The keys of a GGUF file that config.json and the tokenizer files have no place for, as typed_json() writes them.
inline constexpr std::string_view typed_metadata_file = "gguf_metadata.json";
/// The text of tokenizer.json, whole, and of the files beside it that say what it cannot.
inline constexpr std::string_view tokenizer_key = "tokenizer.huggingface.json";
inline constexpr std::string_view tokenizer_config_key = "tokenizer.huggingface.tokenizer_config";
inline constexpr std::string_view generation_config_key = "tokenizer.huggingface.generation_config";

/// True if the folder has a config.json: then it is meant to be opened as one.
bool looks_like_folder(const std::string& path);
/// Opens a folder of a known architecture; see mapping.h. Throws Error naming the file in it and the tensor or key.
std::unique_ptr<File> open_folder(const std::string& path);

struct FolderOptions {
    /// What tensors become that safetensors cannot hold; one of f32, f16 and bf16.
    const formats::Format* instead_of_blocks = nullptr;
    /// If given, what every matrix becomes.
    const formats::Format* matrices = nullptr;
};
/// Called after each tensor.
using FolderProgress = std::function<void(std::int64_t values_done, std::int64_t values_total)>;
/// Writes config.json, model.safetensors and what the file has of a tokenizer beside `path`, then renames. One tensor is in
/// memory at a time. Throws Error(usage) if `path` exists and is no empty folder; returns the bytes of all files.
std::uint64_t write_folder(const File& source, const std::string& path, const FolderOptions& options, const FolderProgress& progress = {});

}  // namespace tailor::files::hugging_face
