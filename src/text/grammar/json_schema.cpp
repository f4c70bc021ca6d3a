// JSON Schema (draft 2020-12, and what older drafts share with it) to rules; see grammar.h.
//
// Everything that is written is valid under the schema, but not everything valid can be written: members come in the order of
// `properties`, unknown members only if additionalProperties is written out, and no white space beyond what people use. A keyword that
// constrains and is not known is an error, since to leave it out would be to break the promise.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>
#include <set>
#include <utility>

#include "core/error.h"
#include "text/grammar/grammar.h"
#include "text/grammar/json_text.h"
#include "text/grammar/numbers.h"
#include "text/grammar/string_formats.h"

namespace tailor::text::grammar {
namespace {

using core::ErrorKind;
using core::fail;
using core::Json;

constexpr std::string_view annotations[] = {"title", "description", "default", "examples", "example", "$schema", "$id", "id", "$comment", "deprecated",
                                            "readOnly", "writeOnly", "$defs", "definitions", "contentMediaType", "contentEncoding", "$anchor", "discriminator"};

bool is_text(const Json& v) { return v.is_string(); }
bool is_number(const Json& v) { return v.is_number(); }
bool is_list(const Json& v) { return v.is_array(); }
bool is_object(const Json& v) { return v.is_object(); }
bool is_boolean(const Json& v) { return !v.is_null() && !v.is_number() && !v.is_string() && !v.is_array() && !v.is_object(); }
bool is_false(const Json& v) { return is_boolean(v) && !v.boolean(); }
bool is_schema(const Json& v) { return v.is_object() || is_boolean(v); }
bool are_texts(const Json& v) { return v.is_array() && std::all_of(v.items().begin(), v.items().end(), is_text); }
std::string brief(const Json& v) {
    constexpr std::size_t most = 40;
    const std::string text = v.text(-1);
    return text.size() <= most ? text : text.substr(0, most) + " ...";
}
struct Keyword {
    std::string_view name;
    bool (*holds)(const Json& value);
    std::string_view what;  ///< its value must be
};
constexpr std::string_view a_number = "a number", a_text = "a string", a_list = "an array", a_schema = "an object, true or false";
constexpr Keyword keywords[] = {
    {"type", [](const Json& v) { return is_text(v) || are_texts(v); }, "the name of a type, or an array of such"},
    {"enum", is_list, a_list}, {"const", [](const Json&) { return true; }, ""}, {"$ref", is_text, a_text},
    {"anyOf", is_list, a_list}, {"oneOf", is_list, a_list}, {"allOf", is_list, a_list},
    {"properties", is_object, "an object"}, {"required", are_texts, "an array of strings"}, {"additionalProperties", is_schema, a_schema}, {"minProperties", is_number, a_number},
    {"items", [](const Json& v) { return is_schema(v) || is_list(v); }, a_schema}, {"prefixItems", is_list, a_list}, {"minItems", is_number, a_number},
    {"maxItems", is_number, a_number}, {"uniqueItems", is_boolean, "true or false"},
    {"minLength", is_number, a_number}, {"maxLength", is_number, a_number}, {"pattern", is_text, a_text}, {"format", is_text, a_text},
    {"minimum", is_number, a_number}, {"maximum", is_number, a_number}, {"exclusiveMinimum", is_number, a_number}, {"exclusiveMaximum", is_number, a_number},
    {"multipleOf", is_number, a_number},
};
// Of two the stricter holds.
constexpr std::string_view lower_limits[] = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"};
constexpr std::string_view upper_limits[] = {"maximum", "exclusiveMaximum", "maxLength", "maxItems"};
constexpr std::string_view all_types[] = {"object", "array", "string", "integer", "number", "boolean", "null"};
// Members of one object; a schema with more would need the square of their number in rules.
constexpr std::size_t most_members = 300;
constexpr int most_depth = 100;
constexpr int most_visits = 100'000;

template <class List>
bool is_in(const List& list, std::string_view word) { return std::find(std::begin(list), std::end(list), word) != std::end(list); }
/// Keywords that constrain nothing. Names that begin with x- are free for everybody's own.
bool is_annotation(std::string_view keyword) { return is_in(annotations, keyword) || keyword.starts_with("x-"); }

Expression white_space() { return reference("white-space"); }
Expression comma() { return sequence({literal(","), white_space()}); }
Expression quoted(Expression inside) { return sequence({literal("\""), std::move(inside), literal("\"")}); }

class Compiler {
  public:
    explicit Compiler(const Json& root) : root_(root) {
        rules_.define("white-space", choice({sequence({}), literal(" "), sequence({literal("\n"), repeat(literal(" "), 0, 20)})}));
        rules_.define("value", choice({reference("object"), reference("array"), reference("string"), any_number(), literal("true"), literal("false"), literal("null")}));
        rules_.define("string", quoted(repeat(string_character(), 0, -1)));
        rules_.define("object", members({}, {}, &any_, "#"));
        rules_.define("array", list({}, &any_, 0, -1, "#"));
    }
    Rules compile(const char* rule = nullptr) {
        rules_.define("root", rule ? reference(rule) : value(root_, "#", 0));
        return rules_.finish("root");
    }

