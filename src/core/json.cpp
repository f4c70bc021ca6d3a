// The only file that includes nlohmann-json; see json.h.
#include "core/json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace tailor::core {

using Library = nlohmann::ordered_json;

// Builds the tree while the library parses. The library's own ordered object looks for every new key among the older ones,
// which takes minutes for a vocabulary of 150,000 words.
class TreeBuilder : public nlohmann::json_sax<Library> {
  public:
    Json take() { return std::move(root_); }
    std::string error;

    bool null() override { return put({}); }
    bool boolean(bool value) override { return put(value); }
    bool number_integer(number_integer_t value) override { return put(std::int64_t{value}); }
    bool number_unsigned(number_unsigned_t value) override { return put(value > INT64_MAX ? Json(static_cast<double>(value)) : Json(std::uint64_t{value})); }
    bool number_float(number_float_t value, const string_t&) override { return put(value); }
    bool string(string_t& value) override { return put(std::move(value)); }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override { return open(true); }
    bool key(string_t& name) override {
        open_.back().key = std::move(name);
        return true;
    }
    bool end_object() override { return close(); }
    bool start_array(std::size_t) override { return open(false); }
    bool end_array() override { return close(); }
    bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& cause) override {
        const std::string_view message = cause.what(), end_of_name = "] ";
        const std::size_t name = message.find(end_of_name);
        error = message.substr(name == std::string_view::npos ? 0 : name + end_of_name.size());
        return false;
    }

  private:
    struct Open {
        bool is_object;
        Json::Object members;
        Json::Array items;
        std::string key;
    };
    bool put(Json value) {
        if (open_.empty()) root_ = std::move(value);
        else if (open_.back().is_object) open_.back().members.emplace_back(std::move(open_.back().key), std::move(value));
        else open_.back().items.push_back(std::move(value));
        return true;
    }
    bool open(bool is_object) {
        open_.push_back({is_object, {}, {}, {}});
        return true;
    }
    bool close() {
        Open done = std::move(open_.back());
        open_.pop_back();
        return put(done.is_object ? Json(std::move(done.members)) : Json(std::move(done.items)));
    }

    Json root_;
    std::vector<Open> open_;
};

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
    if (value.is_integer()) return value.integer();
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
    TreeBuilder builder;
    if (!Library::sax_parse(text, &builder)) fail(ErrorKind::format, "{}: {}", source, builder.error);
    return builder.take();
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
