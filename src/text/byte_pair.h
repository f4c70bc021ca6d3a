// Byte-pair encoding with a list of merges, as introduced with GPT-2.
//
// Text is cut into words by the expressions of a pre-tokenizer; every word is then merged for itself. At the byte level
// (Radford et al. 2019) a word begins as single bytes, so any text at all can be written; see byte_alphabet.h. A
// pre-tokenizer may instead ask for the SentencePiece way: spaces become U+2581, words begin as characters, and
// characters without a token are spelled in byte tokens "<0x0A>".
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "text/merge_table.h"
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
    void read_merges(const files::Metadata& metadata);
    void encode_word(std::string_view word, Merger& merger, std::string& spelled, std::vector<TokenId>& ids) const;

    const PreTokenizer& pre_tokenizer_;
    std::vector<Regex> expressions_;
    MergeTable merges_;
    std::array<TokenId, 256> single_bytes_{};  ///< byte level: the token of each byte, or -1
};

}  // namespace tailor::text