  private:
    static std::string within(const std::string& where, std::string_view key) { return where + "/" + std::string(key); }

    void check_keywords(const Json& schema, const std::string& where) const {
        for (const auto& [key, v] : schema.members()) {
            if (is_annotation(key)) continue;
            const auto* const known = std::find_if(std::begin(keywords), std::end(keywords), [&name = key](const Keyword& keyword) { return keyword.name == name; });
            if (known == std::end(keywords)) fail(ErrorKind::unsupported, "JSON Schema, {}: the keyword '{}' is not supported", where, key);
            if (!known->holds(v)) fail(ErrorKind::format, "JSON Schema, {}: '{}' must be {}, it is {}", where, key, known->what, brief(v));
        }
        if (const Json* unique = schema.find("uniqueItems"); unique && unique->boolean()) fail(ErrorKind::unsupported, "JSON Schema, {}: the keyword 'uniqueItems' is not supported", where);
    }

    static std::string without_percents(const std::string& part) {
        std::string result;
        for (std::size_t i = 0; i < part.size(); ++i) {
            const bool coded = part[i] == '%' && i + 2 < part.size() && std::isxdigit(static_cast<unsigned char>(part[i + 1])) && std::isxdigit(static_cast<unsigned char>(part[i + 2]));
            result += coded ? static_cast<char>(std::stoi(part.substr(i + 1, 2), nullptr, 16)) : part[i];
            if (coded) i += 2;
        }
        return result;
    }

    // A schema of one reference, or of anything.
    const Json& resolve(const std::string& pointer, const std::string& where) const {
        if (pointer.empty() || pointer[0] != '#') fail(ErrorKind::unsupported, "JSON Schema, {}: the reference '{}' leaves the schema", where, pointer);
        const Json* at = &root_;
        std::size_t begin = pointer.size() > 1 ? 2 : 1;
        if (pointer.size() > 1 && pointer[1] != '/') fail(ErrorKind::unsupported, "JSON Schema, {}: references to anchors such as '{}' are not supported", where, pointer);
        while (begin < pointer.size() + (pointer.size() > 1) && begin > 1) {
            const std::size_t end = std::min(pointer.size(), pointer.find('/', begin));
            std::string key = without_percents(pointer.substr(begin, end - begin));
            for (const auto& [code, c] : {std::pair<std::string_view, char>{"~1", '/'}, {"~0", '~'}})
                for (std::size_t p; (p = key.find(code)) != std::string::npos;) key.replace(p, 2, 1, c);
            const Json* next = at->find(key);
            if (!next && at->is_array() && !key.empty() && key.find_first_not_of("0123456789") == std::string::npos && key.size() < 9 &&
                static_cast<std::size_t>(std::stoul(key)) < at->items().size())
                next = &at->items()[std::stoul(key)];
            if (!next) fail(ErrorKind::format, "JSON Schema, {}: there is nothing at '{}'", where, pointer);
            at = next;
            begin = end + 1;
        }
        return *at;
    }

    /// The rule of this name; made of the schema when it is met first, so that what holds itself, or the same thing often, ends.
    Expression once(const std::string& name, const std::function<Expression()>& make) {
        if (entered_.insert(name).second) rules_.define(name, make());
        return reference(name);
    }

