// Expressions: what a template computes; see interpreter.h. Operators on numbers and text are in operators.cpp.
#include <algorithm>

#include "text/templates/characters.h"
#include "text/templates/interpreter.h"

namespace tailor::text::templates {

using core::ErrorKind;
using Kind = Expression::Kind;

Value Interpreter::evaluate(const Expression& e) {
    const Nesting nesting(runtime_);
    runtime_.work(1);
    runtime_.line = e.line;
    switch (e.kind) {
        case Kind::constant: return e.value;
        case Kind::name: return name(e);
        case Kind::list: return list(e, List::Nature::list);
        case Kind::tuple: return list(e, List::Nature::tuple);
        case Kind::dict: return dict(e);
        case Kind::attribute: return attribute_of(e);
        case Kind::item: {
            const Value value = evaluate(*e.parts[0]), key = evaluate(*e.parts[1]);
            return item(runtime_, value, key);
        }
        case Kind::slice: return slice(e);
        case Kind::call: return call(e);
        case Kind::filter: return filter(e, evaluate(*e.parts[0]));
        case Kind::test: return test(e);
        case Kind::negative: return negated(runtime_, evaluate(*e.parts[0]));
        case Kind::positive: return operate(runtime_, "+", Value::integer(0), evaluate(*e.parts[0]));
        case Kind::logical_not: return Value::boolean(!truth(evaluate(*e.parts[0])));
        case Kind::logical_and:
        case Kind::logical_or: {
            Value left = evaluate(*e.parts[0]);
            return truth(left) == (e.kind == Kind::logical_or) ? left : evaluate(*e.parts[1]);
        }
        case Kind::binary: {
            const Value left = evaluate(*e.parts[0]), right = evaluate(*e.parts[1]);
            runtime_.line = e.line;
            return operate(runtime_, e.name, left, right);
        }
        case Kind::concatenation: return concatenation(e);
        case Kind::comparison: return comparison(e);
        case Kind::conditional:
            if (truth(evaluate(*e.parts[1]))) return evaluate(*e.parts[0]);
            return e.parts[2] ? evaluate(*e.parts[2]) : runtime_.undefined("the condition is false and there is no else");
        case Kind::splat:
        case Kind::double_splat: break;
    }
    runtime_.mistake("'*' and '**' stand only in calls");
}

Value Interpreter::name(const Expression& e) {
    if (const Value* const value = find(e.name)) return *value;
    if (const Builtin* const global = find_global(e.name)) return runtime_.function({.builtin = global});
    return runtime_.undefined("'{}' is undefined", e.name);
}

Value Interpreter::list(const Expression& e, List::Nature nature) {
    std::vector<Value> values;
    for (const ExpressionPointer& part : e.parts) values.push_back(evaluate(*part));
    return runtime_.list(std::move(values), nature);
}

Value Interpreter::dict(const Expression& e) {
    Value result = runtime_.dict();
    for (std::size_t i = 0; i < e.parts.size(); i += 2) {
        const Value key = evaluate(*e.parts[i]);
        templates::assign(runtime_, result.as_dict(), key, evaluate(*e.parts[i + 1]));
    }
    return result;
}

// Python's slices: negative bounds count from the end, all are clamped, and a negative step goes backwards.
Value Interpreter::slice(const Expression& e) {
    const Value value = evaluate(*e.parts[0]);
    Value bounds[3];
    for (std::size_t i = 0; i < 3; ++i) {
        bounds[i] = e.parts[i + 1] ? evaluate(*e.parts[i + 1]) : Value::none();
        if (!bounds[i].is(Type::none) && !bounds[i].is_integral()) runtime_.mistake("a slice needs integers, not '{}'", type_name(bounds[i]));
    }
    if (value.is(Type::undefined)) refuse_undefined(runtime_, value);
    const bool is_text = value.is(Type::text);
    if (!is_text && !(value.is(Type::list) && value.as_list().has_positions()))
        runtime_.mistake("a value of type '{}' has no slices", type_name(value));
    const std::int64_t step = bounds[2].is(Type::none) ? 1 : bounds[2].as_integer();
    if (step == 0) runtime_.mistake("the step of a slice is zero");
    if (is_text) runtime_.check_size(value.as_text().size() * sizeof(std::size_t));
    const std::vector<std::size_t> offsets = is_text ? character_offsets(value.as_text()) : std::vector<std::size_t>();
    const std::int64_t size = is_text ? static_cast<std::int64_t>(offsets.size()) - 1 : static_cast<std::int64_t>(value.as_list().items.size());
    runtime_.work(static_cast<std::size_t>(size));
    const auto clamped = [&](const Value& bound, std::int64_t fallback) {
        if (bound.is(Type::none)) return fallback;
        std::int64_t at = bound.as_integer();
        if (at < 0) at = at < -size ? -1 : at + size;
        return std::clamp<std::int64_t>(at, step > 0 ? 0 : -1, step > 0 ? size : size - 1);
    };
    const std::int64_t begin = clamped(bounds[0], step > 0 ? 0 : size - 1), end = clamped(bounds[1], step > 0 ? size : -1);
    std::string text;
    std::vector<Value> values;
    for (std::int64_t at = begin; step > 0 ? at < end : at > end;) {
        const auto i = static_cast<std::size_t>(at);
        if (is_text) text += value.as_text().substr(offsets[i], offsets[i + 1] - offsets[i]);
        else values.push_back(value.as_list().items[i]);
        if (step > 0 ? step >= end - at : step <= end - at) break;
        at += step;
    }
    if (is_text) return runtime_.text(std::move(text));
    return runtime_.list(std::move(values), value.as_list().nature == List::Nature::tuple ? List::Nature::tuple : List::Nature::list);
}

Value Interpreter::concatenation(const Expression& e) {
    std::string result;
    for (const ExpressionPointer& part : e.parts) {
        const Value value = evaluate(*part);
        if (value.is(Type::text)) {
            runtime_.check_size(result.size() + value.as_text().size());
            result += value.as_text();
        } else {
            result += to_text(runtime_, value);
        }
    }
    return runtime_.text(std::move(result));
}

bool Interpreter::compare(std::string_view symbol, const Value& a, const Value& b) {
    if (symbol == "==") return equal(runtime_, a, b);
    if (symbol == "!=") return !equal(runtime_, a, b);
    if (symbol == "in") return contains(runtime_, b, a);
    if (symbol == "not in") return !contains(runtime_, b, a);
    const bool not_a_number = (a.is(Type::real) && a.as_real() != a.as_real()) || (b.is(Type::real) && b.as_real() != b.as_real());
    if (symbol == "<") return less(runtime_, a, b);
    if (symbol == ">") return less(runtime_, b, a);
    if (symbol == "<=") return !less(runtime_, b, a) && !not_a_number;
    return !less(runtime_, a, b) && !not_a_number;
}

Value Interpreter::comparison(const Expression& e) {
    Value left = evaluate(*e.parts[0]);
    for (std::size_t i = 0; i < e.operators.size(); ++i) {
        Value right = evaluate(*e.parts[i + 1]);
        runtime_.line = e.line;
        if (!compare(e.operators[i], left, right)) return Value::boolean(false);
        left = std::move(right);
    }
    return Value::boolean(true);
}

// ---- attributes ----

Value Interpreter::attribute_of(const Expression& e) {
    const Value value = evaluate(*e.parts[0]);
    runtime_.line = e.line;
    if (value.is(Type::loop)) return loop_attribute(value.as_loop(), e.name);
    return attribute(runtime_, value, e.name);
}

// What asks for the last item or the length reads the loop's source ahead.
Value Interpreter::loop_attribute(Loop& loop, std::string_view name) {
    const auto count = [&] {
        while (accept_next(loop)) {}
        return static_cast<std::int64_t>(loop.accepted.size());
    };
    const auto neighbour = [&](std::int64_t at) {
        if (at < 0 || (static_cast<std::size_t>(at) >= loop.accepted.size() && !accept_next(loop)))
            return runtime_.undefined("there is no such neighbour in the loop");
        return loop.accepted[static_cast<std::size_t>(at)];
    };
    if (name == "index") return Value::integer(loop.index + 1);
    if (name == "index0") return Value::integer(loop.index);
    if (name == "first") return Value::boolean(loop.index == 0);
    if (name == "last") return Value::boolean(static_cast<std::size_t>(loop.index + 1) >= loop.accepted.size() && !accept_next(loop));
    if (name == "length") return Value::integer(count());
    if (name == "revindex") return Value::integer(count() - loop.index);
    if (name == "revindex0") return Value::integer(count() - loop.index - 1);
    if (name == "previtem") return neighbour(loop.index - 1);
    if (name == "nextitem") return neighbour(loop.index + 1);
    if (name == "depth") return Value::integer(1);
    if (name == "depth0") return Value::integer(0);
    if (const Builtin* const method = find_method(Type::loop, name)) return runtime_.function({.builtin = method, .self = Value::loop(&loop)});
    return runtime_.undefined("'loop' has no attribute '{}'", name);
}

// ---- calls ----

Arguments Interpreter::arguments(const Expression& e) {
    Arguments result;
    for (std::size_t i = 1; i < e.parts.size(); ++i) {
        const Expression& part = *e.parts[i];
        if (part.kind == Kind::splat) {
            for (Value& value : items(runtime_, evaluate(*part.parts[0]))) result.positions.push_back(std::move(value));
        } else if (part.kind == Kind::double_splat) {
            const Value dict = evaluate(*part.parts[0]);
            if (!dict.is(Type::dict)) runtime_.mistake("'**' needs a dictionary, not '{}'", type_name(dict));
            for (const auto& [key, value] : dict.as_dict().members) {
                if (!key.is(Type::text)) runtime_.mistake("'**' needs a dictionary whose keys are text");
                result.names.emplace_back(std::string(key.as_text()), value);
            }
        } else {
            result.positions.push_back(evaluate(part));
        }
    }
    for (const auto& [name, value] : e.named) result.names.emplace_back(name, evaluate(*value));
    return result;
}

Value Interpreter::call(const Expression& e, const Value* caller) {
    const Value callee = evaluate(*e.parts[0]);
    Arguments given = arguments(e);
    if (caller) given.names.emplace_back("caller", *caller);
    runtime_.line = e.line;
    if (callee.is(Type::undefined)) refuse_undefined(runtime_, callee);
    if (!callee.is(Type::function)) runtime_.mistake("a value of type '{}' cannot be called", type_name(callee));
    return apply(callee.as_function(), std::move(given));
}

Value Interpreter::apply(const Function& function, Arguments given) {
    if (function.builtin) return run_builtin(runtime_, *function.builtin, function.self, given);
    return call_macro(function, given);
}

Value Interpreter::call_macro(const Function& function, Arguments& given) {
    const int line = runtime_.line;
    Scope* const outer = std::exchange(scope_, open(function.scope));
    struct Return {
        Interpreter& interpreter;
        Scope* const outer;
        ~Return() {
            interpreter.close(interpreter.scope_);
            interpreter.scope_ = outer;
        }
    } back{*this, outer};
    bind(*function.macro, given);
    Value text = captured(function.macro->body);
    runtime_.line = line;
    return text;
}

// Positions first, then names; a parameter without either takes its fallback, computed in the macro's scope.
void Interpreter::bind(const Statement& macro, Arguments& given) {
    const std::vector<Parameter>& parameters = macro.parameters;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        const Parameter& parameter = parameters[i];
        const auto named = std::find_if(given.names.begin(), given.names.end(), [&](const auto& n) { return n.first == parameter.name; });
        if (i < given.positions.size()) {
            if (named != given.names.end()) runtime_.mistake("'{}' gets two values for its parameter '{}'", macro.text, parameter.name);
            set(parameter.name, given.positions[i]);
        } else if (named != given.names.end()) {
            Value value = std::move(named->second);
            given.names.erase(named);
            set(parameter.name, std::move(value));
        } else {
            set(parameter.name,
                parameter.fallback ? evaluate(*parameter.fallback) : runtime_.undefined("parameter '{}' was not given", parameter.name));
        }
    }
    bind_rest(macro, given, parameters.size());
}

