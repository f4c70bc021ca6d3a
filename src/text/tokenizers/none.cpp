// No tokenizer: a model whose file has no vocabulary, because it does not speak or because it was left out.
//
// Its texts are the ids themselves, in decimal with a space between, so that such a model can be run from the same
// commands as any other: "12 7 3" is the tokens 12, 7 and 3.
#include <algorithm>
#include <climits>

#include "core/error.h"
#include "text/tokenizer.h"

namespace tailor::text::tokenizers::entries {

using core::ErrorKind;

class NumbersTokenizer : public Tokenizer {
  public:
    explicit NumbersTokenizer(const files::Metadata& metadata) {
        const std::string key = std::string(metadata.text("general.architecture", "")) + ".vocab_size";
        size_ = metadata.integer(key, INT_MAX);
        if (size_ < 0 || size_ > INT_MAX) core::fail(ErrorKind::format, "{} is {}, which is not a number of tokens", key, size_);
    }

    std::vector<TokenId> encode(std::string_view text, EncodeOptions) const override {
        std::vector<TokenId> ids;
        for (const std::string& word : core::split(text, ' ')) {
            if (word.empty()) continue;
            std::int64_t id = word.size() > 10 || word.find_first_not_of("0123456789") != std::string::npos ? -1 : 0;
            for (std::size_t i = 0; i < word.size() && id >= 0; ++i) id = id * 10 + (word[i] - '0');
            if (id < 0 || id >= size_)
                core::fail(ErrorKind::usage, "'{}' is not a token id from 0 to {}; the file has no vocabulary, so texts are ids "
                           "with spaces between", word, size_ - 1);
            ids.push_back(static_cast<TokenId>(id));
        }
        return ids;
    }

    std::string piece(TokenId id, bool) const override {
        if (id < 0 || id >= size_)
            core::fail(ErrorKind::usage, "there is no token {}: the model has the ids 0 to {}", id, size_ - 1);
        return core::format("{} ", id);
    }

    std::string decode(std::span<const TokenId> ids, bool special) const override {
        std::string result;
        for (const TokenId id : ids) result += piece(id, special);
        if (!result.empty()) result.pop_back();
        return result;
    }
};

static std::unique_ptr<Tokenizer> make(const files::Metadata& metadata) { return std::make_unique<NumbersTokenizer>(metadata); }

extern const TokenizerKind none = {
    .name = "none",
    .other_name = "no_vocab",
    .doc = "no vocabulary: texts are token ids in decimal",
    .make = &make,
};

}  // namespace tailor::text::tokenizers::entries
