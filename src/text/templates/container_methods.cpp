// Methods of lists, dictionaries and the loop object. Hugging Face's sandbox refuses the ones that change a value; other
// engines allow them and templates for these use them, so they work here: a rendering changes nothing but its own copies.
#include <algorithm>

#include "text/templates/builtins.h"

namespace tailor::text::templates {
namespace {

// ---- lists ----

List& changeable(const Call& call) {
    List& list = call.self.as_list();
    if (list.nature != List::Nature::list) call.mistake("cannot change a {}", type_name(call.self));
    return list;
}

/// A position as Python counts it; `size` itself is allowed for inserting.
std::size_t clamped(std::int64_t at, std::size_t size) {
    const auto count = static_cast<std::int64_t>(size);
    return static_cast<std::size_t>(std::clamp<std::int64_t>(at < 0 ? at + count : at, 0, count));
}

Value append(const Call& call) {
    call.runtime.append(changeable(call), call[0]);
    return Value::none();
}

Value extend(const Call& call) {
    List& list = changeable(call);
    for (const Value& value : items(call.runtime, call[0])) call.runtime.append(list, value);
    return Value::none();
}

Value insert(const Call& call) {
    List& list = changeable(call);
    call.runtime.append(list, call[1]);
    const auto at = list.items.begin() + static_cast<std::ptrdiff_t>(clamped(call.integer(0, 0), list.items.size() - 1));
    std::rotate(at, list.items.end() - 1, list.items.end());
    return Value::none();
}

Value pop_item(const Call& call) {
    std::vector<Value>& list = changeable(call).items;
    const std::int64_t given = call.integer(0, -1), at = given < 0 ? given + static_cast<std::int64_t>(list.size()) : given;
    if (at < 0 || at >= static_cast<std::int64_t>(list.size())) call.mistake("finds nothing at position {} of {} items", given, list.size());
    Value value = list[static_cast<std::size_t>(at)];
    list.erase(list.begin() + at);
    return value;
}

Value index(const Call& call) {
    const List& list = call.self.as_list();
    for (std::size_t i = clamped(call.integer(1, 0), list.items.size()); i < clamped(call.integer(2, INT64_MAX), list.items.size()); ++i)
        if (equal(call.runtime, list.items[i], call[0])) return Value::integer(static_cast<std::int64_t>(i));
    call.mistake("does not find its value");
}

Value remove(const Call& call) {
    std::vector<Value>& list = changeable(call).items;
    for (auto it = list.begin(); it != list.end(); ++it)
        if (equal(call.runtime, *it, call[0])) {
            list.erase(it);
            return Value::none();
        }
    call.mistake("does not find its value");
}

Value count(const Call& call) {
    const auto& list = call.self.as_list().items;
    return Value::integer(std::count_if(list.begin(), list.end(), [&](const Value& v) { return equal(call.runtime, v, call[0]); }));
}

constexpr Builtin of_lists[] = {
    {"append", "object", append},
    {"extend", "iterable", extend},
    {"insert", "index object", insert},
    {"pop", "index", pop_item},
    {"remove", "value", remove},
    {"index", "value start stop", index},
    {"count", "value", count},
    {"copy", "", [](const Call& c) { return c.runtime.list(c.self.as_list().items); }},
    {"clear", "", [](const Call& c) { return changeable(c).items.clear(), Value::none(); }},
    {"reverse", "", [](const Call& c) { return std::reverse(changeable(c).items.begin(), c.self.as_list().items.end()), Value::none(); }},
};

// ---- dictionaries ----

Value view(const Call& call, List::Nature nature) {
    std::vector<Value> result;
    for (const auto& [key, value] : call.self.as_dict().members)
        result.push_back(nature == List::Nature::keys     ? key
                         : nature == List::Nature::values ? value
                                                          : call.runtime.list({key, value}, List::Nature::tuple));
    return call.runtime.list(std::move(result), nature);
}

Value get(const Call& call) {
    if (const Value* const value = find(call.runtime, call.self.as_dict(), call[0])) return *value;
    return call.has(1) ? call[1] : Value::none();
}

Value set_default(const Call& call) {
    if (const Value* const value = find(call.runtime, call.self.as_dict(), call[0])) return *value;
    Value value = call.has(1) ? call[1] : Value::none();
    assign(call.runtime, call.self.as_dict(), call[0], value);
    return value;
}

Value pop_key(const Call& call) {
    auto& members = call.self.as_dict().members;
    const auto found = std::find_if(members.begin(), members.end(), [&](const auto& m) { return equal(call.runtime, m.first, call[0]); });
    if (found == members.end()) return call.has(1) ? call[1] : (call.mistake("does not find the key {}", to_repr(call.runtime, call[0])), Value());
    Value value = found->second;
    members.erase(found);
    return value;
}

/// From a dictionary, or from pairs; then from named arguments.
void update_with(const Call& call, Dict& dict) {
    if (call.arguments.positions.size() > 1) call.mistake("takes one dictionary");
    for (const Value& given : call.arguments.positions) {
        if (given.is(Type::dict)) {
            const auto members = given.as_dict().members;  // a copy: it may be the dictionary itself
            for (const auto& [key, value] : members) assign(call.runtime, dict, key, value);
            continue;
        }
        for (const Value& pair : items(call.runtime, given)) {
            const std::vector<Value> two = items(call.runtime, pair);
            if (two.size() != 2) call.mistake("needs pairs of a key and a value");
            assign(call.runtime, dict, two[0], two[1]);
        }
    }
    for (const auto& [name, value] : call.arguments.names) assign(call.runtime, dict, call.runtime.text(name), value);
}

constexpr Builtin of_dicts[] = {
    {"items", "", [](const Call& c) { return view(c, List::Nature::items); }},
    {"keys", "", [](const Call& c) { return view(c, List::Nature::keys); }},
    {"values", "", [](const Call& c) { return view(c, List::Nature::values); }},
    {"get", "key default", get},
    {"setdefault", "key default", set_default},
    {"pop", "key default", pop_key},
    {"update", "*", [](const Call& c) { return update_with(c, c.self.as_dict()), Value::none(); }},
    {"copy", "",
     [](const Call& c) {
         const Value result = c.runtime.dict();
         for (const auto& [key, value] : c.self.as_dict().members) assign(c.runtime, result.as_dict(), key, value);
         return result;
     }},
    {"clear", "", [](const Call& c) { return c.self.as_dict().members.clear(), Value::none(); }},
};

// ---- loops ----

constexpr Builtin of_loops[] = {
    {"cycle", "*",
     [](const Call& c) {
         if (c.arguments.positions.empty()) c.mistake("needs something to cycle through");
         return c.arguments.positions[static_cast<std::size_t>(c.self.as_loop().index) % c.arguments.positions.size()];
     }},
    {"changed", "*",
     [](const Call& c) {
         std::vector<Value>& last = c.self.as_loop().last_changed;
         const std::vector<Value>& now = c.arguments.positions;
         const bool same = !last.empty() && std::equal(last.begin(), last.end(), now.begin(), now.end(),
                                                       [&](const Value& a, const Value& b) { return equal(c.runtime, a, b); });
         last = now;
         return Value::boolean(!same);
     }},
};

}  // namespace

std::span<const Builtin> container_methods(Type type) {
    switch (type) {
        case Type::list: return of_lists;
        case Type::dict: return of_dicts;
        case Type::loop: return of_loops;
        default: return {};
    }
}

// ---- dict(...) and namespace(...), which take what update takes ----

Value new_dict(const Call& call) {
    Value result = call.runtime.dict();
    update_with(call, result.as_dict());
    return result;
}

Value new_space(const Call& call) {
    Value result = call.runtime.space();
    update_with(call, result.as_dict());
    return result;
}

}  // namespace tailor::text::templates