    void require_end(int depth, const std::string& where) {
        if (depth > most_depth) fail(ErrorKind::unsupported, "JSON Schema, {} ...: schemas are nested too deeply, or one must hold beside itself", where.substr(0, 60));
        if (++visits_ > most_visits) fail(ErrorKind::unsupported, "JSON Schema, {} ...: the schema is too large: more than {} parts", where.substr(0, 60), most_visits);
    }

    Expression value(const Json& schema, const std::string& where, int depth) {
        require_end(depth, where);
        if (!schema.is_object()) return of_boolean(schema, where);
        check_keywords(schema, where);
        if (schema.find("const") || schema.find("enum")) return one_of(values_of(schema), schema, where);
        for (const char* const keyword : {"$ref", "allOf", "anyOf", "oneOf"})
            if (schema.find(keyword)) return combined(schema, where, depth);
        std::vector<Expression> parts;
        for (const std::string& type : types_of(schema, where)) parts.push_back(of_type(schema, type, where, depth));
        return parts.size() == 1 ? parts[0] : choice(std::move(parts));
    }

    /// Of a schema that speaks of others. References begin at the root, so the same text means the same everywhere.
    Expression combined(const Json& schema, const std::string& where, int depth) {
        if (const Json* v = schema.find("$ref"); v && only_annotations_beside(schema, "$ref"))
            return once("schema " + v->string(), [&] { return value(resolve(v->string(), where), v->string(), 0); });
        if (const Json* v = schema.find("allOf"); v && v->items().size() == 1 && only_annotations_beside(schema, "allOf"))
            return value(v->items()[0], within(where, "allOf/0"), depth + 1);
        return once("schema " + schema.text(-1), [&] { return of_combination(schema, where, depth); });
    }

    Expression of_combination(const Json& schema, const std::string& where, int depth) {
        if (const Json* v = schema.find("$ref")) return value(merged(without(schema, "$ref"), resolve(v->string(), where), where, 0), where, depth + 1);
        if (const Json* v = schema.find("allOf")) {
            Json all = without(schema, "allOf");
            for (const Json& part : v->items()) all = merged(all, part, where, 0);
            return value(all, where, depth + 1);
        }
        for (const char* const keyword : {"anyOf", "oneOf"})
            if (const Json* v = schema.find(keyword)) return any_of(schema, v->items(), keyword, where, depth);
        fail(ErrorKind::bug, "JSON Schema, {}: no combination", where);
    }

    /// The values that `const` and `enum` leave.
    static Json::Array values_of(const Json& schema) {
        const Json *const constant = schema.find("const"), *const list = schema.find("enum");
        if (!constant) return list->items();
        const auto same = [&](const Json& v) { return v.text(-1) == constant->text(-1); };
        return !list || std::any_of(list->items().begin(), list->items().end(), same) ? Json::Array{*constant} : Json::Array{};
    }

    Expression of_boolean(const Json& schema, const std::string& where) const {
        if (!is_schema(schema)) fail(ErrorKind::format, "JSON Schema, {}: a schema is an object, true or false", where);
        if (!schema.boolean()) fail(ErrorKind::unsupported, "JSON Schema, {}: nothing is valid under 'false'", where);
        return reference("value");
    }

    static bool only_annotations_beside(const Json& schema, std::string_view keyword) {
        return std::all_of(schema.members().begin(), schema.members().end(), [&](const auto& m) { return m.first == keyword || is_annotation(m.first); });
    }
    static Json without(const Json& schema, std::string_view keyword) {
        Json rest{Json::Object{}};
        for (const auto& [key, v] : schema.members())
            if (key != keyword) rest.set(key, v);
        return rest;
    }

    static Json common_types(const std::vector<std::string>& a, const std::vector<std::string>& b, const std::string& where) {
        Json::Array both;
        for (const std::string& type : all_types_of(a))
            if (is_in(all_types_of(b), type)) both.emplace_back(type);
        if (both.empty()) fail(ErrorKind::format, "JSON Schema, {}: no value has the types of both schemas that must hold", where);
        return Json(std::move(both));
    }
    /// With the integers among the numbers.
    static std::vector<std::string> all_types_of(std::vector<std::string> types) {
        if (is_in(types, "number") && !is_in(types, "integer")) types.emplace_back("integer");
        return types;
    }

