// How a tokenizer.json file cuts text into words, which are then tokenized each for itself.
//
// Most types cut at the matches of a pattern and differ in what becomes of a match: it is a piece of its own, it is
// dropped, or it goes with a neighbour. Some also rewrite: bytes as characters, spaces as U+2581.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "text/regex.h"
#include "text/tokenizer_json/element.h"

namespace tailor::text::tokenizer_json {

/// A text and the pieces it was cut into, in order and without gaps that matter.
struct Pieces {
    std::string text;         ///< valid UTF-8
    std::vector<Span> spans;  ///< none is empty
    bool starts = true;       ///< the text begins what the user gave, so that the first piece may too
    std::size_t original_bytes = 0;

    Pieces(std::string whole, bool is_start) : text(std::move(whole)), starts(is_start), original_bytes(text.size()) {
        if (!text.empty()) spans.push_back({0, text.size()});
    }
    std::string_view operator[](std::size_t i) const { return std::string_view(text).substr(spans[i].begin, spans[i].length); }
    /// True for the piece that begins what the user gave.
    bool is_start(std::size_t i) const { return starts && spans[i].begin == 0; }
};

/// Safe to call from several threads.
using PreTokenizer = std::function<void(Pieces&)>;

/// The pre-tokenizer of an element; of null, the one that leaves a text whole. Throws Error(format) or Error(unsupported).
PreTokenizer make_pre_tokenizer(const Element& element);

/// Member "prepend_scheme" of a Metaspace element, or what its older member "add_prefix_space" means.
enum class Prepend { always, first, never };
Prepend prepend_scheme(const Element& element);
/// Member "replacement" of a Metaspace element: one character. Throws Error(format).
std::string replacement_character(const Element& element);

}  // namespace tailor::text::tokenizer_json
