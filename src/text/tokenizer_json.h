// A tokenizer read from the file tokenizer.json that models in safetensors come with (Hugging Face's format).
//
// The file describes a pipeline: added tokens are found, the rest is normalized, cut into words, each word written in tokens by
// a model, and special tokens put around the whole. Every stage is a JSON object with a "type"; src/text/tokenizer_json/
// has one file per stage. Tokens are the same as the library "tokenizers" gives, with two differences: special tokens in a
// text are found only on request, and decoding gives back bytes that are not UTF-8 as they are. What concerns batches of
// texts ("truncation", "padding") is ignored, as is the "dropout" of training.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace tailor::text {

/// The contents of files beside tokenizer.json, which say what it cannot; empty: there is none.
struct TokenizerCompanions {
    std::string_view tokenizer_config;   ///< tokenizer_config.json: the names of BOS and EOS
    std::string_view generation_config;  ///< generation_config.json: the ids that end a generation
};

/// The tokenizer that the text of a tokenizer.json describes. Bytes that are not UTF-8 are encoded as U+FFFD. Messages begin with
/// `source`. Throws Error(format) or, naming the element that is not known, Error(unsupported).
std::unique_ptr<Tokenizer> make_tokenizer_json(std::string_view json, std::string_view source, const TokenizerCompanions& companions = {});

/// The tokenizer of the file at `path`, with the companions that lie beside it. Throws as make_tokenizer_json(), and Error(io).
std::unique_ptr<Tokenizer> read_tokenizer_json(const std::string& path);

}  // namespace tailor::text