    /// The members of `a` as they must be beside `b`, which may have a word on those that it does not name itself.
    static Json properties_beside(const Json& a, const Json& b) {
        const Json *const own = a.find("properties"), *const named = b.find("properties"), *const additional = b.find("additionalProperties");
        Json all{Json::Object{}};
        if (!own) return all;
        for (const auto& [name, property] : own->members()) {
            const Json* other = named ? named->find(name) : nullptr;
            if (!other) other = additional;
            if (is_false(property) || (other && is_false(*other))) all.set(name, false);
            else all.set(name, other ? Json().set("allOf", Json::Array{property, *other}) : property);
        }
        return all;
    }

    // What both ask for, as one schema.
    Json merged(Json a, const Json& b, const std::string& where, int depth) {
        require_end(depth, where);
        if (!b.is_object()) return of_boolean(b, where), a;
        check_keywords(b, where);
        if (const Json* ref = b.find("$ref")) return merged(std::move(a), merged(without(b, "$ref"), resolve(ref->string(), where), where, depth + 1), where, depth + 1);
        if (const Json* all = b.find("allOf")) {
            a = merged(std::move(a), without(b, "allOf"), where, depth + 1);
            for (const Json& part : all->items()) a = merged(std::move(a), part, where, depth + 1);
            return a;
        }
        const auto covers = [](const Json& x, const Json& y) { return x.find("items") && !x.find("prefixItems") && y.find("prefixItems"); };
        if (covers(a, b) || covers(b, a))
            fail(ErrorKind::unsupported, "JSON Schema, {}: 'items' and 'prefixItems' of two schemas that must both hold are not supported", where);
        Json properties = properties_beside(a, b);
        const Json others = properties_beside(b, a);
        for (const auto& [name, property] : others.members())
            if (!properties.find(name)) properties.set(name, property);
        for (const auto& [key, v] : b.members()) {
            const Json* const own = a.find(key);
            if (!own || is_annotation(key)) {
                a.set(key, v);
            } else if (key == "properties") {
                continue;
            } else if (key == "required") {
                Json all = *own;
                for (const Json& name : v.items()) all.add(name);
                a.set(key, all);
            } else if (key == "type") {
                a.set(key, common_types(types_of(a, where), types_of(b, where), where));
            } else if (is_in(lower_limits, key) || is_in(upper_limits, key)) {
                if (is_in(lower_limits, key) ? v.number() > own->number() : v.number() < own->number()) a.set(key, v);
            } else if (own->text(-1) != v.text(-1)) {
                fail(ErrorKind::unsupported, "JSON Schema, {}: two different '{}' that must both hold are not supported", where, key);
            }
        }
        if (a.find("properties")) a.set("properties", std::move(properties));
        return a;
    }

    Expression any_of(const Json& schema, const Json::Array& options, const char* keyword, const std::string& where, int depth) {
        const Json rest = without(schema, keyword);
        const bool alone = only_annotations_beside(schema, keyword);
        std::vector<Expression> parts;
        std::set<std::string> types;
        for (std::size_t i = 0; i < options.size(); ++i) {
            const std::string place = within(within(where, keyword), std::to_string(i));
            const Json option = alone ? options[i] : merged(rest, options[i], place, 0);
            if (std::string_view(keyword) == "oneOf") require_distinct(option, i, options, types, place);
            parts.push_back(value(option, place, depth + 1));
        }
        if (parts.empty()) fail(ErrorKind::format, "JSON Schema, {}: '{}' has no alternatives", where, keyword);
        return choice(std::move(parts));
    }

