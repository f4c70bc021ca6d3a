// Gemma 4: ranked merges over characters. Spaces become U+2581 as in SentencePiece, but words are whole lines and merges
// have ranks as in GPT-2; see text/byte_pair.h.
//
// The model was trained with BOS in front of everything, and fails without; files that deny it were written by a
// converter that did not know, so BOS is added whatever they say.
#include "text/byte_pair.h"

namespace tailor::text::tokenizers::entries {

class Gemma4Tokenizer : public BytePairTokenizer {
  public:
    explicit Gemma4Tokenizer(const files::Metadata& metadata) : BytePairTokenizer(metadata, find_pre_tokenizer("gemma4")) {
        adds_bos_ = bos() >= 0;
    }
};

static std::unique_ptr<Tokenizer> make(const files::Metadata& metadata) { return std::make_unique<Gemma4Tokenizer>(metadata); }

extern const TokenizerKind gemma4 = {
    .name = "gemma4",
    .doc = "byte-pair encoding over the characters of a line with ranked merges, spaces as U+2581",
    .make = &make,
};

}  // namespace tailor::text::tokenizers::entries
