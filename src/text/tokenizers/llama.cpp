// SentencePiece BPE (Llama 1 and 2, Mistral, Gemma 1 to 3, Phi-3, Baichuan).
//
// Spaces become U+2581, one is put in front of the text, and the whole text is one word: characters merge as long as a
// neighbouring pair is a token, the pair with the highest score first. Characters that are no token are spelled in byte
// tokens "<0xE2>". Kudo and Richardson, "SentencePiece: A simple and language independent subword tokenizer", 2018.
//
// One shortcut, exact: if no token has a space mark after another character, no merge can cross a place where a mark
// follows another character, so the text may be merged word by word. That holds for all usual vocabularies, keeps the
// heap inside the cache, and makes a long text linear.
#include <cmath>
#include <string>

#include "core/error.h"
#include "text/merge.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace tailor::text::tokenizers::entries {

/// True if a word of SentencePiece's ends at text[at]: a mark follows there, and none precedes.
static bool word_ends(std::string_view text, std::size_t at) {
    return text.substr(at, space_mark.size()) == space_mark &&
           (at < space_mark.size() || text.substr(at - space_mark.size(), space_mark.size()) != space_mark);
}

/// The end of the word that begins at text[begin].
static std::size_t word_end(std::string_view text, std::size_t begin) {
    std::size_t at = begin + 1;
    while (at < text.size() && !(text[at] == space_mark[0] && word_ends(text, at))) ++at;
    return at;
}

class SentencePieceTokenizer : public VocabularyTokenizer {
  public:
    explicit SentencePieceTokenizer(const files::Metadata& metadata)
        : VocabularyTokenizer(metadata, {.bos = 1, .eos = 2, .unknown = 0, .adds_bos = true}) {
        const std::vector<double> scores = metadata.reals("tokenizer.ggml.scores");
        if (static_cast<std::int64_t>(scores.size()) != size())
            core::fail(core::ErrorKind::format, "tokenizer.ggml.scores has {} entries, but tokenizer.ggml.tokens has {}",
                       scores.size(), size());
        for (std::size_t i = 0; i < scores.size(); ++i)
            if (std::isnan(scores[i])) core::fail(core::ErrorKind::format, "tokenizer.ggml.scores[{}] is not a number", i);
        scores_.assign(scores.begin(), scores.end());
        leading_space_ = metadata.boolean("tokenizer.ggml.add_space_prefix", true);
        for (TokenId id = 0; id < size() && merges_stay_in_words_; ++id)
            merges_stay_in_words_ = text(id).empty() || word_end(text(id), 0) == text(id).size();
    }

  protected:
    void encode_plain(std::string_view text, bool starts, std::vector<TokenId>& ids) const override {
        std::string marked;
        marked.reserve(text.size() + text.size() / 2);
        if (starts && leading_space_) marked += space_mark;
        append_marked(marked, text);
        Merger merger;
        const std::string_view whole = marked;
        for (std::size_t at = 0; at < whole.size();) {
            const std::size_t end = merges_stay_in_words_ ? word_end(whole, at) : whole.size();
            encode_word(whole.substr(at, end - at), merger, ids);
            at = end;
        }
    }

    std::string plain_piece(std::string_view token) const override { return unmarked(token); }

  private:
    void encode_word(std::string_view word, Merger& merger, std::vector<TokenId>& ids) const {
        merger.clear();
        for (std::size_t at = 0; at < word.size();) {
            const std::size_t length = std::max<std::size_t>(1, code_point(word, at).bytes);
            merger.add(static_cast<std::uint32_t>(length), find_plain(word.substr(at, length)));
            at += length;
        }
        merger.run([&](const Symbol& left, const Symbol& right) -> Merge {
            const TokenId id = find_plain(word.substr(left.begin, left.length + right.length));
            return id < 0 ? Merge{} : Merge{scores_[static_cast<std::size_t>(id)], id};
        });
        merger.each([&](const Symbol& symbol) {
            if (symbol.id >= 0) ids.push_back(symbol.id);
            else spell(word.substr(symbol.begin, symbol.length), ids);
        });
    }

    std::vector<float> scores_;
    bool merges_stay_in_words_ = true;
};

static std::unique_ptr<Tokenizer> make(const files::Metadata& metadata) {
    return std::make_unique<SentencePieceTokenizer>(metadata);
}

extern const TokenizerKind llama = {
    .name = "llama",
    .doc = "SentencePiece byte-pair encoding: spaces as U+2581, merges by score, unknown characters spelled in bytes",
    .make = &make,
};

}  // namespace tailor::text::tokenizers::entries
