// Typed access with messages; see element.h.
#include "text/tokenizer_json/element.h"

namespace tailor::text::tokenizer_json {

using core::ErrorKind;

static const core::Json null_json;

Element Element::member(std::string_view key) const {
    const core::Json* const found = json_->find(key);
    return {found ? *found : null_json, core::format("{}{}{}", place_, place_.find(": ") == std::string::npos ? ": " : ".", key)};
}

std::vector<Element> Element::items() const {
    if (!json_->is_array()) fail(ErrorKind::format, "this must be an array");
    std::vector<Element> result;
    for (const core::Json& item : json_->items()) result.emplace_back(item, core::format("{}[{}]", place_, result.size()));
    return result;
}

std::string Element::text() const {
    if (!json_->is_string()) fail(ErrorKind::format, "this must be a string");
    return json_->string();
}

std::string Element::text(std::string_view key) const { return member(key).text(); }

std::string Element::text(std::string_view key, std::string_view fallback) const {
    const Element found = member(key);
    return found.is_null() ? std::string(fallback) : found.text();
}

/// What `read` gives; its complaint about the type of a value gets the place.
template <class Read>
static auto placed(const Element& element, std::string_view wanted, const Read& read) {
    try {
        return read(element.json());
    } catch (const core::Error&) {
        element.fail(ErrorKind::format, "this must be {}", wanted);
    }
}

bool Element::flag(std::string_view key, bool fallback) const {
    const Element found = member(key);
    return found.is_null() ? fallback : placed(found, "true or false", [](const core::Json& json) { return json.boolean(); });
}

std::int64_t Element::integer() const {
    return placed(*this, "an integer", [](const core::Json& json) { return json.integer(); });
}

std::int64_t Element::integer(std::string_view key, std::int64_t fallback) const {
    const Element found = member(key);
    return found.is_null() ? fallback : found.integer();
}

double Element::number() const {
    return placed(*this, "a number", [](const core::Json& json) { return json.number(); });
}

void check_growth(std::size_t now, std::size_t before) {
    // The longest expansion in Unicode is 18 characters for one (U+FDFA in compatibility form).
    if (now > 256 * before + 4096)
        core::fail(ErrorKind::unsupported, "the tokenizer's rules make {} bytes of a text of {}; its file is not sound", now, before);
}

}  // namespace tailor::text::tokenizer_json
