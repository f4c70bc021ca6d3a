// What the keyword `format` of JSON Schema asks of strings.
#pragma once
#include <string>
#include <string_view>

namespace tailor::text::grammar {

/// A regular expression whose texts are all of this format, and nearly all that people write in it; empty for a name that is not known.
std::string pattern_of_format(std::string_view name);
/// The names, for messages.
std::string format_names();

}  // namespace tailor::text::grammar
