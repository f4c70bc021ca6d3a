// The only file that includes nlohmann-json; see json.h.
#include "core/json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace tailor::core {

using Library = nlohmann::ordered_json;

static Json from_library(const Library& value) {
    switch (value.type()) {
        case Library::value_t::boolean: return value.get<bool>();
        case Library::value_t::number_integer: return value.get<std::int64_t>();
        case Library::value_t::number_unsigned: {
            const auto number = value.get<std::uint64_t>();
            return number > INT64_MAX ? Json(static_cast<double>(number)) : Json(number);
        }
        case Library::value_t::number_float: return value.get<double>();
        case Library::value_t::string: return value.get<std::string>();
        case Library::value_t::array: {
            Json::Array items;
            for (const auto& item : value) items.push_back(from_library(item));
            return items;
        }
        case Library::value_t::object: {
            Json::Object members;
            for (const auto& [key, member] : value.items()) members.emplace_back(key, from_library(member));
            return members;
        }
        default: return {};
    }
}

static Library to_library(const Json& value) {
    if (value.is_string()) return value.string();
    if (value.is_array()) {
        Library result = Library::array();
        for (const Json& item : value.items()) result.push_back(to_library(item));
        return result;
    }
    if (value.is_object()) {
        Library result = Library::object();
        for (const auto& [key, member] : value.members()) result[key] = to_library(member);
        return result;
    }
    if (value.is_null()) return nullptr;
    if (value.is_number()) {
        const double number = value.number();
        if (!std::isfinite(number)) return nullptr;
        return std::floor(number) == number && std::fabs(number) < 9e15 ? Library(value.integer()) : Library(number);
    }
    return value.boolean();
}

// A reader that counts nesting first: the library's parser is iterative but the tree's destructor is not.
static void check_depth(std::string_view text, std::string_view source) {
    int depth = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            if (c == '\\') ++i;
            else if (c == '"') quoted = false;
        } else if (c == '"') quoted = true;
        else if (c == '{' || c == '[') {
            if (++depth > 200) fail(ErrorKind::format, "{}: nested deeper than 200 levels at byte {}", source, i);
        } else if (c == '}' || c == ']') --depth;
    }
}

Json Json::parse(std::string_view text, std::string_view source) {
    check_depth(text, source);
    try {
        return from_library(Library::parse(text));
    } catch (const nlohmann::json::exception& error) {
        fail(ErrorKind::format, "{}: {}", source, std::string(error.what()));
    }
}

std::string Json::text(int indent) const { return to_library(*this).dump(indent, ' ', false, Library::error_handler_t::replace); }

template <class T>
static const T& get_as(const auto& value, const char* kind) {
    if (const T* v = std::get_if<T>(&value)) return *v;
    fail(ErrorKind::format, "JSON value is not {}", kind);
}

bool Json::boolean() const { return get_as<bool>(value_, "true or false"); }
std::int64_t Json::integer() const {
    if (const double* v = std::get_if<double>(&value_); v && std::floor(*v) == *v && std::fabs(*v) < 9e18) return static_cast<std::int64_t>(*v);
    return get_as<std::int64_t>(value_, "an integer");
}
double Json::number() const {
    if (const auto* v = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*v);
    return get_as<double>(value_, "a number");
}
const std::string& Json::string() const { return get_as<std::string>(value_, "a string"); }
const Json::Array& Json::items() const { return get_as<Array>(value_, "an array"); }
const Json::Object& Json::members() const { return get_as<Object>(value_, "an object"); }

const Json* Json::find(std::string_view key) const {
    if (const auto* object = std::get_if<Object>(&value_))
        for (const auto& [name, value] : *object)
            if (name == key) return &value;
    return nullptr;
}

const Json& Json::at(std::string_view key) const {
    if (const Json* value = find(key)) return *value;
    fail(ErrorKind::format, "JSON object has no member '{}'", key);
}

Json& Json::set(std::string_view key, Json value) {
    if (is_null()) value_ = Object{};
    auto& object = std::get<Object>(value_);
    for (auto& [name, old] : object)
        if (name == key) { old = std::move(value); return *this; }
    object.emplace_back(std::string(key), std::move(value));
    return *this;
}

Json& Json::add(Json value) {
    if (is_null()) value_ = Array{};
    std::get<Array>(value_).push_back(std::move(value));
    return *this;
}

}  // namespace tailor::core