    // Of oneOf exactly one may hold: alternatives must differ in type, or in the constants of a property that all require.
    void require_distinct(const Json& option, std::size_t i, const Json::Array& options, std::set<std::string>& types, const std::string& where) const {
        const Json& schema = followed(option, where);
        if (schema.is_object()) check_keywords(schema, where);
        bool clash = !schema.is_object();
        if (!clash && (schema.find("const") || schema.find("enum"))) {
            const Json::Array values = schema.find("const") ? Json::Array{*schema.find("const")} : schema.find("enum")->items();
            for (const Json& v : values) clash = clash || !types.insert("value " + v.text(-1)).second;
            for (const std::string_view type : all_types) clash = clash || types.contains(std::string(type));
        } else if (!clash) {
            for (const std::string& type : types_of(schema, where)) {
                const bool overlaps = types.contains(type) || (type == "integer" && types.contains("number")) || (type == "number" && types.contains("integer")) ||
                                      (!types.empty() && types.begin()->starts_with("value"));
                clash = clash || (overlaps && !(type == "object" && told_apart(options, where)));
                types.insert(type);
            }
        }
        if (clash && i > 0) fail(ErrorKind::unsupported, "JSON Schema, {}: alternatives of 'oneOf' that may hold together are not supported; use anyOf", where);
    }
    bool told_apart(const Json::Array& options, const std::string& where) const {
        const Json& first = followed(options[0], where);
        const Json* const properties = first.is_object() ? first.find("properties") : nullptr;
        if (!properties) return false;
        for (const auto& property : properties->members()) {
            const std::string& name = property.first;
            std::set<std::string> constants;
            const bool apart = std::all_of(options.begin(), options.end(), [&](const Json& o) {
                const Json& option = followed(o, where);
                const Json* const all = option.find("properties");
                const Json* const own = all ? all->find(name) : nullptr;
                const Json* const required = option.find("required");
                const bool needed = required && std::any_of(required->items().begin(), required->items().end(), [&](const Json& r) { return r.is_string() && r.string() == name; });
                const Json* const constant = own ? own->find("const") : nullptr;
                return needed && constant && constants.insert(constant->text(-1)).second;
            });
            if (apart) return true;
        }
        return false;
    }
    const Json& followed(const Json& schema, const std::string& where) const {
        const Json* at = &schema;
        for (int i = 0; i < most_depth && at->find("$ref"); ++i) at = &resolve(at->find("$ref")->string(), where);
        return *at;
    }

    std::vector<std::string> types_of(const Json& schema, const std::string& where) const {
        std::vector<std::string> types;
        const Json* const type = schema.find("type");
        if (type && type->is_array())
            for (const Json& t : type->items()) types.push_back(t.string());
        else if (type) types.push_back(type->string());
        else if (schema.find("properties") || schema.find("required") || schema.find("additionalProperties") || schema.find("minProperties")) types = {"object"};
        else if (schema.find("items") || schema.find("prefixItems") || schema.find("minItems") || schema.find("maxItems")) types = {"array"};
        else if (schema.find("pattern") || schema.find("minLength") || schema.find("maxLength") || schema.find("format")) types = {"string"};
        else if (schema.find("minimum") || schema.find("maximum") || schema.find("exclusiveMinimum") || schema.find("exclusiveMaximum")) types = {"number"};
        else types = {"object", "array", "string", "number", "boolean", "null"};
        if (types.empty()) fail(ErrorKind::format, "JSON Schema, {}: 'type' names no type", where);
        for (const std::string& t : types)
            if (!is_in(all_types, t)) fail(ErrorKind::format, "JSON Schema, {}: '{}' is no type", where, t);
        return types;
    }

    static bool has_type(const Json& v, std::string_view type) {
        if (type == "object") return v.is_object();
        if (type == "array") return v.is_array();
        if (type == "string") return v.is_string();
        if (type == "null") return v.is_null();
        if (type == "integer") return v.is_number() && v.number() == std::floor(v.number());
        if (type == "number") return v.is_number();
        return !v.is_object() && !v.is_array() && !v.is_string() && !v.is_null() && !v.is_number();
    }

    /// Whole numbers beyond those that doubles hold one by one have lost their digits before they come here.
    static void require_exact(const Json& v, const std::string& where) {
        if (v.is_number() && std::abs(v.number()) > 0x1p53) fail(ErrorKind::unsupported, "JSON Schema, {}: numbers above 2^53 as values are not supported", where);
        if (v.is_array())
            for (const Json& item : v.items()) require_exact(item, where);
        if (v.is_object())
            for (const auto& member : v.members()) require_exact(member.second, where);
    }

