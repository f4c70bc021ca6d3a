// Truth, order, equality and printing of values; see value.h.
#include "text/templates/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/templates/characters.h"
#include "text/templates/runtime.h"

namespace tailor::text::templates {

Value Value::undefined(std::shared_ptr<const Text> reason) {
    Value value;
    value.text_ = std::move(reason);
    return value;
}
Value Value::none() {
    Value value;
    value.type_ = Type::none;
    return value;
}
Value Value::boolean(bool v) {
    Value value;
    value.type_ = Type::boolean, value.integer_ = v;
    return value;
}
Value Value::integer(std::int64_t v) {
    Value value;
    value.type_ = Type::integer, value.integer_ = v;
    return value;
}
Value Value::real(double v) {
    Value value;
    value.type_ = Type::real, value.real_ = v;
    return value;
}
Value Value::text(std::shared_ptr<const Text> text) {
    Value value;
    value.type_ = Type::text, value.text_ = std::move(text);
    return value;
}
Value Value::constant(std::string text) { return Value::text(std::make_shared<const Text>(std::move(text), nullptr)); }
Value Value::list(List* v) {
    Value value;
    value.type_ = Type::list, value.list_ = v;
    return value;
}
Value Value::dict(Dict* v) {
    Value value;
    value.type_ = Type::dict, value.dict_ = v;
    return value;
}
Value Value::space(Dict* v) {
    Value value;
    value.type_ = Type::space, value.dict_ = v;
    return value;
}
Value Value::function(Function* v) {
    Value value;
    value.type_ = Type::function, value.function_ = v;
    return value;
}
Value Value::loop(Loop* v) {
    Value value;
    value.type_ = Type::loop, value.loop_ = v;
    return value;
}

bool truth(const Value& value) {
    switch (value.type()) {
        case Type::undefined:
        case Type::none: return false;
        case Type::boolean:
        case Type::integer: return value.as_integer() != 0;
        case Type::real: return value.as_real() != 0;
        case Type::text: return !value.as_text().empty();
        case Type::list: return value.as_list().nature == List::Nature::generator || !value.as_list().items.empty();
        case Type::dict: return !value.as_dict().members.empty();
        default: return true;
    }
}

std::string_view type_name(const Value& value) {
    static constexpr std::string_view natures[] = {"list", "tuple", "range", "dict_keys", "dict_values", "dict_items", "generator"};
    switch (value.type()) {
        case Type::undefined: return "Undefined";
        case Type::none: return "NoneType";
        case Type::boolean: return "bool";
        case Type::integer: return "int";
        case Type::real: return "float";
        case Type::text: return "str";
        case Type::list: return natures[static_cast<int>(value.as_list().nature)];
        case Type::dict: return "dict";
        case Type::space: return "Namespace";
        case Type::function: return "function";
        case Type::loop: return "LoopContext";
    }
    return "object";
}

static bool equal_dicts(Runtime& runtime, Dict& a, Dict& b) {
    if (a.members.size() != b.members.size()) return false;
    for (const auto& [key, member] : a.members) {
        const Value* const other = find(runtime, b, key);
        if (!other || !equal(runtime, member, *other)) return false;
    }
    return true;
}

static bool equal_lists(Runtime& runtime, const List& a, const List& b) {
    if (a.nature != b.nature || !a.has_positions() || a.items.size() != b.items.size()) return &a == &b;
    for (std::size_t i = 0; i < a.items.size(); ++i)
        if (!equal(runtime, a.items[i], b.items[i])) return false;
    return true;
}

bool equal(Runtime& runtime, const Value& a, const Value& b) {
    const Nesting nesting(runtime);
    runtime.work(1);
    if (a.is_number() && b.is_number()) return a.is_integral() && b.is_integral() ? a.as_integer() == b.as_integer() : a.as_real() == b.as_real();
    if (a.type() != b.type()) return false;
    switch (a.type()) {
        case Type::undefined:
        case Type::none: return true;
        case Type::text: runtime.work(std::min(a.as_text().size(), b.as_text().size()) / 32); return a.as_text() == b.as_text();
        case Type::list: return equal_lists(runtime, a.as_list(), b.as_list());
        case Type::dict: return equal_dicts(runtime, a.as_dict(), b.as_dict());
        default: return a.same_object(b);
    }
}

bool less(Runtime& runtime, const Value& a, const Value& b) {
    const Nesting nesting(runtime);
    runtime.work(1);
    if (a.is_number() && b.is_number()) return a.is_integral() && b.is_integral() ? a.as_integer() < b.as_integer() : a.as_real() < b.as_real();
    if (a.is(Type::text) && b.is(Type::text)) {
        runtime.work(std::min(a.as_text().size(), b.as_text().size()) / 32);
        return a.as_text() < b.as_text();  // the order of UTF-8 bytes is that of code points
    }
    if (a.is(Type::list) && b.is(Type::list) && a.as_list().nature == b.as_list().nature && a.as_list().has_positions()) {
        const std::vector<Value>&x = a.as_list().items, &y = b.as_list().items;
        for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i)
            if (!equal(runtime, x[i], y[i])) return less(runtime, x[i], y[i]);
        return x.size() < y.size();
    }
    runtime.mistake("'{}' and '{}' have no order", type_name(a), type_name(b));
}

