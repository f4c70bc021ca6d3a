// The vocabulary of a tokenizer.json under the keys that GGUF files use, for programs that read only those.
//
// GGUF names a tokenizer's behaviour, tokenizer.json describes it. Two kinds have a place in both: byte-level BPE, whose way of
// cutting words GGUF gives by a name, and SentencePiece BPE, whose merges GGUF gives as a score per token. Which name fits is
// found by trying: a vocabulary counts only if it gives the same tokens as the original for a set of texts that tell the
// known ways apart.
#pragma once
#include <string>
#include <string_view>

#include "files/metadata.h"

namespace tailor::text {

/// Keys tokenizer.ggml.* for the tokenizer that `metadata` holds under tokenizer.huggingface.json, to be set in place of what it
/// has of them. Throws Error(unsupported) saying why if GGUF cannot express it, Error(format) if the JSON is malformed.
files::Metadata gguf_vocabulary(const files::Metadata& metadata);
/// Whether that tokenizer takes a letter and its mark for one character (NFC), for which GGUF has no key: readers of GGUF alone give text
/// that is not composed other tokens.
bool composes_text(const files::Metadata& metadata);

}  // namespace tailor::text