    Expression one_of(const Json::Array& values, const Json& schema, const std::string& where) const {
        std::vector<Expression> parts;
        for (const auto& [key, v] : schema.members())
            if (key != "enum" && key != "const" && key != "type" && !is_annotation(key))
                fail(ErrorKind::unsupported, "JSON Schema, {}: '{}' beside a list of values is not supported", where, key);
        const std::vector<std::string> types = schema.find("type") ? types_of(schema, where) : std::vector<std::string>{};
        for (const Json& v : values) require_exact(v, where);
        for (const Json& v : values)
            if (types.empty() || std::any_of(types.begin(), types.end(), [&](const std::string& t) { return has_type(v, t); })) parts.push_back(literal(v.text(-1)));
        if (parts.empty()) fail(ErrorKind::format, "JSON Schema, {}: none of the values can be", where);
        return choice(std::move(parts));
    }

    Expression of_type(const Json& schema, std::string_view type, const std::string& where, int depth) {
        if (type == "null") return literal("null");
        if (type == "boolean") return choice({literal("true"), literal("false")});
        if (type == "string") return of_string(schema, where);
        if (type == "object") return of_object(schema, where, depth);
        if (type == "array") return of_array(schema, where, depth);
        const auto bound = [&](const char* inclusive, const char* exclusive, bool lower) {
            std::optional<Bound> result;
            if (const Json* v = schema.find(inclusive)) result = Bound{v->number(), false};
            if (const Json* v = schema.find(exclusive))
                if (!result || (lower ? v->number() >= result->value : v->number() <= result->value)) result = Bound{v->number(), true};
            return result;
        };
        const std::optional<Bound> least = bound("minimum", "exclusiveMinimum", true), most = bound("maximum", "exclusiveMaximum", false);
        const std::int64_t most_places = places(schema, where);
        if (type == "integer" || most_places == 0) return integers_between(least, most, "JSON Schema, " + where);
        return least || most || most_places < 15 ? numbers_between(least, most, most_places, "JSON Schema, " + where) : any_number();
    }

    // Digits after the point: of the powers of ten that numbers may be multiples of.
    static std::int64_t places(const Json& schema, const std::string& where) {
        const Json* const multiple = schema.find("multipleOf");
        double unit = 1;
        for (std::int64_t n = 0; multiple && n < 15; ++n, unit *= 10)
            if (multiple->number() == 1 / unit) return n;
        if (multiple) fail(ErrorKind::unsupported, "JSON Schema, {}: the keyword 'multipleOf' is only supported for 1, 0.1, 0.01 ...", where);
        return 15;
    }

    std::int64_t count(const Json& schema, const char* keyword, std::int64_t fallback, const std::string& where) const {
        const Json* const v = schema.find(keyword);
        if (!v) return fallback;
        if (v->number() < 0 || v->number() != std::floor(v->number())) fail(ErrorKind::format, "JSON Schema, {}: '{}' must be a whole number that is not negative", where, keyword);
        if (v->number() > 1e9) fail(ErrorKind::unsupported, "JSON Schema, {}: '{}' above a billion is not supported", where, keyword);
        return static_cast<std::int64_t>(v->number());
    }

    Expression of_string(const Json& schema, const std::string& where) {
        const Json *const pattern = schema.find("pattern"), *const format = schema.find("format");
        const bool lengths = schema.find("minLength") || schema.find("maxLength");
        if ((pattern != nullptr) + (format != nullptr) + lengths > 1) fail(ErrorKind::unsupported, "JSON Schema, {}: of pattern, format and lengths only one is supported at a time", where);
        if (pattern) return quoted(string_matching(pattern->string(), "JSON Schema, " + where));
        if (format) return quoted(of_format(format->string(), where));
        if (!lengths) return reference("string");
        const std::int64_t least = count(schema, "minLength", 0, where), most = count(schema, "maxLength", -1, where);
        if (most >= 0 && most < least) fail(ErrorKind::format, "JSON Schema, {}: maxLength is below minLength", where);
        return quoted(repeat(string_character(), least, most));
    }

    static Expression of_format(std::string_view format, const std::string& where) {
        const std::string pattern = pattern_of_format(format);
        if (pattern.empty()) fail(ErrorKind::unsupported, "JSON Schema, {}: the format '{}' is not supported; there are {}", where, format, format_names());
        return string_matching(pattern, where);
    }

    // ---- Arrays ----

