// WordPiece (BERT and the embedding models that follow it); see text/word_piece.h.
//
// GGUF files mark the start of a word by U+2581 instead of its inside by "##". A text is framed by the tokens of class and
// separation, [CLS] and [SEP]. The two rules that models differ in have keys of their own; files older than these keys
// are of models that take everything in lower case without accents.
#include "core/error.h"
#include "text/unicode.h"
#include "text/vocabulary.h"
#include "text/word_piece.h"

namespace tailor::text::tokenizers::entries {

class WordPieceTokenizer : public VocabularyTokenizer {
  public:
    explicit WordPieceTokenizer(const files::Metadata& metadata)
        : VocabularyTokenizer(metadata, {.bos = 101, .unknown = 100, .own_frame = true}) {
        if (!metadata.find("tokenizer.ggml.bos_token_id")) bos_ = special_id(metadata, "tokenizer.ggml.cls_token_id", 101);
        adds_bos_ = metadata.boolean("tokenizer.ggml.add_bos_token", true) && bos_ >= 0;
        if (metadata.boolean("tokenizer.ggml.add_sep_token", true))
            closing_ = special_id(metadata, "tokenizer.ggml.seperator_token_id", 102);  // the key is spelled so
        rules_.lower_case = metadata.boolean("tokenizer.ggml.normalizer.lowercase", true);
        rules_.strip_accents = metadata.boolean("tokenizer.ggml.normalizer.strip_accents", rules_.lower_case);
        std::vector<WordPiece::Piece> starts, insides;
        for (TokenId id = 0; id < size(); ++id) {
            if (type(id) == TokenType::control || type(id) == TokenType::unknown) continue;
            const std::string_view token = text(id);
            insides.push_back({token, id});
            if (token.substr(0, space_mark.size()) == space_mark) starts.push_back({token.substr(space_mark.size()), id});
        }
        word_piece_ = WordPiece(starts, insides);
    }

    std::string decode(std::span<const TokenId> ids, bool special) const override {
        return without_word_spaces(VocabularyTokenizer::decode(ids, special));
    }

  protected:
    void encode_plain(std::string_view text, bool, std::vector<TokenId>& ids) const override {
        const std::string ready = bert_normalized(with_replacements(text), rules_);
        std::vector<Span> words;
        bert_words(ready, words);
        for (const Span& word : words)
            if (!word_piece_.segment(std::string_view(ready).substr(word.begin, word.length), ids)) add_unknown(ids);
    }

    std::string plain_piece(std::string_view token) const override { return unmarked(token); }

  private:
    BertRules rules_;
    WordPiece word_piece_;
};

static std::unique_ptr<Tokenizer> make(const files::Metadata& metadata) {
    return std::make_unique<WordPieceTokenizer>(metadata);
}

extern const TokenizerKind bert = {
    .name = "bert",
    .doc = "WordPiece: words and punctuation in the longest tokens from the left, in lower case without accents",
    .make = &make,
};

}  // namespace tailor::text::tokenizers::entries
