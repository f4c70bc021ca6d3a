// Pieces of JSON text as expressions, shared by schemas and patterns.
#pragma once
#include "text/grammar/rules.h"

namespace tailor::text::grammar {

/// Characters of a JSON string that stand for themselves, less `without`.
Expression plain_characters(std::vector<Range> without = {});
/// One character of a JSON string, escaped or not. Surrogates are not escaped: half a pair is not a character.
Expression string_character();
/// Characters of a set as a JSON string spells them.
Expression escaped(const std::vector<Range>& ranges);

/// The text between the quotes of a JSON string that matches an ECMAScript regular expression somewhere, as the keyword `pattern` asks.
/// Throws Error(unsupported) naming a construct that is not known: look-around, back references, \b, lazy repetition counts for nothing.
Expression string_matching(std::string_view pattern, const std::string& where);

}  // namespace tailor::text::grammar
