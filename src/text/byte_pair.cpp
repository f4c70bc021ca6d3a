// Merges, words and the byte alphabet; see byte_pair.h.
#include "text/byte_pair.h"

#include <string>

#include "core/error.h"
#include "text/byte_alphabet.h"
#include "text/pre_tokenizers/registry.h"
#include "text/unicode.h"

namespace tailor::text {

using core::ErrorKind;

const PreTokenizer& find_pre_tokenizer(std::string_view wanted) {
    std::vector<std::string> names;
    for (const PreTokenizer* entry : pre_tokenizers::all())
        for (const std::string_view name : entry->names) {
            if (name == wanted) return *entry;
            names.emplace_back(name);
        }
    core::fail(ErrorKind::unsupported, "tokenizer.ggml.pre is '{}', which is not known; known are {}", wanted,
               core::join(names, ", "));
}

BytePairTokenizer::BytePairTokenizer(const files::Metadata& metadata, const PreTokenizer& pre_tokenizer)
    : VocabularyTokenizer(metadata, {.adds_bos = pre_tokenizer.adds_bos}), pre_tokenizer_(pre_tokenizer) {
    for (const std::string_view expression : pre_tokenizer.expressions) expressions_.emplace_back(expression);
    for (unsigned byte = 0; byte < 256; ++byte) {
        std::string name;
        append_utf8(name, byte_character(static_cast<unsigned char>(byte)));
        const TokenId id = find(name);
        single_bytes_[byte] = id >= 0 && type(id) != TokenType::user_defined ? id : -1;
    }
    read_merges(metadata);
}

void BytePairTokenizer::read_merges(const files::Metadata& metadata) {
    const std::vector<std::string_view>& lines = metadata.texts("tokenizer.ggml.merges");
    if (lines.empty()) core::fail(ErrorKind::format, "tokenizer.ggml.merges is missing or empty");
    if (lines.size() > MergeTable::most)
        core::fail(ErrorKind::format, "tokenizer.ggml.merges has {} entries; more than {} cannot be ranked", lines.size(),
                   MergeTable::most);
    merges_ = MergeTable(lines.size());
    std::string joined;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::string_view line = lines[i];
        // The left part may itself be a space in vocabularies that are not byte-level.
        const std::size_t gap = line.find(' ', 1);
        if (gap == std::string_view::npos || gap + 1 == line.size())
            core::fail(ErrorKind::format, "tokenizer.ggml.merges[{}] is '{}', which is not two tokens with a space between", i,
                       line);
        const std::string_view left = line.substr(0, gap), right = line.substr(gap + 1);
        (joined = left) += right;
        const TokenId left_id = find(left), right_id = find(right), result = find(joined);
        if (left_id < 0 || right_id < 0 || result < 0)
            core::fail(ErrorKind::format, "tokenizer.ggml.merges[{}] is '{}', but '{}' is not in tokenizer.ggml.tokens", i, line,
                       left_id < 0    ? left
                       : right_id < 0 ? right
                                      : std::string_view(joined));
        merges_.add(left_id, right_id, i, result);
    }
}

void BytePairTokenizer::encode_word(std::string_view word, Merger& merger, std::string& spelled,
                                    std::vector<TokenId>& ids) const {
    // Vocabularies of characters have tokens for runs of line ends that no merges lead to.
    const bool only_newlines = !pre_tokenizer_.byte_level && word.find_first_not_of('\n') == std::string_view::npos;
    if (pre_tokenizer_.whole_words_first || only_newlines) {
        spelled.clear();
        if (pre_tokenizer_.byte_level)
            for (const char c : word) append_utf8(spelled, byte_character(static_cast<unsigned char>(c)));
        else spelled = word;
        if (const TokenId id = find_plain(spelled); id >= 0) return ids.push_back(id);
    }
    merger.clear();
    for (std::size_t at = 0; at < word.size();) {
        std::size_t length = 1;
        TokenId id = -1;
        if (pre_tokenizer_.byte_level) {
            id = single_bytes_[static_cast<unsigned char>(word[at])];
        } else {
            length = std::max<std::size_t>(1, code_point(word, at).bytes);
            id = find_plain(word.substr(at, length));
        }
        merger.add(static_cast<std::uint32_t>(length), id);
        at += length;
    }
    merger.run([&](const Symbol& left, const Symbol& right) { return merges_.find(left.id, right.id); });
    merger.each([&](const Symbol& symbol) {
        if (symbol.id >= 0) ids.push_back(symbol.id);
        else if (!pre_tokenizer_.byte_level) spell(word.substr(symbol.begin, symbol.length), ids);
    });
}

void BytePairTokenizer::encode_plain(std::string_view text, bool, std::vector<TokenId>& ids) const {
    std::string marked;
    if (!pre_tokenizer_.byte_level) {
        append_marked(marked, text);
        text = marked;
    }
    Merger merger;
    std::string spelled;
    std::vector<Span> words, cut;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t valid = valid_length(text, at);
        words.clear();
        if (valid) words.push_back({at, valid});
        for (const Regex& expression : expressions_) {
            cut.clear();
            expression.cut(text, words, cut);
            words.swap(cut);
        }
        for (const Span& word : words) encode_word(text.substr(word.begin, word.length), merger, spelled, ids);
        at += valid;
        // Expressions are about characters; bytes that are none make a word of their own.
        std::size_t stray = at;
        for (bool incomplete = false; stray < text.size() && code_point(text, stray).bytes == 0;)
            stray += invalid_length(text, stray, incomplete);
        if (stray > at) encode_word(text.substr(at, stray - at), merger, spelled, ids);
        at = stray;
    }
}

std::string BytePairTokenizer::plain_piece(std::string_view token) const {
    if (!pre_tokenizer_.byte_level) return unmarked(token);
    std::string result;
    for (std::size_t at = 0; at < token.size();) {
        const CodePoint c = code_point(token, at);
        const int byte = c.bytes ? character_byte(c.value) : -1;
        const std::size_t length = c.bytes ? c.bytes : 1;
        if (byte >= 0) result += static_cast<char>(byte);
        else result += token.substr(at, length);
        at += length;
    }
    return result;
}

}  // namespace tailor::text
