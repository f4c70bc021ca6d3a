// What a Hugging Face folder says of its tokenizer, as metadata, and back.
//
// tokenizer.json is kept whole under "tokenizer.huggingface.json", the key that GGUF files use for it too, and so are the two
// files beside it; src/text makes a tokenizer of them. What other programs ask a GGUF file for is there under GGUF's own keys as
// well: which ids begin and end a text, and the chat template.
#pragma once
#include <string>

#include "core/json.h"
#include "files/metadata.h"

namespace tailor::files::hugging_face {

/// Adds keys tokenizer.* from tokenizer.json, tokenizer_config.json, generation_config.json, chat_template.jinja and config.json
/// of the folder, as far as they exist; keys that are there already stay. Throws Error(format) naming the file.
void read_tokenizer_files(const std::string& folder, const core::Json& config, Metadata& metadata);

/// Adds the ids of special tokens to a config.json, and writes tokenizer.json, tokenizer_config.json and
/// generation_config.json into the folder, as far as the metadata gives something to say. Returns their bytes.
std::uint64_t write_tokenizer_files(const std::string& folder, const Metadata& metadata, core::Json& config);

}  // namespace tailor::files::hugging_face
