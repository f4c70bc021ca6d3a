// Cuts a template into tokens, with the white space rules that Hugging Face sets: trim_blocks (the line break after a
// block or comment disappears) and lstrip_blocks (so do blanks between the start of a line and a block or comment).
//
//   {{ expression }}   {% statement %}   {# comment #}   {% raw %} text {% endraw %}
// A '-' inside a tag strips all white space on that side of it, a '+' switches the two rules off there. All line breaks
// become "\n", and one at the very end of the template is dropped.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace tailor::text::templates {

struct Token {
    enum class Kind { data, print_begin, print_end, block_begin, block_end, name, text, integer, real, symbol, end } kind;
    std::string text;  ///< of data; of text with its escapes resolved; the spelling of names, numbers and symbols
    int line = 1;
};

/// The last token is of kind end. Throws Error(format) naming template and line.
std::vector<Token> tokenize(std::string_view source, std::string_view template_name);

}  // namespace tailor::text::templates
