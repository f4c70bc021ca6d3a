// Matching and stripping; see added_tokens.h.
#include "text/tokenizer_json/added_tokens.h"

#include <algorithm>

#include "text/unicode.h"

namespace tailor::text::tokenizer_json {

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const std::vector<std::string>& forms) : tokens_(std::move(tokens)) {
    std::vector<Trie::Entry> entries;
    for (std::size_t i = 0; i < forms.size(); ++i) entries.push_back({forms[i], static_cast<std::int32_t>(i)});
    trie_ = Trie(std::move(entries));
}

/// Where the character before text[at] > 0 begins.
static std::size_t before(std::string_view text, std::size_t at) {
    do --at;
    while (at > 0 && (text[at] & 0xC0) == 0x80);
    return at;
}

static bool is_word_at(std::string_view text, std::size_t begin, std::size_t end) {
    const bool left = begin > 0 && is_word_character(code_point(text, before(text, begin)).value);
    const bool right = end < text.size() && is_word_character(code_point(text, end).value);
    return !left && !right;
}

std::vector<Fragment> AddedTokens::split(std::string_view text, bool with_special) const {
    std::vector<Fragment> fragments;
    std::size_t done = 0;
    for (std::size_t at = 0; at < text.size();) {
        const Trie::Match match = trie_.longest(text.substr(at));
        std::size_t begin = at, end = at + match.bytes;
        at += std::max<std::size_t>(1, match.bytes);
        if (match.bytes == 0) continue;
        const AddedToken& token = tokens_[static_cast<std::size_t>(match.value)];
        if ((token.special && !with_special) || (token.single_word && !is_word_at(text, begin, end))) continue;
        if (token.strips_left)
            while (begin > done && is_white_space(code_point(text, before(text, begin)).value)) begin = before(text, begin);
        if (token.strips_right)
            while (end < text.size() && is_white_space(code_point(text, end).value)) end += code_point(text, end).bytes;
        // White space that the token before has swallowed may have been the beginning of this one.
        begin = std::max(begin, done);
        if (begin > done) fragments.push_back({{done, begin - done}, -1});
        fragments.push_back({{begin, end > begin ? end - begin : 0}, token.id});
        done = std::max(done, end);
    }
    if (text.size() > done) fragments.push_back({{done, text.size() - done}, -1});
    return fragments;
}

}  // namespace tailor::text::tokenizer_json
