// SentencePiece Unigram (T5, mT5, Flan, XLM-RoBERTa): see text/unigram.h for the model.
//
// Before it, text is rewritten by the table of the model file (text/precompiled_map.h), and white space is made ready:
// spaces become U+2581, one is put in front of the text, and where the file says so a run of spaces becomes one and those
// at the end are dropped. Characters that no token covers are one unknown token per run, or byte tokens "<0xE2>" if the
// vocabulary has them. Kudo and Richardson, "SentencePiece", 2018.
#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"
#include "text/precompiled_map.h"
#include "text/unicode.h"
#include "text/unigram.h"
#include "text/vocabulary.h"

namespace tailor::text::tokenizers::entries {

static constexpr std::string_view map_key = "tokenizer.ggml.precompiled_charsmap";

class UnigramTokenizer : public VocabularyTokenizer {
  public:
    explicit UnigramTokenizer(const files::Metadata& metadata)
        : VocabularyTokenizer(metadata, {.eos = 1, .unknown = 2, .adds_eos = true}) {
        const std::vector<double> scores = metadata.reals("tokenizer.ggml.scores");
        if (static_cast<std::int64_t>(scores.size()) != size())
            core::fail(core::ErrorKind::format, "tokenizer.ggml.scores has {} entries, but tokenizer.ggml.tokens has {}",
                       scores.size(), size());
        std::vector<Unigram::Piece> pieces;
        double lowest = 0;
        for (TokenId id = 0; id < size(); ++id) {
            const double score = scores[static_cast<std::size_t>(id)];
            if (!std::isfinite(score)) core::fail(core::ErrorKind::format, "tokenizer.ggml.scores[{}] is not finite", id);
            const TokenType kind = type(id);
            if (kind == TokenType::normal) lowest = std::min(lowest, score);
            if (kind == TokenType::normal || kind == TokenType::unused) pieces.push_back({text(id), id, score});
            if (kind == TokenType::user_defined) pieces.push_back({text(id), id, 0});
        }
        unigram_ = Unigram(pieces, lowest);
        std::string table;
        for (const std::int64_t byte : metadata.integers(map_key)) table += static_cast<char>(byte);
        map_ = PrecompiledMap(table, map_key);
        leading_space_ = metadata.boolean("tokenizer.ggml.add_space_prefix", false);
        merges_spaces_ = metadata.boolean("tokenizer.ggml.remove_extra_whitespaces", false);
    }

  protected:
    void encode_plain(std::string_view text, bool, std::vector<TokenId>& ids) const override {
        const std::string ready = spaced(mapped(text));
        for (const Unigram::Segment& segment : unigram_.segment(ready)) {
            if (segment.id >= 0) ids.push_back(segment.id);
            else spell(std::string_view(ready).substr(segment.begin, segment.length), ids);
        }
    }

    std::string plain_piece(std::string_view token) const override { return unmarked(token); }

  private:
    std::string mapped(std::string_view text) const {
        std::string result;
        for (std::size_t at = 0; at < text.size();) {
            const PrecompiledMap::Match match = map_.longest(text.substr(at));
            const std::size_t valid = code_point(text, at).bytes;
            if (match.bytes) result += match.replacement;
            else if (valid) result += text.substr(at, valid);
            else append_utf8(result, 0xFFFD);
            at += std::max<std::size_t>(1, match.bytes ? match.bytes : valid);
        }
        return result;
    }

    /// With marks for spaces. Where runs of spaces are merged, every word has exactly one in front, the first one too.
    std::string spaced(std::string_view text) const {
        std::string result;
        bool word = false, any = false;
        for (const char c : text) {
            if (c != ' ' && !word && (merges_spaces_ || (leading_space_ && !any))) result += space_mark;
            word = c != ' ';
            any = any || word;
            if (word) result += c;
            else if (!merges_spaces_) result += space_mark;
        }
        return result;
    }

    Unigram unigram_;
    PrecompiledMap map_;
    bool merges_spaces_ = false;
};

static std::unique_ptr<Tokenizer> make(const files::Metadata& metadata) { return std::make_unique<UnigramTokenizer>(metadata); }

extern const TokenizerKind t5 = {
    .name = "t5",
    .doc = "SentencePiece Unigram: the most probable segmentation by the tokens' scores, after the file's own normalization",
    .make = &make,
};

}  // namespace tailor::text::tokenizers::entries
