// The only file that includes <regex>; see rules.h.
#include "cli/rules.h"

#include <regex>

#include "core/error.h"
#include "formats/registry.h"

namespace tailor::cli {

struct FormatRules::Rule {
    std::string text;
    std::regex expression;
    const formats::Format* format;
    bool used = false;
};

FormatRules::FormatRules(const std::vector<std::string>& rules) {
    for (const std::string& text : rules) {
        // The last '=' separates: expressions may hold one (look-ahead), names of formats never do.
        const std::size_t at = text.rfind('=');
        if (at == std::string::npos || at == 0)
            core::fail(core::ErrorKind::usage, "--rule '{}' should be 'expression=format', such as 'ffn_down=q6_k'", text);
        const formats::Format& format = formats::get(text.substr(at + 1));
        try {
            rules_.push_back(std::make_unique<Rule>(Rule{text, std::regex(text.substr(0, at), std::regex::ECMAScript), &format}));
        } catch (const std::regex_error& error) {
            core::fail(core::ErrorKind::usage, "--rule '{}' has a bad regular expression: {}", text, error.what());
        }
    }
}

FormatRules::~FormatRules() = default;

const formats::Format* FormatRules::find(std::string_view tensor) {
    for (const auto& rule : rules_)
        if (std::regex_search(tensor.begin(), tensor.end(), rule->expression)) {
            rule->used = true;
            return rule->format;
        }
    return nullptr;
}

void FormatRules::require_all_used() const {
    for (const auto& rule : rules_)
        if (!rule->used)
            core::fail(core::ErrorKind::usage, "--rule '{}' decides about no weight matrix; `tailor inspect --tensors` lists their names", rule->text);
}

}  // namespace tailor::cli
