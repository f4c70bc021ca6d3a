// One function per type, and their table; see normalizers.h.
#include "text/tokenizer_json/normalizers.h"

#include <algorithm>
#include <array>
#include <memory>

#include "text/byte_alphabet.h"
#include "text/precompiled_map.h"
#include "text/unicode.h"
#include "text/word_piece.h"

namespace tailor::text::tokenizer_json {

using core::ErrorKind;

/// Calls visit(value, its bytes) for every character.
template <class Visit>
static void each_character(std::string_view text, const Visit& visit) {
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point(text, at);
        visit(c.value, text.substr(at, c.bytes));
        at += c.bytes;
    }
}

/// A normalizer that rewrites characters one by one: change(value, bytes, result) appends what becomes of each.
template <class Change>
static Normalizer by_character(const Change& change) {
    return [change](Draft& draft) {
        std::string result;
        each_character(draft.text(), [&](char32_t c, std::string_view bytes) { change(c, bytes, result); });
        draft.set(std::move(result));
    };
}

template <NormalForm form>
static Normalizer make_form(const Element&) {
    return [](Draft& draft) { draft.set(normalized(draft.text(), form)); };
}

static Normalizer make_bert(const Element& element) {
    BertRules rules;
    rules.clean = element.flag("clean_text", true);
    rules.separate_han = element.flag("handle_chinese_chars", true);
    rules.lower_case = element.flag("lowercase", true);
    rules.strip_accents = element.flag("strip_accents", rules.lower_case);
    return [rules](Draft& draft) { draft.set(bert_normalized(draft.text(), rules)); };
}

static Normalizer make_lower_case(const Element&) {
    return by_character([](char32_t c, std::string_view, std::string& result) { append_lower(result, c); });
}

static Normalizer make_strip_accents(const Element&) {
    return by_character([](char32_t c, std::string_view bytes, std::string& result) {
        if (!is_mark(c)) result += bytes;
    });
}

static Normalizer make_strip(const Element& element) {
    const bool left = element.flag("strip_left", true), right = element.flag("strip_right", true);
    return [left, right](Draft& draft) {
        const std::string& text = draft.text();
        std::size_t begin = text.size(), end = 0, at = 0;
        each_character(text, [&](char32_t c, std::string_view bytes) {
            if (!is_white_space(c)) begin = std::min(begin, at), end = at + bytes.size();
            at += bytes.size();
        });
        if (!left) begin = 0;
        if (!right) end = text.size();
        if (begin > 0) draft.lose_start();
        draft.set(end > begin ? text.substr(begin, end - begin) : "");
    };
}

static Normalizer make_replace(const Element& element) {
    return [pattern = make_pattern(element), content = element.text("content")](Draft& draft) {
        draft.set(replaced(draft.text(), pattern, content));
    };
}

static Normalizer make_prepend(const Element& element) {
    return [prefix = element.text("prepend")](Draft& draft) {
        if (!draft.text().empty()) draft.set(prefix + draft.text());
    };
}

/// The rules of Google's neural machine translation: some control characters go, unusual spaces become plain ones.
static Normalizer make_nmt(const Element&) {
    return by_character([](char32_t c, std::string_view bytes, std::string& result) {
        const bool dropped = (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
        static constexpr char32_t spaces[] = {0x09,   0x0A,   0x0C,   0x0D,   0x1680, 0x200B, 0x200C, 0x200D,
                                              0x200E, 0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD};
        if (dropped) return;
        if (std::find(std::begin(spaces), std::end(spaces), c) != std::end(spaces)) result += ' ';
        else result += bytes;
    });
}

static std::string from_base64(const Element& element) {
    std::string result;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : element.text()) {
        if (c == '=') break;
        const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                          : c >= 'a' && c <= 'z' ? c - 'a' + 26
                          : c >= '0' && c <= '9' ? c - '0' + 52
                          : c == '+'             ? 62
                          : c == '/'             ? 63
                                                 : -1;
        if (value < 0) element.fail(ErrorKind::format, "this is not base64");
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        result += static_cast<char>(bits >> count & 0xFF);
    }
    return result;
}

