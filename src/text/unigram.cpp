// The Viterbi pass; see unigram.h.
#include "text/unigram.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "text/unicode.h"

namespace tailor::text {

Unigram::Unigram(std::span<const Piece> pieces, double lowest_score) : unknown_score_(lowest_score - 10) {
    std::vector<Trie::Entry> entries;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        entries.push_back({pieces[i].text, static_cast<std::int32_t>(i)});
        ids_.push_back(pieces[i].id);
        scores_.push_back(pieces[i].score);
    }
    trie_ = Trie(std::move(entries));
}

std::vector<Unigram::Segment> Unigram::segment(std::string_view text) const {
    struct Place {
        double score = -std::numeric_limits<double>::infinity();
        std::size_t begin = 0;  ///< of the last token on the best way here
        TokenId id = -1;
    };
    std::vector<Place> places(text.size() + 1);
    places[0].score = 0;
    const auto offer = [&](std::size_t begin, std::size_t length, double score, TokenId id) {
        Place& place = places[begin + length];
        const double total = places[begin].score + score;
        if (total > place.score) place = {total, begin, id};
    };
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t character = std::max<std::size_t>(1, code_point(text, at).bytes);
        bool whole = false;
        trie_.each_prefix(text.substr(at), [&](std::size_t length, std::int32_t piece) {
            const auto index = static_cast<std::size_t>(piece);
            offer(at, length, scores_[index], ids_[index]);
            whole = whole || length == character;
        });
        if (!whole) offer(at, character, unknown_score_, -1);
        at += character;
    }
    std::vector<Segment> segments;
    for (std::size_t end = text.size(); end > 0;) {
        const Place& place = places[end];
        if (place.id < 0 && !segments.empty() && segments.back().id < 0) {
            segments.back().length += segments.back().begin - place.begin;
            segments.back().begin = place.begin;
        } else {
            segments.push_back({place.begin, end - place.begin, place.id});
        }
        end = place.begin;
    }
    std::reverse(segments.begin(), segments.end());
    return segments;
}

}  // namespace tailor::text
