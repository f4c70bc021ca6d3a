// A part of a tokenizer.json file: its JSON, and where it stands, so that every message can say so.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/json.h"

namespace tailor::text::tokenizer_json {

class Element {
  public:
    Element(const core::Json& json, std::string place) : json_(&json), place_(std::move(place)) {}

    const core::Json& json() const { return *json_; }
    /// "tokenizer.json: normalizer.normalizers[1]"
    const std::string& place() const { return place_; }

    /// A member; is_null() if it is missing.
    Element member(std::string_view key) const;
    bool is_null() const { return json_->is_null(); }
    /// The items of an array. Throws Error(format).
    std::vector<Element> items() const;

    /// Values of members. Where there is a fallback, it stands for a member that is missing or null; else that is an
    /// Error(format), as is any other type.
    std::string text(std::string_view key) const;
    std::string text(std::string_view key, std::string_view fallback) const;
    bool flag(std::string_view key, bool fallback) const;
    std::int64_t integer(std::string_view key, std::int64_t fallback) const;
    /// The element itself as text or number.
    std::string text() const;
    double number() const;
    std::int64_t integer() const;

    template <class... A>
    [[noreturn]] void fail(core::ErrorKind kind, std::string_view pattern, const A&... arguments) const {
        core::fail(kind, "{}: {}", place_, core::format(pattern, arguments...));
    }

    /// Calls the maker of the entry in `table` whose name is the member "type". Throws Error(unsupported) listing the names.
    template <class Table>
    auto make(const Table& table) const {
        const std::string type = text("type");
        std::vector<std::string> names;
        for (const auto& entry : table) {
            if (entry.type == type) return entry.make(*this);
            names.emplace_back(entry.type);
        }
        fail(core::ErrorKind::unsupported, "the type '{}' is not supported; there are {}", type, core::join(names, ", "));
    }

  private:
    const core::Json* json_;
    std::string place_;
};

/// Throws Error(unsupported) if rules made of a text of `before` bytes one of `now` bytes, far more than any use of them: a file
/// that doubles a text fifty times over is broken or an attack.
void check_growth(std::size_t now, std::size_t before);

}  // namespace tailor::text::tokenizer_json
