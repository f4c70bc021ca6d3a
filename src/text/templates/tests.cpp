// Tests: x is name, with Jinja's meaning. "number" includes truth values, "integer" does not.
#include <cmath>

#include "text/templates/builtins.h"
#include "text/templates/characters.h"

namespace tailor::text::templates {
namespace {

template <Type type>
Value has_type(const Call& call) {
    return Value::boolean(call.self.is(type));
}

template <bool wanted>
Value is_boolean(const Call& call) {
    return Value::boolean(call.self.is(Type::boolean) && (call.self.as_integer() != 0) == wanted);
}

Value remainder_is(const Call& call, std::int64_t divisor, std::int64_t wanted) {
    const Value remainder = operate(call.runtime, "%", call.self, Value::integer(divisor));
    return Value::boolean(equal(call.runtime, remainder, Value::integer(wanted)));
}

Value is_iterable(const Call& call) {
    const Type type = call.self.type();
    return Value::boolean(type == Type::undefined || type == Type::text || type == Type::list || type == Type::dict || type == Type::loop);
}

// What has a length and can be asked for an item.
Value is_sequence(const Call& call) {
    const Type type = call.self.type();
    return Value::boolean(type == Type::undefined || type == Type::text || type == Type::dict ||
                          (type == Type::list && call.self.as_list().has_positions()));
}

Value same_case(const Call& call, bool upper_case) {
    const std::string text = to_text(call.runtime, call.self);
    return Value::boolean(upper(text) != lower(text) && text == (upper_case ? upper(text) : lower(text)));
}

Value equals(const Call& call) { return Value::boolean(equal(call.runtime, call.self, call[0])); }
Value differs(const Call& call) { return Value::boolean(!equal(call.runtime, call.self, call[0])); }
Value precedes(const Call& call) { return Value::boolean(less(call.runtime, call.self, call[0])); }
Value follows(const Call& call) { return Value::boolean(less(call.runtime, call[0], call.self)); }
Value not_after(const Call& call) { return Value::boolean(!less(call.runtime, call[0], call.self)); }
Value not_before(const Call& call) { return Value::boolean(!less(call.runtime, call.self, call[0])); }

constexpr Builtin table[] = {
    {"defined", "", [](const Call& c) { return Value::boolean(!c.self.is(Type::undefined)); }},
    {"undefined", "", has_type<Type::undefined>},
    {"none", "", has_type<Type::none>},
    {"string", "", has_type<Type::text>},
    {"mapping", "", has_type<Type::dict>},
    {"integer", "", has_type<Type::integer>},
    {"float", "", has_type<Type::real>},
    {"boolean", "", has_type<Type::boolean>},
    {"number", "", [](const Call& c) { return Value::boolean(c.self.is_number()); }},
    {"true", "", is_boolean<true>},
    {"false", "", is_boolean<false>},
    {"iterable", "", is_iterable},
    {"sequence", "", is_sequence},
    {"callable", "", [](const Call& c) { return Value::boolean(c.self.is(Type::function) || c.self.is(Type::loop)); }},
    {"odd", "", [](const Call& c) { return remainder_is(c, 2, 1); }},
    {"even", "", [](const Call& c) { return remainder_is(c, 2, 0); }},
    {"divisibleby", "num", [](const Call& c) { return remainder_is(c, c.integer(0, 0), 0); }},
    {"lower", "", [](const Call& c) { return same_case(c, false); }},
    {"upper", "", [](const Call& c) { return same_case(c, true); }},
    {"in", "seq", [](const Call& c) { return Value::boolean(contains(c.runtime, c[0], c.self)); }},
    {"sameas", "other",
     [](const Call& c) {
         const bool container = c.self.is(Type::list) || c.self.is(Type::dict) || c.self.is(Type::space) || c.self.is(Type::function);
         return Value::boolean(container ? c.self.same_object(c[0]) : c.self.type() == c[0].type() && equal(c.runtime, c.self, c[0]));
     }},
    {"filter", "", [](const Call& c) { return Value::boolean(find_filter(c.self.as_text()) != nullptr); }},
    {"test", "", [](const Call& c) { return Value::boolean(find_test(c.self.as_text()) != nullptr); }},
    {"escaped", "", [](const Call&) { return Value::boolean(false); }},
    {"equalto", "other", equals},
    {"eq", "other", equals},
    {"==", "other", equals},
    {"ne", "other", differs},
    {"!=", "other", differs},
    {"lt", "other", precedes},
    {"lessthan", "other", precedes},
    {"<", "other", precedes},
    {"gt", "other", follows},
    {"greaterthan", "other", follows},
    {">", "other", follows},
    {"le", "other", not_after},
    {"<=", "other", not_after},
    {"ge", "other", not_before},
    {">=", "other", not_before},
};

}  // namespace

std::span<const Builtin> tests() { return table; }

}  // namespace tailor::text::templates
