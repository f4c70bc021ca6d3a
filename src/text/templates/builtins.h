// What templates find ready-made: filters (x | name), tests (x is name), methods (x.name()), and global functions.
//
// Each is one row of a table: its name, its parameters, and a function. Parameters are written as in the call, "a b c";
// the call binds positions and names to them and checks them. "*" takes whatever comes.
#pragma once
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/templates/runtime.h"

namespace tailor::text::templates {

struct Arguments {
    std::vector<Value> positions;
    std::vector<std::pair<std::string, Value>> names;
};

/// One call of a builtin. `self` is what stands before the dot, the bar or the `is`.
class Call {
  public:
    /// Binds arguments to parameters. Throws Error(format) if they do not fit.
    Call(Runtime& runtime, const Builtin& builtin, const Value& self, const Arguments& arguments);

    Runtime& runtime;
    const Builtin& builtin;
    const Value& self;
    const Arguments& arguments;

    bool has(std::size_t i) const { return i < bound_.size() && bound_[i]; }
    /// Throws Error(format) naming the parameter when it is missing.
    const Value& operator[](std::size_t i) const;
    /// Undefined when it is missing.
    Value value(std::size_t i) const { return has(i) ? *bound_[i] : Value(); }
    /// With a fallback for a missing argument; each throws Error(format) when the argument has another type.
    std::int64_t integer(std::size_t i, std::int64_t fallback) const;
    std::string_view text(std::size_t i) const;
    std::string_view text(std::size_t i, std::string_view fallback) const;
    bool truth(std::size_t i, bool fallback) const;
    /// Not given, or none.
    bool lacks(std::size_t i) const { return !has(i) || bound_[i]->is(Type::none); }
    /// Throws Error(format) beginning with the builtin's name.
    template <class... A>
    [[noreturn]] void mistake(std::string_view pattern, const A&... given) const {
        fail(core::format(pattern, given...));
    }

  private:
    [[noreturn]] void fail(const std::string& message) const;
    std::string parameter(std::size_t i) const;
    std::vector<const Value*> bound_;
};

struct Builtin {
    std::string_view name;
    std::string_view parameters;
    Value (*run)(const Call& call);
};

/// nullptr if there is none of this name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_global(std::string_view name);
/// Methods of texts, lists, dictionaries and loops.
const Builtin* find_method(Type type, std::string_view name);

/// Runs a builtin and charges for the size of `self`.
Value run_builtin(Runtime& runtime, const Builtin& builtin, const Value& self, const Arguments& arguments);

/// The tables, one per source file.
std::span<const Builtin> text_methods();
std::span<const Builtin> container_methods(Type type);
std::span<const Builtin> text_filters();
std::span<const Builtin> sequence_filters();
std::span<const Builtin> selection_filters();
std::span<const Builtin> tests();
std::span<const Builtin> globals();

/// Throws Error(format) with the reason why a value is undefined.
[[noreturn]] void refuse_undefined(Runtime& runtime, const Value& value);
/// x.name and x[key] as templates see them: undefined when missing. Throws when x is undefined.
Value attribute(Runtime& runtime, const Value& value, std::string_view name);
Value item(Runtime& runtime, const Value& value, const Value& key);
/// The path "a.b.0" that filters take as their `attribute`.
Value attribute_path(Runtime& runtime, const Value& value, const Value& path);

/// The binary operators + - * / // % ** of Python, and the unary -. Throws for types they are not made for, for division
/// by zero, and for integers beyond 64 bits.
Value operate(Runtime& runtime, std::string_view symbol, const Value& a, const Value& b);
Value negated(Runtime& runtime, const Value& a);

/// dict(...) and namespace(...): from a dictionary or pairs, then from named arguments.
Value new_dict(const Call& call);
Value new_space(const Call& call);

/// format % values.
std::string percent_format(Runtime& runtime, std::string_view format, const Value& values);
/// str.format.
std::string brace_format(const Call& call, std::string_view format);
/// json.dumps; indent < 0: one line.
std::string json_text(Runtime& runtime, const Value& value, std::int64_t indent, bool ascii, bool sorted, std::string_view item_separator,
                      std::string_view key_separator);

}  // namespace tailor::text::templates
