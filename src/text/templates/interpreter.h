// Walks the tree of a template and writes its text.
//
// Names are found by their place in the text (lexical scope): a loop's body, a macro, a `with` and a `generation` block
// open a scope; what is set there ends there. An `if` opens none. A macro sees the scope it was defined in as it is when
// the macro is called.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/templates/builtins.h"
#include "text/templates/syntax.h"

namespace tailor::text::templates {

struct Scope {
    Scope* around = nullptr;
    std::vector<std::pair<std::string_view, Value>> variables;  ///< names point into the template or are given
    bool kept = false;  ///< a function refers to it: it must not be used again
};

class Interpreter {
  public:
    explicit Interpreter(Runtime& runtime) : runtime_(runtime), output_(runtime, runtime.limits().output_bytes) { scope_ = open(nullptr); }
    /// A variable that the template sees; `name` outlives the interpreter.
    void define(std::string_view name, Value value) { set(name, std::move(value)); }
    std::string run(const Block& block);

  private:
    enum class Flow { normal, breaks, continues };
    class Inner;  ///< a scope while it is current

    Flow execute(const Block& block);
    Flow execute(const Statement& statement);
    Flow condition(const Statement& statement);
    Flow loop(const Statement& statement);
    Flow with(const Statement& statement);
    Value captured(const Block& block);
    void write(const Value& value);
    void assign(const Expression& target, Value value);
    bool accept_next(Loop& loop);

    Value evaluate(const Expression& e);
    Value name(const Expression& e);
    Value list(const Expression& e, List::Nature nature);
    Value dict(const Expression& e);
    Value slice(const Expression& e);
    Value call(const Expression& e, const Value* caller = nullptr);
    Value filter(const Expression& e, const Value& self);
    Value filter_chain(const Expression* e, Value text);
    Value test(const Expression& e);
    Value concatenation(const Expression& e);
    Value comparison(const Expression& e);
    bool compare(std::string_view symbol, const Value& a, const Value& b);
    Value attribute_of(const Expression& e);
    Value loop_attribute(Loop& loop, std::string_view name);
    Arguments arguments(const Expression& e);
    Value apply(const Function& function, Arguments arguments);
    Value call_macro(const Function& function, Arguments& arguments);
    void bind(const Statement& macro, Arguments& arguments);
    void bind_rest(const Statement& macro, Arguments& arguments, std::size_t used);

    Scope* open(Scope* around);
    void close(Scope* scope);
    void keep(Scope* scope);
    void set(std::string_view name, Value value);
    Value* find(std::string_view name);
    Value closure(const Statement& macro);

    Runtime& runtime_;
    std::deque<Scope> scopes_;
    std::vector<Scope*> free_scopes_;
    Scope* scope_ = nullptr;
    Output output_;
    Output* out_ = &output_;
};

}  // namespace tailor::text::templates
