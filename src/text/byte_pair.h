// Byte-pair encoding with a list of merges, as introduced with GPT-2.
//
// Text is cut into words by the expressions of a pre-tokenizer; every word is then merged for itself. At the byte level
// (Radford et al. 2019) a word begins as single bytes, so any text at all can be written. Vocabularies are stored as
// text, therefore each byte goes by a printable character: the 188 printable ones of Latin-1 by themselves, the others
// by U+0100, U+0101 and so on; a space is "Ġ". A pre-tokenizer may instead ask for the SentencePiece way: spaces become
// U+2581, words begin as characters, and characters without a token are spelled in byte tokens "<0x0A>".
//
// Merges are held by token ids: (left, right) -> rank and result, in one open-addressing table of 16-byte slots, since
// looking up neighbours is most of the work.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "text/merge.h"
#include "text/regex.h"
#include "text/vocabulary.h"

namespace tailor::text {

/// The pre-tokenizer of this name (a value of tokenizer.ggml.pre). Throws Error(unsupported)
/// listing the known names: another one would give other tokens, and a model that answers worse without any message.
const PreTokenizer& find_pre_tokenizer(std::string_view name);

class BytePairTokenizer : public VocabularyTokenizer {
  public:
    /// Both outlive the tokenizer. Throws Error(format) naming the key that is missing or malformed. Bytes without a token
    /// are dropped in encoding; vocabularies lack at most those that never occur in UTF-8.
    BytePairTokenizer(const files::Metadata& metadata, const PreTokenizer& pre_tokenizer);

  protected:
    void encode_plain(std::string_view text, bool starts, std::vector<TokenId>& ids) const override;
    std::string plain_piece(std::string_view token) const override;

  private:
    struct MergeSlot {
        TokenId left = -1, right = -1;
        std::int32_t rank = 0;
        TokenId result = -1;
    };
    void read_merges(const files::Metadata& metadata);
    std::size_t slot(TokenId left, TokenId right) const;
    void encode_word(std::string_view word, Merger& merger, std::string& spelled, std::vector<TokenId>& ids) const;

    const PreTokenizer& pre_tokenizer_;
    std::vector<Regex> expressions_;
    std::vector<MergeSlot> merges_;            ///< a power of two, at most half full
    std::array<TokenId, 256> single_bytes_{};  ///< byte level: the token of each byte, or -1
};

}  // namespace tailor::text
