// Templates in the language of Jinja, as far as the chat templates of models use it.
//
// A chat template turns a list of messages into the exact text that a model was trained on; Hugging Face renders it with
// Jinja2 for Python. No C++ library of Debian renders these templates, so this folder is an interpreter of its own:
//   lexer.h        text -> tokens, with the white space rules that Hugging Face sets
//   parser.h       tokens -> a tree (syntax.h)
//   interpreter.h  walks the tree; builtins.h holds the filters, tests, methods and functions
//   value.h        values that behave and print as Python's do
//   runtime.h      owns the values of one rendering and bounds its work and memory
// Supported: if, for (with a condition, else, break, continue and `loop`), set (also of blocks and namespaces), macro,
// call, filter, with, raw and generation blocks; all expressions; the builtins of the tables. Not supported, and reported
// as such with its line: other templates (include, import, extends, block), recursive loops, integers above 64 bits.
// Of Python's objects there are only texts, numbers, lists and dictionaries with their methods: no __class__ and the like.
#pragma once
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "core/json.h"

namespace tailor::text::templates {

struct RenderOptions {
    std::tm now{};                          ///< for strftime_now
    std::size_t most_work = 50'000'000;     ///< steps; see runtime.h
    std::size_t most_bytes = 512u << 20;    ///< of memory
};

/// The local time as RenderOptions wants it.
std::tm local_time();

/// A template that was read once and can be rendered often, also from several threads at once.
class Template {
  public:
    /// `name` begins every message. Throws Error(format) for a mistake and Error(unsupported) for a statement that this
    /// interpreter does not know, both with the line.
    Template(std::string_view source, std::string name);
    ~Template();
    Template(Template&&) noexcept;

    /// The text for these variables, the members of a JSON object. Throws Error with the line: usage when the template
    /// itself refuses (raise_exception), unsupported beyond the limits or for a missing builtin, format for any other
    /// mistake, such as using what is undefined.
    std::string render(const core::Json& variables, const RenderOptions& options) const;

  private:
    struct Parsed;
    std::string name_;
    std::unique_ptr<const Parsed> parsed_;
};

}  // namespace tailor::text::templates