    Expression of_array(const Json& schema, const std::string& where, int depth) {
        std::vector<Expression> first;
        const Json* items = schema.find("items");
        const Json* prefix = schema.find("prefixItems");
        if (items && items->is_array()) prefix = items, items = nullptr;  // as drafts before 2020 spell it
        if (prefix)
            for (std::size_t i = 0; i < prefix->items().size(); ++i) first.push_back(value(prefix->items()[i], within(within(where, "prefixItems"), std::to_string(i)), depth + 1));
        const bool closed = items && is_false(*items);
        const std::int64_t least = count(schema, "minItems", 0, where);
        std::int64_t most = count(schema, "maxItems", -1, where);
        if (closed) most = most < 0 ? static_cast<std::int64_t>(first.size()) : std::min<std::int64_t>(most, static_cast<std::int64_t>(first.size()));
        if (most >= 0 && most < least) fail(ErrorKind::format, "JSON Schema, {}: no array can have between {} and {} items", where, least, most);
        const Expression rest = items && !closed ? value(*items, within(where, "items"), depth + 1) : reference("value");
        return list(first, &rest, least, most, where);
    }

    Expression list(const std::vector<Expression>& first, const Expression* rest, std::int64_t least, std::int64_t most, const std::string& where) {
        if (first.size() > most_members) fail(ErrorKind::unsupported, "JSON Schema, {}: more than {} first items are not supported", where, most_members);
        const auto known_items = static_cast<std::int64_t>(first.size());
        // What follows when i items stand, from the last to the first.
        const std::int64_t named = most < 0 ? known_items : std::min(known_items, most), unnamed_most = most < 0 ? -1 : most - named;
        Expression tail = repeat(sequence({comma(), *rest}), std::max<std::int64_t>(0, least - std::max<std::int64_t>(1, named)), unnamed_most < 0 ? -1 : named ? unnamed_most : std::max<std::int64_t>(0, unnamed_most - 1));
        for (std::int64_t i = named - 1; i >= 1; --i) {
            Expression next = sequence({comma(), first[static_cast<std::size_t>(i)], std::move(tail)});
            tail = i >= least ? optional(std::move(next)) : std::move(next);
        }
        const Expression head = named ? first[0] : *rest;
        Expression inside = sequence({white_space(), head, std::move(tail), white_space()});
        if (most == 0) return literal("[]");
        return least > 0 ? sequence({literal("["), std::move(inside), literal("]")}) : choice({literal("[]"), sequence({literal("["), std::move(inside), literal("]")})});
    }

    // ---- Objects ----

    struct Member {
        std::string name;
        Expression pair;
        bool required = false;
    };

    Expression of_object(const Json& schema, const std::string& where, int depth) {
        std::vector<Member> list;
        std::vector<std::string> forbidden;
        const Json* const additional = schema.find("additionalProperties");
        const auto add = [&](const std::string& name, const Json& property) {
            const std::string place = within(within(where, "properties"), name);
            list.push_back({name, sequence({literal(Json(name).text(-1)), literal(":"), white_space(), value(property, place, depth + 1)})});
        };
        if (const Json* properties = schema.find("properties"))
            for (const auto& [name, property] : properties->members()) is_false(property) ? forbidden.push_back(name) : add(name, property);
        const Json* const required = schema.find("required");
        for (std::size_t i = 0; required && i < required->items().size(); ++i) {
            const std::string& name = required->items()[i].string();
            auto it = std::find_if(list.begin(), list.end(), [&](const Member& m) { return m.name == name; });
            if (is_in(forbidden, name) || (it == list.end() && additional && is_false(*additional)))
                fail(ErrorKind::format, "JSON Schema, {}: no object is valid: '{}' is required, and not allowed", where, name);
            if (it == list.end()) add(name, additional ? *additional : Json(true)), it = list.end() - 1;
            it->required = true;
        }
        // One member at least can be had by requiring the first; more than that cannot.
        if (const std::int64_t least = count(schema, "minProperties", 0, where); least > 0) {
            const auto fixed = std::count_if(list.begin(), list.end(), [](const Member& m) { return m.required; });
            if (fixed < least) fail(ErrorKind::unsupported, "JSON Schema, {}: 'minProperties' above the number of required members is not supported", where);
        }
        if (list.size() > most_members) fail(ErrorKind::unsupported, "JSON Schema, {}: objects of more than {} members are not supported", where, most_members);
        std::vector<std::string> names = std::move(forbidden);
        for (const Member& m : list) names.push_back(m.name);
        const bool open = additional ? !is_false(*additional) : list.empty();
        if (!open) return members(list, names, nullptr, where);
        const Expression other = additional && additional->is_object() ? value(*additional, within(where, "additionalProperties"), depth + 1) : reference("value");
        return members(list, names, &other, where);
    }

