// Cleaning, cutting and matching; see word_piece.h.
#include "text/word_piece.h"

#include <algorithm>

#include "text/unicode.h"

namespace tailor::text {

/// Calls visit(value, bytes of it) for every character of valid UTF-8.
template <class Visit>
static void each_character(std::string_view text, const Visit& visit) {
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point(text, at);
        const std::size_t bytes = std::max<std::size_t>(1, c.bytes);
        visit(c.value, text.substr(at, bytes));
        at += bytes;
    }
}

std::string bert_normalized(std::string_view text, const BertRules& rules) {
    std::string result, next;
    each_character(text, [&](char32_t c, std::string_view bytes) {
        const bool space = is_white_space(c), kept = c == '\t' || c == '\n' || c == '\r';
        if (rules.clean && (c == 0xFFFD || (is_control(c) && !kept))) return;
        const bool apart = rules.separate_han && is_han(c);
        if (apart) result += ' ';
        if (rules.clean && space) result += ' ';
        else result += bytes;
        if (apart) result += ' ';
    });
    if (rules.strip_accents) {
        const std::string decomposed = normalized(result, NormalForm::nfd);
        result.clear();
        each_character(decomposed, [&](char32_t c, std::string_view bytes) {
            if (!is_nonspacing_mark(c)) result += bytes;
        });
    }
    if (rules.lower_case) {
        each_character(result, [&](char32_t c, std::string_view) { append_lower(next, c); });
        result.swap(next);
    }
    return result;
}

void bert_words(std::string_view text, std::vector<Span>& words) {
    std::size_t at = 0, begin = 0;
    const auto close = [&] {
        if (at > begin) words.push_back({begin, at - begin});
    };
    each_character(text, [&](char32_t c, std::string_view bytes) {
        const bool mark = is_punctuation(c), space = is_white_space(c);
        if (mark || space) close();
        if (mark) words.push_back({at, bytes.size()});
        at += bytes.size();
        if (mark || space) begin = at;
    });
    close();
}

std::string without_word_spaces(std::string text) {
    struct Rule {
        std::string_view from, to;
    };
    static constexpr Rule rules[] = {{" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
                                     {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const Rule& rule : rules) {
        std::size_t from = 0;
        std::string result;
        for (std::size_t at; (at = text.find(rule.from, from)) != std::string::npos; from = at + rule.from.size())
            result.append(text, from, at - from).append(rule.to);
        text = result.append(text, from);
    }
    return text;
}

static Trie trie_of(std::span<const WordPiece::Piece> pieces) {
    std::vector<Trie::Entry> entries;
    for (const WordPiece::Piece& piece : pieces) entries.push_back({piece.text, piece.id});
    return Trie(std::move(entries));
}

WordPiece::WordPiece(std::span<const Piece> starts, std::span<const Piece> insides)
    : starts_(trie_of(starts)), insides_(trie_of(insides)) {}

bool WordPiece::segment(std::string_view word, std::vector<TokenId>& ids) const {
    const std::size_t before = ids.size();
    for (std::size_t at = 0; at < word.size();) {
        const Trie::Match match = (at ? insides_ : starts_).longest(word.substr(at));
        if (match.bytes == 0) {
            ids.resize(before);
            return false;
        }
        ids.push_back(match.value);
        at += match.bytes;
    }
    return true;
}

}  // namespace tailor::text