/// Where SentencePiece replaces the longest key at every place, Hugging Face's reading of the same table goes by what
/// readers take for characters: one of up to 5 bytes is replaced whole by what the shortest key in it gives; else its code
/// points are, one by one.
static Normalizer make_precompiled(const Element& element) {
    const Element table = element.member("precompiled_charsmap");
    const auto map = std::make_shared<const PrecompiledMap>(table.is_null() ? std::string() : from_base64(table), table.place());
    return [map](Draft& draft) {
        const std::string_view text = draft.text();
        std::string result;
        for (std::size_t at = 0; at < text.size();) {
            const std::string_view cluster = text.substr(at, grapheme_length(text, at));
            at += cluster.size();
            const PrecompiledMap::Match whole = cluster.size() < 6 ? map->shortest(cluster) : PrecompiledMap::Match{};
            if (whole.bytes) {
                result += whole.replacement;
                continue;
            }
            each_character(cluster, [&](char32_t, std::string_view bytes) {
                const PrecompiledMap::Match match = map->shortest(bytes);
                result += match.bytes ? match.replacement : bytes;
            });
        }
        draft.set(with_replacements(result));  // what the table holds need not be text
    };
}

static Normalizer make_byte_level(const Element&) {
    return [](Draft& draft) { draft.set(spelled_bytes(draft.text())); };
}

static Normalizer make_sequence(const Element& element) {
    std::vector<Normalizer> steps;
    for (const Element& item : element.member("normalizers").items()) steps.push_back(make_normalizer(item));
    return [steps](Draft& draft) {
        for (const Normalizer& step : steps) step(draft);
    };
}

struct NormalizerType {
    std::string_view type;
    Normalizer (*make)(const Element&);
};
static constexpr NormalizerType normalizer_types[] = {
    {"BertNormalizer", &make_bert},   {"ByteLevel", &make_byte_level},
    {"Lowercase", &make_lower_case},  {"NFC", &make_form<NormalForm::nfc>},
    {"NFD", &make_form<NormalForm::nfd>},   {"NFKC", &make_form<NormalForm::nfkc>},
    {"NFKD", &make_form<NormalForm::nfkd>}, {"Nmt", &make_nmt},
    {"Precompiled", &make_precompiled},     {"Prepend", &make_prepend},
    {"Replace", &make_replace},       {"Sequence", &make_sequence},
    {"Strip", &make_strip},           {"StripAccents", &make_strip_accents},
};

Normalizer make_normalizer(const Element& element) {
    if (element.is_null()) return [](Draft&) {};
    return element.make(normalizer_types);
}

Pattern make_pattern(const Element& element) {
    const Element pattern = element.member("pattern"), literal = pattern.member("String"), expression = pattern.member("Regex");
    if (!expression.is_null()) {
        const auto regex = std::make_shared<const Regex>(Regex::oniguruma(expression.text(), expression.place()));
        return [regex](std::string_view text, Span piece, std::vector<Span>& matches) { regex->matches(text, piece, matches); };
    }
    const std::string wanted = literal.is_null() ? pattern.text() : literal.text();
    if (wanted.empty()) pattern.fail(ErrorKind::unsupported, "an empty pattern is not supported");
    return [wanted](std::string_view text, Span piece, std::vector<Span>& matches) {
        text = text.substr(0, piece.begin + piece.length);
        for (std::size_t at = piece.begin; (at = text.find(wanted, at)) != std::string_view::npos; at += wanted.size())
            matches.push_back({at, wanted.size()});
    };
}

std::string replaced(std::string_view text, const Pattern& pattern, std::string_view content) {
    std::vector<Span> matches;
    pattern(text, {0, text.size()}, matches);
    std::string result;
    std::size_t at = 0;
    for (const Span& match : matches) {
        result += text.substr(at, match.begin - at);
        result += content;
        at = match.begin + match.length;
    }
    return result += text.substr(at);
}

}  // namespace tailor::text::tokenizer_json
