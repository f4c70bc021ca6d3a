// Reading a vocabulary and the frame of encoding and decoding; see vocabulary.h.
#include "text/vocabulary.h"

#include <algorithm>
#include <climits>
#include <functional>

#include "core/error.h"

namespace tailor::text {

using core::ErrorKind;

TokenTable::TokenTable(std::span<const std::string_view> texts) : texts_(texts) {
    std::size_t slots = 16;
    while (slots < texts.size() * 2) slots *= 2;
    slots_.resize(slots);
    for (std::size_t id = 0; id < texts.size(); ++id) {
        const std::size_t hash = std::hash<std::string_view>{}(texts[id]);
        std::size_t at = hash & (slots - 1);
        while (slots_[at].id >= 0 && texts[static_cast<std::size_t>(slots_[at].id)] != texts[id]) at = (at + 1) & (slots - 1);
        if (slots_[at].id < 0) slots_[at] = {static_cast<std::uint32_t>(hash >> 32), static_cast<TokenId>(id)};
    }
}

TokenId TokenTable::find(std::string_view text) const {
    const std::size_t hash = std::hash<std::string_view>{}(text);
    for (std::size_t at = hash & (slots_.size() - 1); slots_[at].id >= 0; at = (at + 1) & (slots_.size() - 1))
        if (slots_[at].hash == static_cast<std::uint32_t>(hash >> 32) && texts_[static_cast<std::size_t>(slots_[at].id)] == text)
            return slots_[at].id;
    return -1;
}

/// Tokens that end a generation wherever they occur: documents, turns of chat formats, and the pads and separators of
/// fill-in-the-middle formats.
static constexpr std::string_view end_names[] = {"<eos>",
                                                 "[EOS]",
                                                 "<|endoftext|>",
                                                 "<|end_of_text|>",
                                                 "<｜end▁of▁sentence｜>",
                                                 "<|eot_id|>",
                                                 "<|eom_id|>",
                                                 "<|im_end|>",
                                                 "<|end|>",
                                                 "<end_of_turn>",
                                                 "<turn|>",
                                                 "<end_of_utterance>",
                                                 "<EOT>",
                                                 "_<EOT>",
                                                 "[EOT]",
                                                 "[e~[",
                                                 "<|return|>",
                                                 "<|call|>",
                                                 "<|calls|>",
                                                 "<|flush|>",
                                                 "<|tool_response>",
                                                 "<|fim_pad|>",
                                                 "<fim-pad>",
                                                 "<fim_pad>",
                                                 "<PAD>",
                                                 "[PAD]",
                                                 "<|fim_repo|>",
                                                 "<|repo_name|>",
                                                 "<fim-repo>",
                                                 "<REPO>",
                                                 "<reponame>",
                                                 "<|file_sep|>"};

void append_marked(std::string& result, std::string_view text) {
    for (const char c : text) {
        if (c == ' ') result += space_mark;
        else result += c;
    }
}

std::string unmarked(std::string_view text) {
    std::string result;
    for (std::size_t at = 0; at < text.size();) {
        const bool mark = text.substr(at, space_mark.size()) == space_mark;
        result += mark ? ' ' : text[at];
        at += mark ? space_mark.size() : 1;
    }
    return result;
}

VocabularyTokenizer::VocabularyTokenizer(const files::Metadata& metadata, const Defaults& defaults)
    : texts_(metadata.texts("tokenizer.ggml.tokens")), table_(texts_) {
    if (texts_.empty()) core::fail(ErrorKind::format, "tokenizer.ggml.tokens is missing or empty: the file has no vocabulary");
    if (texts_.size() > INT_MAX)
        core::fail(ErrorKind::format, "tokenizer.ggml.tokens has {} tokens; at most {} can be numbered", texts_.size(), INT_MAX);
    size_ = static_cast<std::int64_t>(texts_.size());
    read_types(metadata);
    read_special_ids(metadata, defaults);
    if (!defaults.own_frame) read_frame(metadata, defaults);
    find_end_tokens();
    special_ = special_tokens(metadata);
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int spelled_byte(std::string_view text) {
    if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
    const int high = hex_digit(text[3]), low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void VocabularyTokenizer::read_types(const files::Metadata& metadata) {
    const std::vector<std::int64_t>& numbers = metadata.integers("tokenizer.ggml.token_type");
    if (!numbers.empty() && numbers.size() != texts_.size())
        core::fail(ErrorKind::format, "tokenizer.ggml.token_type has {} entries, but tokenizer.ggml.tokens has {}",
                   numbers.size(), texts_.size());
    types_.assign(texts_.size(), TokenType::normal);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        if (numbers[i] < 0 || numbers[i] > 6)
            core::fail(ErrorKind::format, "tokenizer.ggml.token_type[{}] is {}; token types are 0 to 6", i, numbers[i]);
        types_[i] = static_cast<TokenType>(numbers[i]);
        if (types_[i] == TokenType::byte && spelled_byte(texts_[i]) < 0)
            core::fail(ErrorKind::format, "tokenizer.ggml.token_type[{}] says byte, but the token is '{}' and not like '<0x0A>'",
                       i, texts_[i]);
    }
}

TokenId VocabularyTokenizer::special_id(const files::Metadata& metadata, std::string_view key, TokenId fallback) const {
    if (!metadata.find(key)) return fallback < size_ ? fallback : -1;
    const std::int64_t value = metadata.integer(key);
    if (value == -1 || value == UINT32_MAX) return -1;  // some writers say so that there is none
    if (value < 0 || value >= size_)
        core::fail(ErrorKind::format, "{} is {}, but the vocabulary has {} tokens", key, value, size_);
    return static_cast<TokenId>(value);
}

void VocabularyTokenizer::read_special_ids(const files::Metadata& metadata, const Defaults& defaults) {
    const auto id = [&](std::string_view key, TokenId fallback) { return special_id(metadata, key, fallback); };
    bos_ = id("tokenizer.ggml.bos_token_id", defaults.bos);
    eos_ = id("tokenizer.ggml.eos_token_id", defaults.eos);
    unknown_ = id("tokenizer.ggml.unknown_token_id", defaults.unknown);
    const TokenId ends[] = {eos_, id("tokenizer.ggml.eot_token_id", -1), id("tokenizer.ggml.eom_token_id", -1)};
    for (const TokenId end : ends)
        if (end >= 0) end_ids_.push_back(end);

    for (int byte = 0; byte < 256; ++byte) {
        const char digits[] = "0123456789ABCDEF";
        const char name[] = {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
        byte_tokens_[static_cast<std::size_t>(byte)] = find({name, sizeof name});
    }
}

void VocabularyTokenizer::read_frame(const files::Metadata& metadata, const Defaults& defaults) {
    adds_bos_ = metadata.boolean("tokenizer.ggml.add_bos_token", defaults.adds_bos && bos_ >= 0);
    const bool adds_eos = metadata.boolean("tokenizer.ggml.add_eos_token", defaults.adds_eos && eos_ >= 0);
    if (adds_bos_ && bos_ < 0)
        core::fail(ErrorKind::format, "tokenizer.ggml.add_bos_token is true, but there is no tokenizer.ggml.bos_token_id");
    if (adds_eos && eos_ < 0)
        core::fail(ErrorKind::format, "tokenizer.ggml.add_eos_token is true, but there is no tokenizer.ggml.eos_token_id");
    if (adds_eos) closing_ = eos_;
}

std::vector<TokenId> named_end_tokens(const std::function<TokenId(std::string_view)>& find) {
    const auto has = [&](std::string_view name) { return find(name) >= 0; };
    // In the formats that have these tokens, they close a turn, and "<|end|>" closes one message of several in it.
    const bool many_messages =
        (has("<|return|>") && has("<|call|>")) || (has("<|flush|>") && (has("<|call|>") || has("<|calls|>")));
    std::vector<TokenId> ids;
    for (const std::string_view name : end_names)
        if (const TokenId id = find(name); id >= 0 && !(many_messages && name == "<|end|>")) ids.push_back(id);
    return ids;
}

void VocabularyTokenizer::find_end_tokens() {
    for (const TokenId id : named_end_tokens([&](std::string_view name) { return find(name); })) {
        end_ids_.push_back(id);
        types_[static_cast<std::size_t>(id)] = TokenType::control;
    }
    // Where it is not a control token, "</s>" is the HTML tag.
    if (const TokenId id = find("</s>"); id >= 0 && type(id) == TokenType::control) end_ids_.push_back(id);
}

SpecialTokens VocabularyTokenizer::special_tokens(const files::Metadata& metadata) const {
    // Phi-3's tokenizer lets special tokens swallow the white space after them, except these; GGUF has no key for it.
    const std::string model = core::lower(metadata.text("general.name", ""));
    const bool strips = model.find("phi-3") != std::string::npos || model.find("phi3") != std::string::npos;
    std::vector<SpecialTokens::Entry> entries;
    for (TokenId id = 0; id < size_; ++id) {
        const TokenType kind = type(id);
        if (kind != TokenType::control && kind != TokenType::unknown && kind != TokenType::user_defined) continue;
        const std::string_view name = text(id);
        const bool keeps_space = name == "<unk>" || name == "<s>" || name == "<|endoftext|>";
        entries.push_back({name, id, kind != TokenType::user_defined, strips && !keeps_space});
    }
    return SpecialTokens(std::move(entries));
}

std::vector<TokenId> VocabularyTokenizer::encode(std::string_view text, EncodeOptions options) const {
    // Symbols count bytes in 32 bits, and a space may become three bytes.
    if (text.size() > INT_MAX / 3)
        core::fail(ErrorKind::usage, "a text of {} bytes is too long to tokenize at once; the most is {}", text.size(),
                   INT_MAX / 3);
    std::vector<TokenId> ids;
    if (options.add_special && adds_bos_) ids.push_back(bos_);
    bool starts = true;
    for (const Fragment& fragment : special_.split(text, options.parse_special)) {
        if (fragment.id >= 0) ids.push_back(fragment.id);
        else encode_plain(text.substr(fragment.span.begin, fragment.span.length), starts, ids);
        starts = fragment.id >= 0;
    }
    if (options.add_special && closing_ >= 0) ids.push_back(closing_);
    return ids;
}

TokenId VocabularyTokenizer::find_plain(std::string_view text) const {
    const TokenId id = find(text);
    if (id < 0 || type(id) == TokenType::control || type(id) == TokenType::unknown || type(id) == TokenType::byte) return -1;
    return id;
}

void VocabularyTokenizer::spell(std::string_view bytes, std::vector<TokenId>& ids) const {
    const auto token = [&](char byte) { return byte_tokens_[static_cast<unsigned char>(byte)]; };
    if (std::all_of(bytes.begin(), bytes.end(), [&](char byte) { return token(byte) >= 0; })) {
        for (const char byte : bytes) ids.push_back(token(byte));
    } else {
        add_unknown(ids);
    }
}

void VocabularyTokenizer::add_unknown(std::vector<TokenId>& ids) const {
    if (unknown_ >= 0) ids.push_back(unknown_);
}

void VocabularyTokenizer::check_id(TokenId id) const {
    if (id < 0 || id >= size_)
        core::fail(ErrorKind::usage, "there is no token {}: the vocabulary has the ids 0 to {}", id, size_ - 1);
}

std::string VocabularyTokenizer::piece(TokenId id, bool special) const {
    check_id(id);
    switch (type(id)) {
        case TokenType::control:
        case TokenType::unknown: return special ? std::string(text(id)) : std::string();
        case TokenType::user_defined: return std::string(text(id));
        case TokenType::byte: return std::string(1, static_cast<char>(spelled_byte(text(id))));
        default: return plain_piece(text(id));
    }
}

std::string VocabularyTokenizer::decode(std::span<const TokenId> ids, bool special) const {
    std::string result;
    bool leading = leading_space_;
    for (const TokenId id : ids) {
        const std::string next = piece(id, special);
        const bool is_special = type(id) == TokenType::control || type(id) == TokenType::unknown;
        const bool drop = leading && !is_special && !next.empty() && next[0] == ' ';
        result.append(next, drop ? 1 : 0);
        leading = leading && is_special;
    }
    return result;
}

}  // namespace tailor::text
