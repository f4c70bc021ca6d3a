// Text to token ids and back.
//
// A kind of tokenizer is one file src/text/tokenizers/<name>.cpp that defines `extern const TokenizerKind <name>` in
// namespace tailor::text::tokenizers::entries; a pre-tokenizer (how text is cut into words before byte-level BPE) is one
// file src/text/pre_tokenizers/<name>.cpp. Both are found by the names that model files use.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/metadata.h"

namespace tailor::text {

using TokenId = std::int32_t;

struct EncodeOptions {
    bool add_special = true;     ///< add BOS/EOS as the model file asks
    bool parse_special = false;  ///< control tokens written out in the text ("<s>") become their ids
};

/// Safe to use from several threads at once.
class Tokenizer {
  public:
    virtual ~Tokenizer() = default;
    /// `text` need not be valid UTF-8.
    virtual std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const = 0;
    /// The bytes of one token as they appear in running text; control tokens give an empty string unless `special`.
    /// Throws Error(usage) if the vocabulary has no such id.
    virtual std::string piece(TokenId id, bool special = false) const = 0;
    /// The text of a sequence: the concatenated pieces, less the leading space that SentencePiece adds.
    /// Throws Error(usage) if the vocabulary has no such id.
    virtual std::string decode(std::span<const TokenId> ids, bool special = false) const = 0;

    std::int64_t size() const { return size_; }
    TokenId bos() const { return bos_; }     ///< -1 if none
    TokenId eos() const { return eos_; }     ///< -1 if none
    bool ends_generation(TokenId id) const;  ///< eos, eot and eom
    bool adds_bos() const { return adds_bos_; }

  protected:
    std::int64_t size_ = 0;
    TokenId bos_ = -1, eos_ = -1;
    bool adds_bos_ = false;
    std::vector<TokenId> end_ids_;
};

struct TokenizerKind {
    std::string_view name;             ///< value of tokenizer.ggml.model
    std::string_view other_name = {};  ///< another value that means the same
    std::string_view doc;
    /// `metadata` (and its file) outlives the tokenizer. Throws Error(format) or Error(unsupported).
    std::unique_ptr<Tokenizer> (*make)(const files::Metadata& metadata);
};

/// True if the file has a vocabulary: tokenizer.ggml.model, or the text of a tokenizer.json under tokenizer.huggingface.json.
bool has_tokenizer(const files::Metadata& metadata);
/// The name of its kind: the text of tokenizer.ggml.model, "tokenizer.json", or empty if there is none.
std::string_view tokenizer_name(const files::Metadata& metadata);
/// The tokenizer of a model file; if it has both kinds of keys, those of GGUF count. Throws Error(unsupported) for an unknown kind or pre-tokenizer: never a guess.
std::unique_ptr<Tokenizer> make_tokenizer(const files::Metadata& metadata);

struct PreTokenizer {
    std::span<const std::string_view> names;  ///< values of tokenizer.ggml.pre
    std::string_view doc;
    std::span<const std::string_view> expressions;  ///< PCRE2; applied one after the other, each cutting every piece further
    bool whole_words_first = false;                 ///< a word that is itself a token is taken as it is, whatever the merges say
    bool adds_bos = false;                          ///< BOS is added unless the file says otherwise
    bool byte_level = true;                         ///< tokens spell bytes; if false, characters, with U+2581 for a space
};

}  // namespace tailor::text
