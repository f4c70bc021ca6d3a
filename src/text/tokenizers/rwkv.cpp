// RWKV World: at every place the longest token that the text goes on with, whatever follows.
//
// Tokens are bytes, not always whole characters; the vocabulary file that Bo Peng published lists them as Python
// literals, and GGUF keeps their escapes: "\n" and "\x0a" are one byte each, a backslash before anything else stands for
// what follows it. All 256 bytes are tokens, so any text can be written. Control tokens take part like any other, as they
// do elsewhere: where a World vocabulary names its token 0 "<s>", these three characters in a text are that token.
#include <string>

#include "core/error.h"
#include "text/trie.h"
#include "text/vocabulary.h"

namespace tailor::text::tokenizers::entries {

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const int letter = (c | 0x20) - 'a';
    return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

/// The bytes that a token's text stands for. An escape that is cut off stands for itself.
static std::string unescaped(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            result += text[i];
            continue;
        }
        const char escaped = text[++i];
        const int high = escaped == 'x' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
        const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
        if (low >= 0) {
            result += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            result += escaped == 't' ? '\t' : escaped == 'n' ? '\n' : escaped == 'r' ? '\r' : escaped;
        }
    }
    return result;
}

class RwkvTokenizer : public VocabularyTokenizer {
  public:
    explicit RwkvTokenizer(const files::Metadata& metadata) : VocabularyTokenizer(metadata, {}) {
        std::vector<std::string> texts;
        std::vector<TokenId> ids;
        for (TokenId id = 0; id < size(); ++id) {
            if (type(id) == TokenType::unknown) continue;
            texts.push_back(unescaped(text(id)));
            ids.push_back(id);
        }
        std::vector<Trie::Entry> entries;
        for (std::size_t i = 0; i < texts.size(); ++i) entries.push_back({texts[i], ids[i]});
        trie_ = Trie(std::move(entries));
    }

  protected:
    void encode_plain(std::string_view text, bool, std::vector<TokenId>& ids) const override {
        for (std::size_t at = 0; at < text.size();) {
            const Trie::Match match = trie_.longest(text.substr(at));
            if (match.bytes) ids.push_back(match.value);
            else add_unknown(ids);
            at += match.bytes ? match.bytes : 1;
        }
    }

    std::string plain_piece(std::string_view token) const override { return unescaped(token); }

  private:
    Trie trie_;
};

static std::unique_ptr<Tokenizer> make(const files::Metadata& metadata) { return std::make_unique<RwkvTokenizer>(metadata); }

extern const TokenizerKind rwkv = {
    .name = "rwkv",
    .doc = "the longest token from the left, over bytes",
    .make = &make,
};

}  // namespace tailor::text::tokenizers::entries
