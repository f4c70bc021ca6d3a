// One function per type, and their table; see decoders.h.
#include "text/tokenizer_json/decoders.h"

#include <algorithm>

#include "text/byte_alphabet.h"
#include "text/tokenizer_json/normalizers.h"
#include "text/tokenizer_json/pre_tokenizers.h"
#include "text/unicode.h"
#include "text/vocabulary.h"
#include "text/word_piece.h"

namespace tailor::text::tokenizer_json {

using core::ErrorKind;

void Decoding::fuse() {
    Part whole;
    for (const Part& part : parts) whole.text += part.text;
    parts.assign(1, std::move(whole));
    fused = true;
}

static Decoder make_fuse(const Element&) {
    return [](Decoding& decoding) { decoding.fuse(); };
}

/// Characters back to the bytes they stand for. A token with another character in it is text already.
static Decoder make_byte_level(const Element&) {
    return [](Decoding& decoding) {
        for (Decoding::Part& part : decoding.parts) {
            std::string bytes;
            bool spelled = !part.verbatim;
            for (std::size_t at = 0; at < part.text.size() && spelled;) {
                const CodePoint c = code_point(part.text, at);
                const int byte = c.bytes ? character_byte(c.value) : -1;
                spelled = byte >= 0;
                bytes += static_cast<char>(byte);
                at += c.bytes;
            }
            if (spelled) part.text.swap(bytes);
        }
        decoding.fuse();
    };
}

static Decoder make_byte_fallback(const Element&) {
    return [](Decoding& decoding) {
        for (Decoding::Part& part : decoding.parts)
            if (const int byte = spelled_byte(part.text); byte >= 0) part.text.assign(1, static_cast<char>(byte));
    };
}

static Decoder make_metaspace(const Element& element) {
    return [mark = replacement_character(element), drops = prepend_scheme(element) != Prepend::never](Decoding& decoding) {
        for (std::size_t i = 0; i < decoding.parts.size(); ++i) {
            std::string result;
            const std::string_view text = decoding.parts[i].text;
            for (std::size_t at = 0; at < text.size();) {
                const bool space = text.substr(at, mark.size()) == mark;
                if (!space) result += text[at];
                else if (!drops || i > 0 || !decoding.begins) result += ' ';
                at += space ? mark.size() : 1;
            }
            decoding.parts[i].text = std::move(result);
        }
    };
}

static Decoder make_replace(const Element& element) {
    return [pattern = make_pattern(element), content = element.text("content")](Decoding& decoding) {
        // Patterns are about characters, and parts may be single bytes by now.
        for (Decoding::Part& part : decoding.parts)
            if (valid_length(part.text) == part.text.size()) part.text = replaced(part.text, pattern, content);
    };
}

/// Drops up to `start` and `stop` times a character at the ends of every part. After parts were joined it is about the ends of the
/// text, which a token in the middle has not.
static Decoder make_strip(const Element& element) {
    const std::int64_t start = element.integer("start", 0), stop = element.integer("stop", 0);
    return [content = element.text("content"), start, stop](Decoding& decoding) {
        for (Decoding::Part& part : decoding.parts) {
            std::string_view text = part.text;
            const auto is_content = [&](std::size_t at) { return !content.empty() && text.substr(at, content.size()) == content; };
            for (std::int64_t i = 0; i < start && (!decoding.fused || decoding.begins) && is_content(0); ++i)
                text.remove_prefix(content.size());
            for (std::int64_t i = 0; i < stop && (!decoding.fused || decoding.ends); ++i) {
                if (text.size() < content.size() || !is_content(text.size() - content.size())) break;
                text.remove_suffix(content.size());
            }
            part.text = std::string(text);
        }
    };
}

static Decoder make_word_piece(const Element& element) {
    return [prefix = element.text("prefix", "##"), cleans = element.flag("cleanup", true)](Decoding& decoding) {
        for (std::size_t i = 0; i < decoding.parts.size(); ++i) {
            std::string& text = decoding.parts[i].text;
            if (i > 0 || !decoding.begins) {
                if (text.compare(0, prefix.size(), prefix) == 0) text.erase(0, prefix.size());
                else text.insert(0, " ");
            }
            if (cleans) text = without_word_spaces(std::move(text));
        }
    };
}

/// A suffix marks the end of a word.
static Decoder make_bpe(const Element& element) {
    return [suffix = element.text("suffix", "</w>")](Decoding& decoding) {
        for (std::size_t i = 0; i < decoding.parts.size() && !suffix.empty(); ++i) {
            std::string& text = decoding.parts[i].text;
            const bool last = i + 1 == decoding.parts.size() && decoding.ends;
            for (std::size_t at = 0; (at = text.find(suffix, at)) != std::string::npos; at += last ? 0 : 1)
                text.replace(at, suffix.size(), last ? "" : " ");
        }
    };
}

static Decoder make_sequence(const Element& element) {
    std::vector<Decoder> steps;
    for (const Element& item : element.member("decoders").items()) steps.push_back(make_decoder(item));
    return [steps](Decoding& decoding) {
        for (const Decoder& step : steps) step(decoding);
    };
}

struct DecoderType {
    std::string_view type;
    Decoder (*make)(const Element&);
};
static constexpr DecoderType decoder_types[] = {
    {"BPEDecoder", &make_bpe},      {"ByteFallback", &make_byte_fallback}, {"ByteLevel", &make_byte_level},
    {"Fuse", &make_fuse},           {"Metaspace", &make_metaspace},        {"Replace", &make_replace},
    {"Sequence", &make_sequence},   {"Strip", &make_strip},                {"WordPiece", &make_word_piece},
};

Decoder make_decoder(const Element& element) {
    if (!element.is_null()) return element.make(decoder_types);
    return [](Decoding& decoding) {
        for (std::size_t i = decoding.begins ? 1 : 0; i < decoding.parts.size(); ++i) decoding.parts[i].text.insert(0, " ");
    };
}

}  // namespace tailor::text::tokenizer_json
