// map, select, reject, selectattr and rejectattr: another filter or test for every item.
//
//   xs | map(attribute="role")            the attribute of each, or `default`
//   xs | map("upper")                     a filter with its own arguments
//   xs | select("odd")                    items that pass a test; without one, those that are true
//   xs | selectattr("role", "equalto", "user")
// They give generators: each item once, no length and always true.
#include <algorithm>

#include "text/templates/builtins.h"

namespace tailor::text::templates {
namespace {

using core::ErrorKind;

/// The arguments after the first `taken` positions.
Arguments rest_of(const Call& call, std::size_t taken) {
    Arguments rest = call.arguments;
    rest.positions.erase(rest.positions.begin(), rest.positions.begin() + static_cast<std::ptrdiff_t>(std::min(taken, rest.positions.size())));
    return rest;
}

const Builtin& named(const Call& call, std::size_t i, bool is_test) {
    const std::string_view name = call.text(i);
    const Builtin* const found = is_test ? find_test(name) : find_filter(name);
    if (!found) call.runtime.fail(ErrorKind::unsupported, "the {} '{}' is not supported", is_test ? "test" : "filter", name);
    return *found;
}

/// Nothing for what is false: none and undefined stand for an empty list here.
std::vector<Value> self_items(const Call& call) { return truth(call.self) ? items(call.runtime, call.self) : std::vector<Value>(); }

Value mapped_attribute(const Call& call) {
    Value path, fallback;
    for (const auto& [name, value] : call.arguments.names) {
        if (name == "attribute") path = value;
        else if (name == "default") fallback = value;
        else call.mistake("has no parameter '{}'", name);
    }
    if (path.is(Type::undefined)) call.mistake("needs a filter or attribute=...");
    std::vector<Value> result;
    for (const Value& value : self_items(call)) {
        Value found = attribute_path(call.runtime, value, path);
        result.push_back(found.is(Type::undefined) && !fallback.is(Type::undefined) ? fallback : std::move(found));
    }
    return call.runtime.list(std::move(result), List::Nature::generator);
}

Value map(const Call& call) {
    if (call.arguments.positions.empty()) return mapped_attribute(call);
    const Builtin& filter = named(call, 0, false);
    const Arguments given = rest_of(call, 1);
    std::vector<Value> result;
    for (const Value& value : self_items(call)) result.push_back(run_builtin(call.runtime, filter, value, given));
    return call.runtime.list(std::move(result), List::Nature::generator);
}

Value select(const Call& call, bool by_attribute, bool wanted) {
    const std::size_t test_at = by_attribute;
    if (by_attribute && call.arguments.positions.empty()) call.mistake("needs the name of an attribute");
    const bool has_test = call.arguments.positions.size() > test_at;
    const Builtin* const test = has_test ? &named(call, test_at, true) : nullptr;
    const Arguments given = rest_of(call, test_at + 1);
    std::vector<Value> result;
    for (const Value& value : self_items(call)) {
        const Value looked_at = by_attribute ? attribute_path(call.runtime, value, call[0]) : value;
        if (truth(test ? run_builtin(call.runtime, *test, looked_at, given) : looked_at) == wanted) result.push_back(value);
    }
    return call.runtime.list(std::move(result), List::Nature::generator);
}

constexpr Builtin table[] = {
    {"map", "*", map},
    {"select", "*", [](const Call& c) { return select(c, false, true); }},
    {"reject", "*", [](const Call& c) { return select(c, false, false); }},
    {"selectattr", "*", [](const Call& c) { return select(c, true, true); }},
    {"rejectattr", "*", [](const Call& c) { return select(c, true, false); }},
};

}  // namespace

std::span<const Builtin> selection_filters() { return table; }

}  // namespace tailor::text::templates
