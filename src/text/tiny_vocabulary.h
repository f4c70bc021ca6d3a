// Hand-made vocabularies for tests: small enough that every expected token can be worked out on paper.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "files/metadata.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace tailor::text::testing {

struct TinyVocabulary {
    std::vector<std::string> tokens;
    std::vector<std::int64_t> types;
    std::vector<double> scores;
    std::vector<std::string> merges;

    TokenId add(const std::string& token, TokenType type, double score = 0) {
        tokens.push_back(token);
        types.push_back(static_cast<std::int64_t>(type));
        scores.push_back(score);
        return static_cast<TokenId>(tokens.size() - 1);
    }
    TokenId id(std::string_view token) const {
        for (std::size_t i = 0; i < tokens.size(); ++i)
            if (tokens[i] == token) return static_cast<TokenId>(i);
        return -1;
    }
    std::vector<TokenId> ids(const std::vector<std::string>& names) const {
        std::vector<TokenId> result;
        for (const std::string& name : names) result.push_back(id(name));
        return result;
    }
};

/// <unk> <s> </s>, all bytes, a user-defined token, and pieces of "hello" whose scores make "ll" merge before "he".
inline TinyVocabulary tiny_sentence_piece() {
    TinyVocabulary v;
    v.add("<unk>", TokenType::unknown);
    v.add("<s>", TokenType::control);
    v.add("</s>", TokenType::control);
    for (int byte = 0; byte < 256; ++byte) {
        const char digits[] = "0123456789ABCDEF";
        v.add(std::string("<0x") + digits[byte >> 4] + digits[byte & 15] + ">", TokenType::byte);
    }
    v.add("<|user|>", TokenType::user_defined);
    double score = -1;
    for (const char* piece : {"ll", "lo", "he", "hell", "▁he", "▁▁", "▁", "h", "e", "l", "o", "<", "s", ">", "<s"})
        v.add(piece, TokenType::normal, score--);
    return v;
}

inline files::Metadata metadata(const TinyVocabulary& v, const std::string& kind) {
    files::Metadata m;
    m.set_text("tokenizer.ggml.model", kind);
    m.set_texts("tokenizer.ggml.tokens", v.tokens);
    m.set_integers("tokenizer.ggml.token_type", v.types);
    if (v.merges.empty()) m.set_reals("tokenizer.ggml.scores", v.scores);
    else m.set_texts("tokenizer.ggml.merges", v.merges);
    return m;
}

/// The 256 bytes by their characters, merges that build "Ġthe", an unreachable "xyz", and <|endoftext|>.
inline TinyVocabulary tiny_byte_level() {
    TinyVocabulary v;
    const auto printable = [](unsigned b) { return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE; };
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
        std::string name;
        append_utf8(name, printable(byte) ? byte : next++);
        v.add(name, TokenType::normal);
    }
    for (const char* merge : {"h e", "Ġ t", "Ġt he", "a a", "aa aa", "Ã ©"}) {
        v.merges.emplace_back(merge);
        std::string joined = merge;
        joined.erase(joined.find(' '), 1);
        v.add(joined, TokenType::normal);
    }
    v.add("xyz", TokenType::normal);
    v.add("<|endoftext|>", TokenType::control);
    v.add("<|user|>", TokenType::user_defined);
    return v;
}

inline files::Metadata byte_level_metadata(const TinyVocabulary& v, const std::string& pre) {
    files::Metadata m = metadata(v, "gpt2");
    m.set_text("tokenizer.ggml.pre", pre);
    m.set_integer("tokenizer.ggml.bos_token_id", v.id("<|endoftext|>"));
    m.set_integer("tokenizer.ggml.eos_token_id", v.id("<|endoftext|>"));
    return m;
}

}  // namespace tailor::text::testing