    // The rest of an object's text behind member i, where something stands before it or not.
    Expression members_from(const std::vector<Member>& list, std::size_t i, bool started, const std::string& prefix, const Expression& others) {
        const auto place = [&](std::size_t k, bool s) { return prefix + std::to_string(k) + (s ? "s" : ""); };
        std::vector<Expression> parts;
        std::size_t k = i;
        for (; k < list.size(); ++k) {
            parts.push_back(sequence({started ? comma() : sequence({}), list[k].pair, reference(place(k + 1, true))}));
            if (list[k].required) break;
        }
        if (k == list.size()) parts.push_back(started ? repeat(sequence({comma(), others}), 0, others.parts.empty() ? 0 : -1)
                                              : others.parts.empty() ? sequence({}) : optional(sequence({others, repeat(sequence({comma(), others}), 0, -1)})));
        return choice(std::move(parts));
    }

    Expression members(const std::vector<Member>& given, const std::vector<std::string>& names, const Expression* other, const std::string&) {
        const std::string prefix = "object " + std::to_string(objects_++) + " ";
        std::vector<Member> list = given;
        for (std::size_t i = 0; i < list.size(); ++i) {
            const std::string name = prefix + "member " + std::to_string(i);
            rules_.define(name, std::exchange(list[i].pair, reference(name)));
        }
        Expression others;  // one unnamed member
        if (other) others = sequence({literal("\""), other_name(names, 0), literal(":"), white_space(), *other});
        for (std::size_t i = 1; i <= list.size(); ++i) rules_.define(prefix + std::to_string(i) + "s", members_from(list, i, true, prefix, others));
        const Expression all = members_from(list, 0, false, prefix, others);
        const bool may_be_empty = std::none_of(list.begin(), list.end(), [](const Member& m) { return m.required; });
        const Expression filled = sequence({literal("{"), white_space(), all, white_space(), literal("}")});
        return may_be_empty ? choice({literal("{}"), filled}) : filled;
    }

    // A name that is none of `names`, whose first `depth` bytes are written, with the quote that ends it. Without escapes, so that no
    // name can hide in one.
    Expression other_name(const std::vector<std::string>& names, std::size_t depth) {
        std::set<std::string> next;
        bool complete = false;
        for (const std::string& name : names) {
            if (name.size() == depth) complete = true;
            if (name.size() <= depth) continue;
            const auto lead = static_cast<unsigned char>(name[depth]);
            next.insert(name.substr(depth, lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2));
        }
        std::vector<Expression> parts;
        if (!complete) parts.push_back(literal("\""));
        std::vector<Range> used;
        for (const std::string& c : next) {
            std::vector<std::string> below;
            for (const std::string& name : names)
                if (name.compare(depth, c.size(), c) == 0) below.push_back(name);
            char32_t code = static_cast<unsigned char>(c[0]);
            if (c.size() > 1) {
                code &= 0x7Fu >> c.size();
                for (std::size_t i = 1; i < c.size(); ++i) code = code << 6 | (static_cast<unsigned char>(c[i]) & 0x3F);
            }
            used.emplace_back(code, code);
            if (code >= 0x20 && code != '"' && code != '\\' && code != 0x7F) parts.push_back(sequence({literal(c), other_name(below, depth + c.size())}));
        }
        parts.push_back(sequence({plain_characters(used), repeat(plain_characters(), 0, -1), literal("\"")}));
        return choice(std::move(parts));
    }

    const Json& root_;
    const Expression any_ = reference("value");
    RuleBuilder rules_;
    std::set<std::string> entered_;
    std::size_t objects_ = 0;
    int visits_ = 0;
};

}  // namespace

Rules from_json_schema(const Json& schema) { return Compiler(schema).compile(); }
Rules any_json() { return Compiler(Json(true)).compile("value"); }
Rules any_json_object() { return Compiler(Json(true)).compile("object"); }

}  // namespace tailor::text::grammar