static bool can_be_key(const Value& key) {
    if (!key.is(Type::list)) return !key.is(Type::dict) && !key.is(Type::undefined);
    const List& list = key.as_list();
    return list.nature == List::Nature::tuple && std::all_of(list.items.begin(), list.items.end(), can_be_key);
}

Value* find(Runtime& runtime, Dict& dict, const Value& key) {
    runtime.work(1 + dict.members.size() / 8);
    for (auto& [name, member] : dict.members)
        if (name.type() == Type::text && key.type() == Type::text ? name.as_text() == key.as_text() : equal(runtime, name, key)) return &member;
    return nullptr;
}

const Value* find(Runtime& runtime, const Dict& dict, std::string_view key) {
    runtime.work(1 + dict.members.size() / 8);
    for (const auto& [name, member] : dict.members)
        if (name.type() == Type::text && name.as_text() == key) return &member;
    return nullptr;
}

void assign(Runtime& runtime, Dict& dict, const Value& key, Value value) {
    if (!can_be_key(key)) runtime.mistake("a value of type '{}' cannot be a key", type_name(key));
    if (Value* const old = find(runtime, dict, key)) {
        *old = std::move(value);
        return;
    }
    runtime.take(3 * sizeof(Value));
    dict.members.emplace_back(key, std::move(value));
}

std::int64_t length(Runtime& runtime, const Value& value) {
    switch (value.type()) {
        case Type::undefined: return 0;
        case Type::text: runtime.work(value.as_text().size() / 32); return static_cast<std::int64_t>(count_characters(value.as_text()));
        case Type::dict: return static_cast<std::int64_t>(value.as_dict().members.size());
        case Type::list:
            if (value.as_list().nature != List::Nature::generator) return static_cast<std::int64_t>(value.as_list().items.size());
            [[fallthrough]];
        default: runtime.mistake("a value of type '{}' has no length", type_name(value));
    }
}

std::vector<Value> items(Runtime& runtime, const Value& value) {
    std::vector<Value> result;
    switch (value.type()) {
        case Type::undefined: break;
        case Type::text:
            for (std::size_t at = 0, bytes = 0; at < value.as_text().size(); at += bytes) {
                bytes = character_bytes(value.as_text(), at);
                result.push_back(runtime.text(std::string(value.as_text().substr(at, bytes))));
            }
            break;
        case Type::dict:
            runtime.work(value.as_dict().members.size());
            for (const auto& [key, member] : value.as_dict().members) result.push_back(key);
            break;
        case Type::list: {
            List& list = value.as_list();
            runtime.work(list.items.size() - list.given);
            runtime.check_size(list.items.size() * sizeof(Value));
            result.assign(list.items.begin() + static_cast<std::ptrdiff_t>(list.given), list.items.end());
            if (list.nature == List::Nature::generator) list.given = list.items.size();
            break;
        }
        default: runtime.mistake("a value of type '{}' cannot be iterated over", type_name(value));
    }
    return result;
}

bool contains(Runtime& runtime, const Value& haystack, const Value& needle) {
    switch (haystack.type()) {
        case Type::undefined: return false;
        case Type::text:
            if (!needle.is(Type::text)) runtime.mistake("'in <text>' needs text on its left, not '{}'", type_name(needle));
            runtime.work(haystack.as_text().size() / 32);
            return haystack.as_text().find(needle.as_text()) != std::string_view::npos;
        case Type::dict: return find(runtime, haystack.as_dict(), needle) != nullptr;
        case Type::list: {
            List& list = haystack.as_list();
            for (std::size_t i = list.given; i < list.items.size(); ++i) {
                if (list.nature == List::Nature::generator) list.given = i + 1;
                if (equal(runtime, list.items[i], needle)) return true;
            }
            return false;
        }
        default: runtime.mistake("a value of type '{}' cannot be searched with 'in'", type_name(haystack));
    }
}

