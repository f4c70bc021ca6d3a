// The behaviours of a cut, one function per type, and their table; see pre_tokenizers.h.
#include "text/tokenizer_json/pre_tokenizers.h"

#include <algorithm>

#include "text/byte_alphabet.h"
#include "text/pre_tokenizers/expressions.h"
#include "text/tokenizer_json/normalizers.h"
#include "text/unicode.h"
#include "text/word_piece.h"

namespace tailor::text::tokenizer_json {

using core::ErrorKind;

/// What becomes of a match.
enum class Behavior {
    removed,
    isolated,              ///< a piece of its own
    merged_with_previous,  ///< part of the piece before it
    merged_with_next,
    contiguous,  ///< neighbouring matches are one piece
};

struct Cut {
    Span span;
    bool is_match;
};

/// `piece` as matches and gaps in turn.
static std::vector<Cut> cuts_of(Span piece, const std::vector<Span>& matches, bool invert) {
    std::vector<Cut> cuts;
    std::size_t at = piece.begin;
    for (const Span& match : matches) {
        if (match.begin > at) cuts.push_back({{at, match.begin - at}, invert});
        cuts.push_back({match, !invert});
        at = match.begin + match.length;
    }
    if (piece.begin + piece.length > at) cuts.push_back({{at, piece.begin + piece.length - at}, invert});
    return cuts;
}

/// Appends what a behaviour makes of the cuts.
static void arrange(std::vector<Cut> cuts, Behavior behavior, std::vector<Span>& result) {
    const bool backwards = behavior == Behavior::merged_with_next;
    if (backwards) std::reverse(cuts.begin(), cuts.end());
    const std::size_t first = result.size();
    bool after_match = false;
    for (const Cut& cut : cuts) {
        bool joins = false;
        if (behavior == Behavior::merged_with_previous || backwards) joins = cut.is_match && !after_match;
        if (behavior == Behavior::contiguous) joins = cut.is_match == after_match;
        if (joins && result.size() > first) {
            if (backwards) result.back().begin = cut.span.begin;
            result.back().length += cut.span.length;
        } else if (behavior != Behavior::removed || !cut.is_match) {
            result.push_back(cut.span);
        }
        after_match = cut.is_match;
    }
    if (backwards) std::reverse(result.begin() + static_cast<std::ptrdiff_t>(first), result.end());
}

static void split(Pieces& pieces, const Pattern& pattern, Behavior behavior, bool invert = false) {
    std::vector<Span> result, matches;
    for (const Span& piece : pieces.spans) {
        matches.clear();
        pattern(pieces.text, piece, matches);
        arrange(cuts_of(piece, matches, invert), behavior, result);
    }
    result.erase(std::remove_if(result.begin(), result.end(), [](const Span& span) { return span.length == 0; }), result.end());
    pieces.spans.swap(result);
}

/// Every character for which `holds` is true, as a match of its own.
template <class Holds>
static Pattern characters(const Holds& holds) {
    return [holds](std::string_view text, Span piece, std::vector<Span>& matches) {
        for (std::size_t at = piece.begin; at < piece.begin + piece.length;) {
            const CodePoint c = code_point(text, at);
            if (holds(c.value)) matches.push_back({at, c.bytes});
            at += c.bytes;
        }
    };
}

/// Every piece becomes what change(i) makes of it.
template <class Change>
static void rewrite(Pieces& pieces, const Change& change) {
    std::string text;
    std::vector<Span> spans;
    for (std::size_t i = 0; i < pieces.spans.size(); ++i) {
        const std::string next = change(i);
        if (!next.empty()) spans.push_back({text.size(), next.size()});
        text += next;
    }
    check_growth(text.size(), pieces.original_bytes);
    pieces.starts = !pieces.spans.empty() && pieces.is_start(0);
    pieces.text.swap(text);
    pieces.spans.swap(spans);
}

static Behavior behavior_of(const Element& element, std::string_view fallback) {
    static constexpr std::pair<std::string_view, Behavior> behaviors[] = {{"Removed", Behavior::removed},
                                                                          {"Isolated", Behavior::isolated},
                                                                          {"MergedWithPrevious", Behavior::merged_with_previous},
                                                                          {"MergedWithNext", Behavior::merged_with_next},
                                                                          {"Contiguous", Behavior::contiguous}};
    const std::string name = element.text("behavior", fallback);
    for (const auto& [known, behavior] : behaviors)
        if (known == name) return behavior;
    element.fail(ErrorKind::unsupported, "the behavior '{}' is not known", name);
}

static PreTokenizer make_bert(const Element&) {
    return [](Pieces& pieces) {
        std::vector<Span> result, words;
        for (const Span& piece : pieces.spans) {
            words.clear();
            bert_words(std::string_view(pieces.text).substr(piece.begin, piece.length), words);
            for (const Span& word : words) result.push_back({piece.begin + word.begin, word.length});
        }
        pieces.spans.swap(result);
    };
}

static PreTokenizer make_byte_level(const Element& element) {
    const bool prefixes = element.flag("add_prefix_space", true);
    std::vector<Regex> words;
    if (element.flag("use_regex", true)) words.emplace_back(pre_tokenizers::gpt2_words);
    return [prefixes, words = std::make_shared<const std::vector<Regex>>(std::move(words))](Pieces& pieces) {
        if (prefixes) rewrite(pieces, [&](std::size_t i) { return (pieces[i][0] == ' ' ? "" : " ") + std::string(pieces[i]); });
        for (const Regex& expression : *words) {
            std::vector<Span> result;
            expression.cut(pieces.text, pieces.spans, result);
            pieces.spans.swap(result);
        }
        rewrite(pieces, [&](std::size_t i) { return spelled_bytes(pieces[i]); });
    };
}

static PreTokenizer make_delimiter(const Element& element) {
    const std::string delimiter = element.text("delimiter");
    if (delimiter.empty() || code_point(delimiter, 0).bytes != delimiter.size())
        element.fail(ErrorKind::format, "the delimiter '{}' is not one character", delimiter);
    return [pattern = characters([c = code_point(delimiter, 0).value](char32_t value) { return value == c; })](Pieces& pieces) {
        split(pieces, pattern, Behavior::removed);
    };
}

static PreTokenizer make_digits(const Element& element) {
    const Behavior behavior = element.flag("individual_digits", false) ? Behavior::isolated : Behavior::contiguous;
    return [pattern = characters(&is_number), behavior](Pieces& pieces) { split(pieces, pattern, behavior); };
}

static PreTokenizer make_metaspace(const Element& element) {
    const std::string mark = replacement_character(element);
    const Prepend prepend = prepend_scheme(element);
    const bool cuts = element.flag("split", true);
    const char32_t character = code_point(mark, 0).value;
    const Pattern marks = characters([character](char32_t value) { return value == character; });
    return [mark, prepend, cuts, marks](Pieces& pieces) {
        rewrite(pieces, [&](std::size_t i) {
            std::string result;
            for (const char c : pieces[i]) {
                if (c == ' ') result += mark;
                else result += c;
            }
            const bool wanted = prepend == Prepend::always || (prepend == Prepend::first && pieces.is_start(i));
            return wanted && result.compare(0, mark.size(), mark) != 0 ? mark + result : result;
        });
        if (cuts) split(pieces, marks, Behavior::merged_with_next);
    };
}

static PreTokenizer make_punctuation(const Element& element) {
    return [pattern = characters(&is_punctuation), behavior = behavior_of(element, "Isolated")](Pieces& pieces) {
        split(pieces, pattern, behavior);
    };
}

static PreTokenizer make_split(const Element& element) {
    return [pattern = make_pattern(element), behavior = behavior_of(element, ""), invert = element.flag("invert", false)](Pieces& pieces) {
        split(pieces, pattern, behavior, invert);
    };
}

/// Runs of word characters and runs of what is neither they nor white space.
static PreTokenizer make_whitespace(const Element&) {
    return [](Pieces& pieces) {
        enum class Run { none, word, other };
        std::vector<Span> result;
        for (const Span& piece : pieces.spans) {
            Run run = Run::none;
            for (std::size_t at = piece.begin; at < piece.begin + piece.length;) {
                const CodePoint c = code_point(pieces.text, at);
                const Run now = is_word_character(c.value) ? Run::word : is_white_space(c.value) ? Run::none : Run::other;
                if (now != Run::none && now == run) result.back().length += c.bytes;
                else if (now != Run::none) result.push_back({at, c.bytes});
                run = now;
                at += c.bytes;
            }
        }
        pieces.spans.swap(result);
    };
}

static PreTokenizer make_whitespace_split(const Element&) {
    return [pattern = characters(&is_white_space)](Pieces& pieces) { split(pieces, pattern, Behavior::removed); };
}

static PreTokenizer make_sequence(const Element& element) {
    std::vector<PreTokenizer> steps;
    for (const Element& item : element.member("pretokenizers").items()) steps.push_back(make_pre_tokenizer(item));
    return [steps](Pieces& pieces) {
        for (const PreTokenizer& step : steps) step(pieces);
    };
}

struct PreTokenizerType {
    std::string_view type;
    PreTokenizer (*make)(const Element&);
};
static constexpr PreTokenizerType pre_tokenizer_types[] = {
    {"BertPreTokenizer", &make_bert}, {"ByteLevel", &make_byte_level},   {"CharDelimiterSplit", &make_delimiter},
    {"Digits", &make_digits},         {"Metaspace", &make_metaspace},    {"Punctuation", &make_punctuation},
    {"Sequence", &make_sequence},     {"Split", &make_split},            {"Whitespace", &make_whitespace},
    {"WhitespaceSplit", &make_whitespace_split},
};

PreTokenizer make_pre_tokenizer(const Element& element) {
    if (element.is_null()) return [](Pieces&) {};
    return element.make(pre_tokenizer_types);
}

Prepend prepend_scheme(const Element& element) {
    const std::string name = element.text("prepend_scheme", element.flag("add_prefix_space", true) ? "always" : "never");
    if (name == "always") return Prepend::always;
    if (name == "first") return Prepend::first;
    if (name == "never") return Prepend::never;
    element.fail(ErrorKind::unsupported, "the prepend_scheme '{}' is not known", name);
}

std::string replacement_character(const Element& element) {
    const std::string mark = element.text("replacement");
    if (mark.empty() || code_point(mark, 0).bytes != mark.size())
        element.fail(ErrorKind::format, "the replacement '{}' is not one character", mark);
    return mark;
}

}  // namespace tailor::text::tokenizer_json
