// Byte-level BPE with merges (GPT-2, Llama 3, Qwen, Mistral's tekken and most models since); see text/byte_pair.h.
//
// tokenizer.ggml.pre says how text is cut into words. A file without the key was written before there was a choice and
// means "default"; a name that is not known is refused.
#include "text/byte_pair.h"

namespace tailor::text::tokenizers::entries {

static std::unique_ptr<Tokenizer> make(const files::Metadata& metadata) {
    return std::make_unique<BytePairTokenizer>(metadata, find_pre_tokenizer(metadata.text("tokenizer.ggml.pre", "default")));
}

extern const TokenizerKind gpt2 = {
    .name = "gpt2",
    .doc = "byte-pair encoding over bytes with ranked merges, after cutting text into words by the named pre-tokenizer",
    .make = &make,
};

}  // namespace tailor::text::tokenizers::entries
