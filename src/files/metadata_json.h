// Metadata as JSON text and back, value types included.
//
// Containers without typed keys of their own (safetensors) carry the keys of a GGUF file as one JSON object:
//
//     {"llama.block_count": ["u32", 8], "tokenizer.ggml.tokens": ["string", ["<s>", ...]], ...}
//
// What JSON cannot say is spelled: integers beyond 2^53 and NaN or infinity as strings, text that is not UTF-8 as
// {"hexadecimal": "ff20"}. Reading gives back equal values in the same order; of NaNs only that they are NaN.
#pragma once
#include <string_view>

#include "files/metadata.h"

namespace tailor::files {

core::Json typed_json(const Metadata& metadata);
/// The inverse, appended to `metadata`; text is owned by its values. Throws Error(format) naming `source` and the key.
void read_typed_json(const core::Json& json, std::string_view source, Metadata& metadata);

}  // namespace tailor::files
