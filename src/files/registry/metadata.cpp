// Typed look-ups and building of metadata; see metadata.h.
//
// A model file has some tens of keys, so entries are a plain list in file order and a look-up walks it: the order is what
// a rewritten file must keep, and an index would cost more than it saves.
#include "files/metadata.h"

#include "core/error.h"

namespace tailor::files {

using core::ErrorKind;

std::string_view name(MetaType type) {
    switch (type) {
        case MetaType::u8: return "u8";
        case MetaType::i8: return "i8";
        case MetaType::u16: return "u16";
        case MetaType::i16: return "i16";
        case MetaType::u32: return "u32";
        case MetaType::i32: return "i32";
        case MetaType::f32: return "f32";
        case MetaType::boolean: return "boolean";
        case MetaType::string: return "string";
        case MetaType::array: return "array";
        case MetaType::u64: return "u64";
        case MetaType::i64: return "i64";
        case MetaType::f64: return "f64";
    }
    return "unknown type";
}

bool is_integer(MetaType type) {
    switch (type) {
        case MetaType::u8:
        case MetaType::i8:
        case MetaType::u16:
        case MetaType::i16:
        case MetaType::u32:
        case MetaType::i32:
        case MetaType::u64:
        case MetaType::i64: return true;
        default: return false;
    }
}

bool is_real(MetaType type) { return type == MetaType::f32 || type == MetaType::f64; }

core::Json MetaValue::json(std::size_t most_items) const {
    if (type == MetaType::string) return text;
    if (type == MetaType::boolean) return integer != 0;
    if (is_real(type)) return real;
    if (type != MetaType::array) return integer;
    core::Json::Array result;
    const std::size_t shown = std::min(items(), most_items);
    for (std::size_t i = 0; i < shown; ++i) {
        if (item_type == MetaType::string) result.push_back(texts[i]);
        else if (item_type == MetaType::boolean) result.push_back(integers[i] != 0);
        else if (is_real(item_type)) result.push_back(reals[i]);
        else result.push_back(integers[i]);
    }
    if (shown < items()) result.push_back(core::format("... {} more", items() - shown));
    return result;
}

const MetaValue* Metadata::find(std::string_view key) const {
    for (const auto& [name, value] : entries_)
        if (name == key) return &value;
    return nullptr;
}

static std::string describe(const MetaValue& value) {
    if (value.type == MetaType::array) return core::format("an array of {} {}", value.items(), name(value.item_type));
    return core::format("a value of type {}", name(value.type));
}

[[noreturn]] static void wrong_type(std::string_view key, const MetaValue* value, std::string_view wanted) {
    if (!value) core::fail(ErrorKind::format, "the metadata has no key '{}', which must be {}", key, wanted);
    core::fail(ErrorKind::format, "metadata key '{}' is {}; it must be {}", key, describe(*value), wanted);
}

static std::int64_t as_integer(std::string_view key, const MetaValue* value) {
    if (!value || !is_integer(value->type)) wrong_type(key, value, "an integer");
    return value->integer;
}

static double as_real(std::string_view key, const MetaValue* value) {
    if (value && is_integer(value->type)) return static_cast<double>(value->integer);
    if (!value || !is_real(value->type)) wrong_type(key, value, "a number");
    return value->real;
}

static std::string_view as_text(std::string_view key, const MetaValue* value) {
    if (!value || value->type != MetaType::string) wrong_type(key, value, "a string");
    return value->text;
}

std::int64_t Metadata::integer(std::string_view key) const { return as_integer(key, find(key)); }
double Metadata::real(std::string_view key) const { return as_real(key, find(key)); }
std::string_view Metadata::text(std::string_view key) const { return as_text(key, find(key)); }

std::int64_t Metadata::integer(std::string_view key, std::int64_t fallback) const {
    const MetaValue* const value = find(key);
    return value ? as_integer(key, value) : fallback;
}

double Metadata::real(std::string_view key, double fallback) const {
    const MetaValue* const value = find(key);
    return value ? as_real(key, value) : fallback;
}

bool Metadata::boolean(std::string_view key, bool fallback) const {
    const MetaValue* const value = find(key);
    if (!value) return fallback;
    if (value->type != MetaType::boolean) wrong_type(key, value, "a boolean");
    return value->integer != 0;
}

std::string_view Metadata::text(std::string_view key, std::string_view fallback) const {
    const MetaValue* const value = find(key);
    return value ? as_text(key, value) : fallback;
}

const std::vector<std::string_view>& Metadata::texts(std::string_view key) const {
    static const std::vector<std::string_view> none;
    const MetaValue* const value = find(key);
    if (!value) return none;
    if (value->type != MetaType::array || value->item_type != MetaType::string) wrong_type(key, value, "an array of strings");
    return value->texts;
}

const std::vector<std::int64_t>& Metadata::integers(std::string_view key) const {
    static const std::vector<std::int64_t> none;
    const MetaValue* const value = find(key);
    if (!value) return none;
    if (value->type != MetaType::array || !(is_integer(value->item_type) || value->item_type == MetaType::boolean))
        wrong_type(key, value, "an array of integers");
    return value->integers;
}

std::vector<double> Metadata::reals(std::string_view key) const {
    const MetaValue* const value = find(key);
    if (!value) return {};
    if (value->type != MetaType::array || !(is_integer(value->item_type) || is_real(value->item_type)))
        wrong_type(key, value, "an array of numbers");
    if (is_real(value->item_type)) return value->reals;
    return {value->integers.begin(), value->integers.end()};
}

void Metadata::set(std::string_view key, MetaValue value) {
    for (auto& [name, old] : entries_)
        if (name == key) {
            old = std::move(value);
            return;
        }
    append(key, std::move(value));
}

void Metadata::set_integer(std::string_view key, std::int64_t integer, MetaType type) {
    MetaValue value;
    value.type = type;
    value.integer = integer;
    set(key, std::move(value));
}

void Metadata::set_real(std::string_view key, double real, MetaType type) {
    MetaValue value;
    value.type = type;
    value.real = real;
    set(key, std::move(value));
}

void Metadata::set_boolean(std::string_view key, bool truth) { set_integer(key, truth ? 1 : 0, MetaType::boolean); }

void Metadata::set_text(std::string_view key, std::string text) {
    MetaValue value;
    value.type = MetaType::string;
    value.own = std::make_shared<const std::string>(std::move(text));
    value.text = *value.own;
    set(key, std::move(value));
}

void Metadata::set_texts(std::string_view key, const std::vector<std::string>& values) {
    std::string all;
    for (const std::string& text : values) all += text;
    MetaValue value;
    value.type = MetaType::array;
    value.item_type = MetaType::string;
    value.own = std::make_shared<const std::string>(std::move(all));
    std::size_t at = 0;
    for (const std::string& text : values) {
        value.texts.push_back(std::string_view(*value.own).substr(at, text.size()));
        at += text.size();
    }
    set(key, std::move(value));
}

void Metadata::set_integers(std::string_view key, std::vector<std::int64_t> values, MetaType type) {
    MetaValue value;
    value.type = MetaType::array;
    value.item_type = type;
    value.integers = std::move(values);
    set(key, std::move(value));
}

void Metadata::set_reals(std::string_view key, std::vector<double> values, MetaType type) {
    MetaValue value;
    value.type = MetaType::array;
    value.item_type = type;
    value.reals = std::move(values);
    set(key, std::move(value));
}

}  // namespace tailor::files
