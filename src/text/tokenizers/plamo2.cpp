// PLaMo 2: the cheapest segmentation, found from the right end.
//
// As in text/unigram.h every token has a score and the sum is to be as high as possible; but scores are rounded to
// 1/10,000, so that sums are exact, and the recurrence runs backwards: cost(i) = min over tokens that are text[i..j) of
// cost(j) - score. Among equal ones the longest wins. A character may also be spelled in byte tokens, at a price of 1,000.
// Spaces are ordinary characters. Preferred Networks, "PLaMo 2", tokenization_plamo.py, 2025.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/error.h"
#include "text/trie.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace tailor::text::tokenizers::entries {

static constexpr double scores_per_unit = 1e4;
static constexpr std::int64_t spelling_cost = 10'000'000;

class PlamoTokenizer : public VocabularyTokenizer {
  public:
    explicit PlamoTokenizer(const files::Metadata& metadata)
        : VocabularyTokenizer(metadata, {.bos = 1, .eos = 2, .unknown = 0}) {
        const std::vector<double> scores = metadata.reals("tokenizer.ggml.scores");
        if (static_cast<std::int64_t>(scores.size()) != size())
            core::fail(core::ErrorKind::format, "tokenizer.ggml.scores has {} entries, but tokenizer.ggml.tokens has {}",
                       scores.size(), size());
        std::vector<Trie::Entry> entries;
        for (TokenId id = 0; id < size(); ++id) {
            const double score = std::round(scores[static_cast<std::size_t>(id)] * scores_per_unit);
            if (!(std::fabs(score) <= 1e9))
                core::fail(core::ErrorKind::format, "tokenizer.ggml.scores[{}] is not between -100,000 and 100,000", id);
            costs_.push_back(-static_cast<std::int64_t>(score));
            const TokenType kind = type(id);
            if (kind != TokenType::control && kind != TokenType::unknown && kind != TokenType::byte) entries.push_back({text(id), id});
        }
        trie_ = Trie(std::move(entries));
    }

  protected:
    void encode_plain(std::string_view text, bool, std::vector<TokenId>& ids) const override {
        struct Place {
            std::int64_t cost = std::numeric_limits<std::int64_t>::max() / 2;
            std::size_t length = 1;
            TokenId id = -1;
        };
        std::vector<Place> places(text.size() + 1);
        std::vector<std::size_t> characters;
        for (std::size_t at = 0; at < text.size(); at += places[at].length) {
            characters.push_back(at);
            places[at].length = std::max<std::size_t>(1, code_point(text, at).bytes);
        }
        places.back().cost = 0;
        for (auto it = characters.rbegin(); it != characters.rend(); ++it) {
            const std::size_t at = *it;
            Place& place = places[at];
            place.cost = places[at + place.length].cost + spelling_cost;
            trie_.each_prefix(text.substr(at), [&](std::size_t length, TokenId id) {
                const std::int64_t cost = places[at + length].cost + costs_[static_cast<std::size_t>(id)];
                if (cost <= place.cost) place = {cost, length, id};
            });
        }
        for (std::size_t at = 0; at < text.size(); at += places[at].length) {
            if (places[at].id >= 0) ids.push_back(places[at].id);
            else spell(text.substr(at, places[at].length), ids);
        }
    }

    std::string plain_piece(std::string_view token) const override { return std::string(token); }

  private:
    Trie trie_;
    std::vector<std::int64_t> costs_;
};

static std::unique_ptr<Tokenizer> make(const files::Metadata& metadata) { return std::make_unique<PlamoTokenizer>(metadata); }

extern const TokenizerKind plamo2 = {
    .name = "plamo2",
    .doc = "the segmentation of the highest score, found from the right; unknown characters spelled in bytes",
    .make = &make,
};

}  // namespace tailor::text::tokenizers::entries