// Python prints the shortest digits that read back as the same number, with an exponent below 1e-4 and from 1e16 on.
std::string real_text(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    char buffer[40];
    const auto scientific = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
    std::string text(buffer, scientific.ptr);
    const std::size_t e = text.find('e');
    const int exponent = std::stoi(text.substr(e + 1));
    if (exponent < -4 || exponent >= 16) return text;
    const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
    text.assign(buffer, fixed.ptr);
    return text.find('.') == std::string::npos ? text + ".0" : text;
}

// Python's quotes: single ones, unless the text holds such and no double ones.
static void write_quoted(Output& out, std::string_view text) {
    const char quote = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"' : '\'';
    out.write({&quote, 1});
    for (std::size_t at = 0, bytes = 0; at < text.size(); at += bytes) {
        bytes = character_bytes(text, at);
        const char32_t c = character(text, at);
        if (c == static_cast<char32_t>(quote) || c == '\\') out.write(std::string("\\") + static_cast<char>(c));
        else if (c == '\n') out.write("\\n");
        else if (c == '\r') out.write("\\r");
        else if (c == '\t') out.write("\\t");
        else if (is_printable(c)) out.write(text.substr(at, bytes));
        else if (c < 0x100) out.write(core::format("\\x{:02x}", static_cast<std::uint32_t>(c)));
        else if (c < 0x10000) out.write(core::format("\\u{:04x}", static_cast<std::uint32_t>(c)));
        else out.write(core::format("\\U{:08x}", static_cast<std::uint32_t>(c)));
    }
    out.write({&quote, 1});
}

static void write_repr(Runtime& runtime, Output& out, const Value& value);

static void write_dict(Runtime& runtime, Output& out, const Dict& dict) {
    out.write("{");
    std::string_view separator;
    for (const auto& [key, member] : dict.members) {
        out.write(separator);
        write_repr(runtime, out, key);
        out.write(": ");
        write_repr(runtime, out, member);
        separator = ", ";
    }
    out.write("}");
}

static void write_list(Runtime& runtime, Output& out, const List& list) {
    const auto write_items = [&](std::string_view open, std::string_view close) {
        out.write(open);
        for (std::size_t i = 0; i < list.items.size(); ++i) {
            if (i) out.write(", ");
            write_repr(runtime, out, list.items[i]);
        }
        out.write(close);
    };
    switch (list.nature) {
        case List::Nature::list: return write_items("[", "]");
        case List::Nature::tuple: return write_items("(", list.items.size() == 1 ? ",)" : ")");
        case List::Nature::keys: return write_items("dict_keys([", "])");
        case List::Nature::values: return write_items("dict_values([", "])");
        case List::Nature::items: return write_items("dict_items([", "])");
        case List::Nature::range:
            return out.write(list.step == 1 ? core::format("range({}, {})", list.start, list.stop)
                                            : core::format("range({}, {}, {})", list.start, list.stop, list.step));
        case List::Nature::generator: return out.write("<generator object>");
    }
}

static void write_repr(Runtime& runtime, Output& out, const Value& value) {
    const Nesting nesting(runtime);
    switch (value.type()) {
        case Type::undefined: return out.write("Undefined");
        case Type::none: return out.write("None");
        case Type::boolean: return out.write(value.as_integer() ? "True" : "False");
        case Type::integer: return out.write(std::to_string(value.as_integer()));
        case Type::real: return out.write(real_text(value.as_real()));
        case Type::text: return write_quoted(out, value.as_text());
        case Type::list: return write_list(runtime, out, value.as_list());
        case Type::dict: return write_dict(runtime, out, value.as_dict());
        case Type::space:
            out.write("<Namespace ");
            write_dict(runtime, out, value.as_dict());
            return out.write(">");
        case Type::function: return out.write("<function>");
        case Type::loop: return out.write("<LoopContext>");
    }
}

std::string to_repr(Runtime& runtime, const Value& value) {
    Output out(runtime, runtime.limits().bytes);
    write_repr(runtime, out, value);
    return out.take();
}

std::string to_text(Runtime& runtime, const Value& value) {
    if (value.is(Type::text)) return std::string(value.as_text());
    return value.is(Type::undefined) ? std::string() : to_repr(runtime, value);
}

}  // namespace tailor::text::templates
