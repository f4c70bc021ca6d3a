// What the kinds of tokenizers have in common: the list of tokens with their types, special tokens, BOS and EOS.
//
// A GGUF file holds the vocabulary as parallel arrays: tokenizer.ggml.tokens (text), .token_type and .scores. The texts
// stay where they are, in the mapped file; a hash table of ids finds them.
//
// Files often leave out which tokens end a generation, and give some of them the type of ordinary text. The names in use
// are few, so tokens with these names count as control tokens that end a generation whatever the file says.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "text/special_tokens.h"
#include "text/tokenizer.h"

namespace tailor::text {

/// The numbers of tokenizer.ggml.token_type.
enum class TokenType : std::uint8_t {
    undefined = 0,
    normal = 1,
    unknown = 2,
    control = 3,
    user_defined = 4,
    unused = 5,
    byte = 6
};

/// U+2581, which stands for a space in SentencePiece vocabularies.
inline constexpr std::string_view space_mark = "\xE2\x96\x81";
/// Appends `text` with marks for spaces.
void append_marked(std::string& result, std::string_view text);
/// `text` with spaces for marks.
std::string unmarked(std::string_view text);

/// The byte of "<0xHH>", or -1 for any other text.
int spelled_byte(std::string_view text);
/// The tokens that end a generation by their name: `find` gives the id of a name, or -1.
std::vector<TokenId> named_end_tokens(const std::function<TokenId(std::string_view)>& find);

/// Finds tokens by their text: open addressing, with a part of the hash beside the id so that few texts are touched.
class TokenTable {
  public:
    /// `texts` outlives the table. Of equal texts the first is found.
    explicit TokenTable(std::span<const std::string_view> texts);
    /// -1 if there is none.
    TokenId find(std::string_view text) const;

  private:
    struct Slot {
        std::uint32_t hash = 0;
        TokenId id = -1;
    };
    std::span<const std::string_view> texts_;
    std::vector<Slot> slots_;  ///< a power of two, at most half full
};

class VocabularyTokenizer : public Tokenizer {
  public:
    std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override;
    std::string piece(TokenId id, bool special) const override;
    std::string decode(std::span<const TokenId> ids, bool special) const override;

  protected:
    /// What holds where the file says nothing; -1: no such token.
    struct Defaults {
        TokenId bos = -1, eos = -1, unknown = -1;
        bool adds_bos = false, adds_eos = false;
        bool own_frame = false;  ///< the kind itself sets what is put around a text: adds_bos_ and closing_
    };
    /// Throws Error(format) naming the key that is missing or does not fit the others.
    VocabularyTokenizer(const files::Metadata& metadata, const Defaults& defaults);

    /// Appends the tokens of plain text, which is not empty; `starts`: it begins the text or follows a special token.
    virtual void encode_plain(std::string_view text, bool starts, std::vector<TokenId>& ids) const = 0;
    /// The text of a token that is neither special nor a byte.
    virtual std::string plain_piece(std::string_view token) const = 0;

    TokenId find(std::string_view text) const { return table_.find(text); }
    /// The same among the tokens that plain text may become: never a control, unknown or byte token.
    TokenId find_plain(std::string_view text) const;
    std::string_view text(TokenId id) const { return texts_[static_cast<std::size_t>(id)]; }
    TokenType type(TokenId id) const { return types_[static_cast<std::size_t>(id)]; }
    /// Appends the tokens "<0xHH>" of the bytes, or one unknown token if there are none; nothing if there is neither.
    void spell(std::string_view bytes, std::vector<TokenId>& ids) const;
    /// Appends the unknown token if there is one.
    void add_unknown(std::vector<TokenId>& ids) const;
    /// The token id under `key`, or `fallback` without the key; -1 if that is none. Throws Error(format) naming the key.
    TokenId special_id(const files::Metadata& metadata, std::string_view key, TokenId fallback) const;

    bool leading_space_ = false;  ///< encode_plain puts a space before a text that starts; decode drops it
    TokenId closing_ = -1;        ///< encode with add_special puts it at the end; -1: nothing

  private:
    void read_types(const files::Metadata& metadata);
    void read_special_ids(const files::Metadata& metadata, const Defaults& defaults);
    void read_frame(const files::Metadata& metadata, const Defaults& defaults);
    void find_end_tokens();
    SpecialTokens special_tokens(const files::Metadata& metadata) const;
    void check_id(TokenId id) const;

    std::span<const std::string_view> texts_;
    TokenTable table_;
    std::vector<TokenType> types_;
    TokenId unknown_ = -1;
    std::array<TokenId, 256> byte_tokens_{};
    SpecialTokens special_;
};

}  // namespace tailor::text
