// See metadata_json.h.
#include "files/metadata_json.h"

#include <cmath>
#include <cstdlib>

#include "core/error.h"
#include "files/quoted.h"

namespace tailor::files {

namespace {

using core::ErrorKind;
using core::fail;
using core::Json;

constexpr std::string_view hexadecimal_member = "hexadecimal";
/// Every integer up to here is a double, which is what other readers of JSON make of numbers.
constexpr std::int64_t largest_exact = std::int64_t{1} << 53;

Json integer_json(std::int64_t value) {
    return value >= -largest_exact && value <= largest_exact ? Json(value) : Json(std::to_string(value));
}

Json real_json(double value) {
    if (std::isfinite(value)) return value;
    return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

Json text_json(std::string_view text) {
    if (core::is_utf8(text)) return text;
    std::string digits;
    for (const char c : text) digits += core::format("{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    return Json().set(hexadecimal_member, digits);
}

Json scalar_json(MetaType type, std::int64_t integer, double real, std::string_view text) {
    if (type == MetaType::string) return text_json(text);
    if (is_real(type)) return real_json(real);
    if (type == MetaType::boolean) return integer != 0;
    return integer_json(integer);
}

Json value_json(const MetaValue& value) {
    const bool array = value.type == MetaType::array;
    const MetaType type = array ? value.item_type : value.type;
    Json content;
    if (!array) content = scalar_json(type, value.integer, value.real, value.text);
    else {
        Json::Array items;
        for (const std::int64_t integer : value.integers) items.push_back(scalar_json(type, integer, 0, {}));
        for (const double real : value.reals) items.push_back(real_json(real));
        for (const std::string_view text : value.texts) items.push_back(text_json(text));
        content = Json(std::move(items));
    }
    return Json(Json::Array{Json(name(type)), std::move(content)});
}

MetaType type_named(std::string_view wanted) {
    for (int id = 0; id <= static_cast<int>(MetaType::f64); ++id)
        if (const auto type = static_cast<MetaType>(id); type != MetaType::array && name(type) == wanted) return type;
    fail(ErrorKind::format, "there is no value type {}", quoted(wanted));
}

std::int64_t integer_of(MetaType type, const Json& json) {
    if (type == MetaType::boolean) return json.boolean();
    if (!json.is_string()) return json.integer();
    char* end = nullptr;
    const std::string& digits = json.string();
    const std::int64_t value = std::strtoll(digits.c_str(), &end, 10);
    if (digits.empty() || *end) fail(ErrorKind::format, "{} is no integer", quoted(digits));
    return value;
}

double real_of(const Json& json) {
    if (!json.is_string()) return json.number();
    const std::string& word = json.string();
    if (word == "nan") return std::nan("");
    if (word == "inf" || word == "-inf") return word == "inf" ? HUGE_VAL : -HUGE_VAL;
    fail(ErrorKind::format, "{} is no number", quoted(word));
}

std::string text_of(const Json& json) {
    const Json* const digits = json.find(hexadecimal_member);
    if (!digits) return json.string();
    std::string text;
    const std::string& pairs = digits->string();
    for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) text += static_cast<char>(std::strtol(pairs.substr(i, 2).c_str(), nullptr, 16));
    return text;
}

/// The smallest and largest value of an integer type.
std::pair<std::int64_t, std::int64_t> range_of(MetaType type) {
    switch (type) {
        case MetaType::u8: return {0, UINT8_MAX};
        case MetaType::i8: return {INT8_MIN, INT8_MAX};
        case MetaType::u16: return {0, UINT16_MAX};
        case MetaType::i16: return {INT16_MIN, INT16_MAX};
        case MetaType::u32: return {0, UINT32_MAX};
        case MetaType::i32: return {INT32_MIN, INT32_MAX};
        case MetaType::u64: return {0, INT64_MAX};
        default: return {INT64_MIN, INT64_MAX};
    }
}

void append_value(Metadata& metadata, const std::string& key, const Json& pair) {
    if (!pair.is_array() || pair.items().size() != 2) fail(ErrorKind::format, "it is not [type, value]");
    const MetaType type = type_named(pair.items()[0].string());
    const Json& content = pair.items()[1];
    const bool array = content.is_array();
    std::vector<std::int64_t> integers;
    std::vector<double> reals;
    std::vector<std::string> texts;
    const auto take = [&](const Json& item) {
        if (type == MetaType::string) return texts.push_back(text_of(item));
        if (is_real(type)) return reals.push_back(real_of(item));
        integers.push_back(integer_of(type, item));
        const auto [least, most] = range_of(type);
        if (integers.back() < least || integers.back() > most) fail(ErrorKind::format, "{} is no {}", integers.back(), name(type));
    };
    if (!array) take(content);
    else
        for (const Json& item : content.items()) take(item);
    if (type == MetaType::string) return array ? metadata.set_texts(key, texts) : metadata.set_text(key, texts[0]);
    if (is_real(type)) return array ? metadata.set_reals(key, reals, type) : metadata.set_real(key, reals[0], type);
    if (array) return metadata.set_integers(key, integers, type);
    if (type == MetaType::boolean) return metadata.set_boolean(key, integers[0] != 0);
    metadata.set_integer(key, integers[0], type);
}

}  // namespace

Json typed_json(const Metadata& metadata) {
    Json::Object members;
    for (const auto& [key, value] : metadata.entries()) members.emplace_back(key, value_json(value));
    return members;
}

void read_typed_json(const Json& json, std::string_view source, Metadata& metadata) {
    if (!json.is_object()) fail(ErrorKind::format, "{}: not a JSON object of keys", source);
    for (const auto& [key, value] : json.members()) {
        try {
            append_value(metadata, key, value);
        } catch (const core::Error& error) {
            throw core::Error(error.kind(), core::format("{}: key {}: {}", source, quoted(key), error.what()));
        }
    }
}

}  // namespace tailor::files
