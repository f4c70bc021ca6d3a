// Arithmetic on numbers, text and lists by Python's rules: / always gives a real, // and % round towards minus infinity,
// truth values count as 0 and 1, and text and lists are joined by + and repeated by *.
#include <cmath>

#include "text/templates/builtins.h"

namespace tailor::text::templates {

using core::ErrorKind;

[[noreturn]] static void too_large(Runtime& runtime) { runtime.fail(ErrorKind::unsupported, "an integer does not fit in 64 bits"); }

[[noreturn]] static void wrong_types(Runtime& runtime, std::string_view symbol, const Value& a, const Value& b) {
    if (a.is(Type::undefined)) refuse_undefined(runtime, a);
    if (b.is(Type::undefined)) refuse_undefined(runtime, b);
    runtime.mistake("'{}' does not go with '{}' and '{}'", symbol, type_name(a), type_name(b));
}

static Value integer_power(Runtime& runtime, std::int64_t base, std::int64_t exponent) {
    if (exponent < 0) {
        if (base == 0) runtime.mistake("zero cannot be raised to a negative power");
        return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
    }
    if (base == 0 || base == 1 || base == -1) return Value::integer(exponent == 0 ? 1 : base == -1 && exponent % 2 == 0 ? 1 : base);
    std::int64_t result = 1;
    for (std::int64_t i = 0; i < exponent; ++i)
        if (__builtin_mul_overflow(result, base, &result)) too_large(runtime);
    return Value::integer(result);
}

static Value on_integers(Runtime& runtime, std::string_view symbol, std::int64_t a, std::int64_t b) {
    std::int64_t result = 0;
    if (symbol == "+") {
        if (__builtin_add_overflow(a, b, &result)) too_large(runtime);
    } else if (symbol == "-") {
        if (__builtin_sub_overflow(a, b, &result)) too_large(runtime);
    } else if (symbol == "*") {
        if (__builtin_mul_overflow(a, b, &result)) too_large(runtime);
    } else if (symbol == "**") {
        return integer_power(runtime, a, b);
    } else {
        if (b == 0) runtime.mistake("division by zero");
        if (symbol == "/") return Value::real(static_cast<double>(a) / static_cast<double>(b));
        if (b == -1) return symbol == "%" ? Value::integer(0) : on_integers(runtime, "-", 0, a);
        const std::int64_t remainder = a % b;
        const bool rounds_down = remainder != 0 && (remainder < 0) != (b < 0);
        return Value::integer(symbol == "%" ? remainder + (rounds_down ? b : 0) : a / b - rounds_down);
    }
    return Value::integer(result);
}

static Value on_reals(Runtime& runtime, std::string_view symbol, double a, double b) {
    if (symbol == "+") return Value::real(a + b);
    if (symbol == "-") return Value::real(a - b);
    if (symbol == "*") return Value::real(a * b);
    if (symbol == "**") {
        if ((a == 0 && b < 0) || (a < 0 && b != std::floor(b))) runtime.mistake("{} cannot be raised to the power {}", real_text(a), real_text(b));
        return Value::real(std::pow(a, b));
    }
    if (b == 0) runtime.mistake("division by zero");
    if (symbol == "/") return Value::real(a / b);
    double remainder = std::fmod(a, b);
    if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
    if (symbol == "%") return Value::real(remainder == 0 ? std::copysign(0.0, b) : remainder);
    return Value::real(std::round((a - remainder) / b));
}

static Value repeated(Runtime& runtime, const Value& what, std::int64_t times) {
    const auto count = static_cast<std::size_t>(times < 0 ? 0 : times);
    const bool is_text = what.is(Type::text);
    const std::size_t size = is_text ? what.as_text().size() : what.as_list().items.size() * sizeof(Value);
    std::size_t bytes = 0;
    runtime.check_size(__builtin_mul_overflow(size, count, &bytes) ? SIZE_MAX : bytes);
    if (is_text) {
        std::string text;
        if (size) text.reserve(bytes);
        for (std::size_t i = 0; size && i < count; ++i) text += what.as_text();
        return runtime.text(std::move(text));
    }
    const List& list = what.as_list();
    std::vector<Value> values;
    for (std::size_t i = 0; size && i < count; ++i) values.insert(values.end(), list.items.begin(), list.items.end());
    return runtime.list(std::move(values), list.nature);
}

static bool is_sequence(const Value& v) {
    return v.is(Type::list) && (v.as_list().nature == List::Nature::list || v.as_list().nature == List::Nature::tuple);
}

static Value joined(Runtime& runtime, const Value& a, const Value& b) {
    if (a.is(Type::text)) {
        runtime.check_size(a.as_text().size() + b.as_text().size());
        std::string text(a.as_text());
        return runtime.text(text += b.as_text());
    }
    const std::vector<Value>&x = a.as_list().items, &y = b.as_list().items;
    runtime.check_size((x.size() + y.size()) * sizeof(Value));
    std::vector<Value> values = x;
    values.insert(values.end(), y.begin(), y.end());
    return runtime.list(std::move(values), a.as_list().nature);
}

Value operate(Runtime& runtime, std::string_view symbol, const Value& a, const Value& b) {
    if (a.is_number() && b.is_number())
        return a.is_integral() && b.is_integral() ? on_integers(runtime, symbol, a.as_integer(), b.as_integer())
                                                  : on_reals(runtime, symbol, a.as_real(), b.as_real());
    if (symbol == "%" && a.is(Type::text)) return runtime.text(percent_format(runtime, a.as_text(), b));
    if (symbol == "*" && (a.is(Type::text) || is_sequence(a)) && b.is_integral()) return repeated(runtime, a, b.as_integer());
    if (symbol == "*" && (b.is(Type::text) || is_sequence(b)) && a.is_integral()) return repeated(runtime, b, a.as_integer());
    if (symbol == "+" && ((a.is(Type::text) && b.is(Type::text)) || (is_sequence(a) && is_sequence(b) && a.as_list().nature == b.as_list().nature)))
        return joined(runtime, a, b);
    wrong_types(runtime, symbol, a, b);
}

Value negated(Runtime& runtime, const Value& a) {
    if (a.is(Type::real)) return Value::real(-a.as_real());
    if (a.is_integral()) return on_integers(runtime, "-", 0, a.as_integer());
    if (a.is(Type::undefined)) refuse_undefined(runtime, a);
    runtime.mistake("'-' does not go with '{}'", type_name(a));
}

}  // namespace tailor::text::templates
