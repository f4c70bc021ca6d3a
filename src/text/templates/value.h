// The values that a template computes with: Python's, as far as chat templates meet them.
//
// A value is none, a truth value, an integer, a real, text, a list, a dictionary, a namespace, a function, the `loop` of a
// for statement, or undefined (what a missing name or key gives: it prints as nothing, is false and empty, and using it in
// any other way is an error). Values are small and copied freely. Text is counted by reference; everything that can hold
// other values lives in the Runtime of one rendering and is freed with it, so that a namespace that holds itself is no leak.
//
// What Python would print is part of the meaning of a template: `{{ x }}` shows True, None, 1.0 and ['it\'s'], and these
// functions give exactly that.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailor::text::templates {

class Runtime;
class Value;
struct List;
struct Dict;
struct Function;
struct Loop;
struct Builtin;
struct Statement;
struct Scope;

enum class Type : std::uint8_t { undefined, none, boolean, integer, real, text, list, dict, space, function, loop };

/// Bytes of a text value and the runtime that counts them; nullptr for the constants of a template.
struct Text {
    std::string bytes;
    Runtime* runtime = nullptr;
    Text(std::string bytes_, Runtime* runtime_) : bytes(std::move(bytes_)), runtime(runtime_) {}
    Text(const Text&) = delete;
    Text& operator=(const Text&) = delete;
    ~Text();
};

class Value {
  public:
    /// Undefined, without a reason.
    Value() = default;
    /// Undefined; using it reports `reason` ("'x' is undefined"), a literal or a text of the runtime.
    static Value undefined(std::shared_ptr<const Text> reason);
    static Value none();
    static Value boolean(bool value);
    static Value integer(std::int64_t value);
    static Value real(double value);
    static Value text(std::shared_ptr<const Text> text);
    /// Text that no runtime counts: constants of a template.
    static Value constant(std::string text);
    static Value list(List* list);
    static Value dict(Dict* dict);
    static Value space(Dict* members);
    static Value function(Function* function);
    static Value loop(Loop* loop);

    Type type() const { return type_; }
    bool is(Type type) const { return type_ == type; }
    bool is_number() const { return type_ == Type::integer || type_ == Type::real || type_ == Type::boolean; }
    /// Integers and truth values, which count as 0 and 1.
    bool is_integral() const { return type_ == Type::integer || type_ == Type::boolean; }

    /// Each is meaningful only for the kind it names.
    std::int64_t as_integer() const { return integer_; }
    double as_real() const { return type_ == Type::real ? real_ : static_cast<double>(integer_); }
    std::string_view as_text() const { return text_ ? std::string_view(text_->bytes) : std::string_view(); }
    List& as_list() const { return *list_; }
    Dict& as_dict() const { return *dict_; }
    Function& as_function() const { return *function_; }
    Loop& as_loop() const { return *loop_; }
    /// The same object, where `is` and the equality of functions ask for it.
    bool same_object(const Value& other) const { return type_ == other.type_ && list_ == other.list_; }

  private:
    Type type_ = Type::undefined;
    union {
        std::int64_t integer_ = 0;
        double real_;
        List* list_;
        Dict* dict_;
        Function* function_;
        Loop* loop_;
    };
    std::shared_ptr<const Text> text_;
};

/// A sequence that is not text. Its nature decides how it prints and what it allows: only `list` can be changed; only
/// `list`, `tuple` and `range` have positions; a `generator` gives each item once and is always true.
struct List {
    enum class Nature : std::uint8_t { list, tuple, range, keys, values, items, generator } nature = Nature::list;
    std::vector<Value> items;
    std::size_t given = 0;  ///< of a generator: items already given
    std::int64_t start = 0, stop = 0, step = 1;  ///< of a range, as it prints

    bool has_positions() const { return nature == Nature::list || nature == Nature::tuple || nature == Nature::range; }
};

/// Keys in the order in which they were added. Dictionaries of messages and tools have a handful of keys, for which
/// looking at each is faster than hashing; a look-up is charged by size, so that large ones cannot be used to hang.
struct Dict {
    std::vector<std::pair<Value, Value>> members;
};

/// Something that can be called: a function of this program, perhaps bound to the value before the dot, or a macro with
/// the scope it was defined in.
struct Function {
    const Builtin* builtin = nullptr;
    Value self;
    const Statement* macro = nullptr;
    Scope* scope = nullptr;
};

/// The `loop` of a for statement: items that passed its condition, found as they are asked for.
struct Loop {
    std::vector<Value> source, accepted;
    std::size_t read = 0;            ///< items of `source` that were looked at
    std::int64_t index = -1;         ///< of the current item in `accepted`
    std::vector<Value> last_changed; ///< what changed() was asked last
    const Statement* statement = nullptr;
    Scope* scope = nullptr;          ///< around the statement: its condition is evaluated there
};

/// False for undefined, none, 0, "", and whatever is empty.
bool truth(const Value& value);
/// Python's name of the type: "str", "int", "NoneType".
std::string_view type_name(const Value& value);
/// ==. Values of different types are unequal, but 1 == 1.0 == True.
bool equal(Runtime& runtime, const Value& a, const Value& b);
/// <. Throws for kinds without an order.
bool less(Runtime& runtime, const Value& a, const Value& b);
/// nullptr when the key is missing.
Value* find(Runtime& runtime, Dict& dict, const Value& key);
const Value* find(Runtime& runtime, const Dict& dict, std::string_view key);
/// Adds or replaces. Throws for a key that cannot be one (a list, a dictionary).
void assign(Runtime& runtime, Dict& dict, const Value& key, Value value);
/// Number of items: of text in characters. Throws for what has no length.
std::int64_t length(Runtime& runtime, const Value& value);
/// The items in order: characters of text, keys of a dictionary; empties a generator. Throws for what has none.
std::vector<Value> items(Runtime& runtime, const Value& value);
/// `needle in haystack`.
bool contains(Runtime& runtime, const Value& haystack, const Value& needle);

/// str(): text as it is.
std::string to_text(Runtime& runtime, const Value& value);
/// repr(): text in quotes.
std::string to_repr(Runtime& runtime, const Value& value);
/// Python's shortest text that reads back as the same number: 1.0, 0.1, 1e+16, inf.
std::string real_text(double value);

}  // namespace tailor::text::templates
