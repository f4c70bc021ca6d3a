// A JSON value, small enough to be in any header's reach.
//
// nlohmann-json parses and prints; its header costs seconds of compile time, so only json.cpp includes it. Objects keep
// the order in which keys were added, so that output reads as it was written.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace tailor::core {

class Json {
  public:
    using Array = std::vector<Json>;
    using Object = std::vector<std::pair<std::string, Json>>;

    Json() = default;
    Json(std::nullptr_t) {}
    Json(bool value) : value_(value) {}
    Json(int value) : value_(std::int64_t{value}) {}
    Json(std::int64_t value) : value_(value) {}
    Json(std::uint64_t value) : value_(static_cast<std::int64_t>(value)) {}
    Json(double value) : value_(value) {}
    Json(const char* value) : value_(std::string(value)) {}
    Json(std::string value) : value_(std::move(value)) {}
    Json(std::string_view value) : value_(std::string(value)) {}
    Json(Array value) : value_(std::move(value)) {}
    Json(Object value) : value_(std::move(value)) {}
    template <class T>
    static Json array(const std::vector<T>& values) {
        Array result;
        for (const T& v : values) result.push_back(Json(v));
        return result;
    }

    /// Throws Error(format) naming `source` and the position.
    static Json parse(std::string_view text, std::string_view source = "JSON");
    /// indent < 0: one line. NaN and infinity print as null. Bytes that are not UTF-8 are replaced.
    std::string text(int indent = 2) const;

    bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
    bool is_number() const { return std::holds_alternative<std::int64_t>(value_) || std::holds_alternative<double>(value_); }
    /// Written without a fraction: 1, not 1.0.
    bool is_integer() const { return std::holds_alternative<std::int64_t>(value_); }
    bool is_string() const { return std::holds_alternative<std::string>(value_); }
    bool is_array() const { return std::holds_alternative<Array>(value_); }
    bool is_object() const { return std::holds_alternative<Object>(value_); }

    /// Each throws Error(format) when the value is of another kind.
    bool boolean() const;
    std::int64_t integer() const;
    double number() const;
    const std::string& string() const;
    const Array& items() const;
    const Object& members() const;

    /// Member of an object; nullptr when missing or not an object.
    const Json* find(std::string_view key) const;
    /// Member of an object; Error(format) when missing.
    const Json& at(std::string_view key) const;
    /// Adds or replaces a member (null becomes an object).
    Json& set(std::string_view key, Json value);
    /// Appends an item (null becomes an array).
    Json& add(Json value);

  private:
    std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

}  // namespace tailor::core
