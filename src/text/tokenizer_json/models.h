// The four models of tokenizer.json files, which write a word in tokens: BPE, Unigram, WordPiece and WordLevel.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_json/element.h"
#include "text/vocabulary.h"

namespace tailor::text::tokenizer_json {

/// Tokens by id. Ids without a token have an empty text.
class TokenList {
  public:
    struct Entry {
        std::string text;
        TokenId id;
    };
    /// Of several entries with one id or text the last counts. Throws Error(unsupported) if ids are scattered so widely that
    /// a list would be mostly empty, Error(format) if one is negative.
    TokenList(std::vector<Entry> entries, const Element& place);
    TokenList(const TokenList&) = delete;
    TokenList& operator=(const TokenList&) = delete;

    std::size_t size() const { return texts_.size(); }
    std::string_view text(TokenId id) const { return texts_[static_cast<std::size_t>(id)]; }
    TokenId find(std::string_view text) const { return text.empty() ? -1 : table_.find(text); }

  private:
    std::vector<std::string> own_;
    std::vector<std::string_view> texts_;
    TokenTable table_;
};

class TokenModel {
  public:
    virtual ~TokenModel() = default;
    /// Appends the tokens of a word, which is valid UTF-8 and not empty. Safe to call from several threads. Throws
    /// Error(unsupported) if the word cannot be written and the file names no unknown token for that.
    virtual void encode(std::string_view word, std::vector<TokenId>& ids) const = 0;
};

/// The tokens of an element "model".
std::vector<TokenList::Entry> model_tokens(const Element& element);
/// The model itself. It keeps references to `tokens`, which hold at least model_tokens(), and to `is_hidden`: words never
/// become a token for which this is true, except as the unknown token. Throws Error(format) or Error(unsupported).
std::unique_ptr<TokenModel> make_model(const Element& element, const TokenList& tokens, const std::vector<bool>& is_hidden);

}  // namespace tailor::text::tokenizer_json