// What no parameter took: for a body that mentions varargs, kwargs or caller; otherwise it is a mistake.
void Interpreter::bind_rest(const Statement& macro, Arguments& given, std::size_t used) {
    const auto caller = std::find_if(given.names.begin(), given.names.end(), [](const auto& n) { return n.first == "caller"; });
    if (macro.uses_caller) set("caller", caller == given.names.end() ? runtime_.undefined("there is no 'caller'") : caller->second);
    if (caller != given.names.end()) {
        if (!macro.uses_caller && !macro.uses_kwargs) runtime_.mistake("'{}' does not use the block it is called with", macro.text);
        given.names.erase(caller);
    }
    std::vector<Value> rest;
    for (std::size_t i = used; i < given.positions.size(); ++i) rest.push_back(given.positions[i]);
    if (!rest.empty() && !macro.uses_varargs) runtime_.mistake("'{}' takes at most {} arguments, not {}", macro.text, used, given.positions.size());
    if (macro.uses_varargs) set("varargs", runtime_.list(std::move(rest), List::Nature::tuple));
    if (!given.names.empty() && !macro.uses_kwargs) runtime_.mistake("'{}' has no parameter '{}'", macro.text, given.names[0].first);
    if (!macro.uses_kwargs) return;
    Value extra = runtime_.dict();
    for (auto& [name, value] : given.names) templates::assign(runtime_, extra.as_dict(), runtime_.text(name), std::move(value));
    set("kwargs", std::move(extra));
}

// ---- filters and tests ----

Value Interpreter::filter(const Expression& e, const Value& self) {
    if (!e.builtin) runtime_.fail(ErrorKind::unsupported, "the filter '{}' is not supported", e.name);
    const Arguments given = arguments(e);
    runtime_.line = e.line;
    return run_builtin(runtime_, *e.builtin, self, given);
}

/// The filters of {% filter a | b %}, whose innermost one has nothing before its bar.
Value Interpreter::filter_chain(const Expression* e, Value text) {
    if (!e) return text;
    const Nesting nesting(runtime_);
    return filter(*e, filter_chain(e->parts[0].get(), std::move(text)));
}

Value Interpreter::test(const Expression& e) {
    if (!e.builtin) runtime_.fail(ErrorKind::unsupported, "the test '{}' is not supported", e.name);
    const Value self = evaluate(*e.parts[0]);
    const Arguments given = arguments(e);
    runtime_.line = e.line;
    return run_builtin(runtime_, *e.builtin, self, given);
}

}  // namespace tailor::text::templates
