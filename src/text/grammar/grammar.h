// Grammars that people write: GBNF and JSON Schema.
#pragma once
#include "core/json.h"
#include "text/grammar/rules.h"

namespace tailor::text::grammar {

/// GBNF: lines `name ::= ...`, beginning with `root`, of "literals", [classes], [^other characters], any character (.), references,
/// (groups), alternatives (|), repetitions (* + ? {n} {n,} {n,m}) and comments (#). Throws Error(format) naming line and column.
Rules from_gbnf(std::string_view text);

/// JSON that is valid under a schema, on one line or with line breaks between members, with no more white space than people use.
/// Members come in the order of `properties`; members that are not named come only where additionalProperties asks for them.
/// Numbers have at most 15 digits before and after the point. Throws Error(unsupported) naming a keyword, and where it stands, that
/// would have to be honoured and is not; Error(format) for what is no schema.
Rules from_json_schema(const core::Json& schema);

/// Any JSON value; any JSON object.
Rules any_json();
Rules any_json_object();

}  // namespace tailor::text::grammar
