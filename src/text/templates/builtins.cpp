// Finding builtins, binding their arguments, and looking into values; see builtins.h.
#include "text/templates/builtins.h"

#include <algorithm>
#include <charconv>

#include "text/templates/characters.h"

namespace tailor::text::templates {

// Names in a list of parameters, "a b c".
static std::string_view nth_word(std::string_view words, std::size_t n) {
    for (; n > 0; --n) words = words.find(' ') == std::string_view::npos ? std::string_view() : words.substr(words.find(' ') + 1);
    return words.substr(0, words.find(' '));
}

Call::Call(Runtime& runtime_, const Builtin& builtin_, const Value& self_, const Arguments& arguments_)
    : runtime(runtime_), builtin(builtin_), self(self_), arguments(arguments_) {
    if (builtin.parameters == "*") {
        for (const Value& value : arguments.positions) bound_.push_back(&value);
        return;
    }
    const std::size_t count =
        builtin.parameters.empty() ? 0 : static_cast<std::size_t>(std::count(builtin.parameters.begin(), builtin.parameters.end(), ' ')) + 1;
    bound_.assign(count, nullptr);
    if (arguments.positions.size() > count) mistake("takes at most {} arguments, not {}", count, arguments.positions.size());
    for (std::size_t i = 0; i < arguments.positions.size(); ++i) bound_[i] = &arguments.positions[i];
    for (const auto& [name, value] : arguments.names) {
        std::size_t i = 0;
        while (i < count && nth_word(builtin.parameters, i) != name) ++i;
        if (i == count) mistake("has no parameter '{}'", name);
        if (bound_[i]) mistake("gets two values for its parameter '{}'", name);
        bound_[i] = &value;
    }
}

void Call::fail(const std::string& message) const { runtime.mistake("'{}' {}", builtin.name, message); }

std::string Call::parameter(std::size_t i) const {
    return builtin.parameters == "*" ? core::format("number {}", i + 1) : core::format("'{}'", nth_word(builtin.parameters, i));
}

const Value& Call::operator[](std::size_t i) const {
    if (!has(i)) mistake("needs its parameter {}", parameter(i));
    return *bound_[i];
}

std::int64_t Call::integer(std::size_t i, std::int64_t fallback) const {
    if (!has(i)) return fallback;
    if (!bound_[i]->is_integral()) mistake("needs an integer for its parameter {}, not '{}'", parameter(i), type_name(*bound_[i]));
    return bound_[i]->as_integer();
}

std::string_view Call::text(std::size_t i) const {
    const Value& value = (*this)[i];
    if (value.is(Type::undefined)) refuse_undefined(runtime, value);
    if (!value.is(Type::text)) mistake("needs text for its parameter {}, not '{}'", parameter(i), type_name(value));
    return value.as_text();
}

std::string_view Call::text(std::size_t i, std::string_view fallback) const { return has(i) ? text(i) : fallback; }

bool Call::truth(std::size_t i, bool fallback) const { return has(i) ? templates::truth(*bound_[i]) : fallback; }

static const Builtin* find_in(std::initializer_list<std::span<const Builtin>> tables, std::string_view name) {
    for (const std::span<const Builtin> table : tables)
        for (const Builtin& builtin : table)
            if (builtin.name == name) return &builtin;
    return nullptr;
}

const Builtin* find_filter(std::string_view name) { return find_in({text_filters(), sequence_filters(), selection_filters()}, name); }
const Builtin* find_test(std::string_view name) { return find_in({tests()}, name); }
const Builtin* find_global(std::string_view name) { return find_in({globals()}, name); }
const Builtin* find_method(Type type, std::string_view name) { return find_in({type == Type::text ? text_methods() : container_methods(type)}, name); }

static std::size_t size_of(const Value& value) {
    switch (value.type()) {
        case Type::text: return value.as_text().size() / 32;
        case Type::list: return value.as_list().items.size();
        case Type::dict: return value.as_dict().members.size();
        default: return 0;
    }
}

Value run_builtin(Runtime& runtime, const Builtin& builtin, const Value& self, const Arguments& arguments) {
    const Nesting nesting(runtime);
    runtime.work(1 + size_of(self));
    for (const Value& value : arguments.positions) runtime.work(1 + (value.is(Type::text) ? size_of(value) : 0));
    return builtin.run(Call(runtime, builtin, self, arguments));
}

// ---- looking into values ----

void refuse_undefined(Runtime& runtime, const Value& value) {
    runtime.mistake("{}", value.as_text().empty() ? std::string_view("an undefined value is used") : value.as_text());
}

Value attribute(Runtime& runtime, const Value& value, std::string_view name) {
    if (value.is(Type::undefined)) refuse_undefined(runtime, value);
    if (const Builtin* const method = find_method(value.type(), name)) return runtime.function({.builtin = method, .self = value});
    if (value.is(Type::dict) || value.is(Type::space))
        if (const Value* const member = find(runtime, static_cast<const Dict&>(value.as_dict()), name)) return *member;
    return runtime.undefined("a value of type '{}' has no attribute '{}'", type_name(value), name);
}

static Value character_at(Runtime& runtime, std::string_view text, std::int64_t at) {
    runtime.work(text.size() / 32);
    const auto count = static_cast<std::int64_t>(count_characters(text));
    if (at < 0) at += count;
    if (at < 0 || at >= count) return runtime.undefined("a text of {} characters has none at position {}", count, at);
    std::size_t offset = 0;
    for (; at > 0; --at) offset += character_bytes(text, offset);
    return runtime.text(std::string(text.substr(offset, character_bytes(text, offset))));
}

Value item(Runtime& runtime, const Value& value, const Value& key) {
    if (value.is(Type::undefined)) refuse_undefined(runtime, value);
    if (value.is(Type::dict)) {
        if (const Value* const member = find(runtime, value.as_dict(), key)) return *member;
    } else if (value.is(Type::list) && key.is_integral() && value.as_list().has_positions()) {
        const std::vector<Value>& items = value.as_list().items;
        const auto count = static_cast<std::int64_t>(items.size());
        const std::int64_t at = key.as_integer() < 0 ? key.as_integer() + count : key.as_integer();
        if (at >= 0 && at < count) return items[static_cast<std::size_t>(at)];
        return runtime.undefined("a {} of {} items has none at position {}", type_name(value), count, key.as_integer());
    } else if (value.is(Type::text) && key.is_integral()) {
        return character_at(runtime, value.as_text(), key.as_integer());
    }
    if (key.is(Type::text)) {
        const Value found = attribute(runtime, value, key.as_text());
        if (!found.is(Type::undefined)) return found;
    }
    return runtime.undefined("a value of type '{}' has no item {}", type_name(value), to_repr(runtime, key));
}

Value attribute_path(Runtime& runtime, const Value& value, const Value& path) {
    if (!path.is(Type::text)) return item(runtime, value, path);
    Value result = value;
    for (const std::string& part : core::split(path.as_text(), '.')) {
        std::int64_t position = 0;
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), position);
        const bool is_position = error == std::errc() && end == part.data() + part.size() && !part.empty() && part[0] != '-';
        result = item(runtime, result, is_position ? Value::integer(position) : runtime.text(part));
    }
    return result;
}

}  // namespace tailor::text::templates
