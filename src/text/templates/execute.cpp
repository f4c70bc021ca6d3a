// Statements: what a template writes and sets; see interpreter.h. Expressions are in evaluate.cpp.
#include "text/templates/interpreter.h"

namespace tailor::text::templates {

using Kind = Statement::Kind;

class Interpreter::Inner {
  public:
    explicit Inner(Interpreter& i, Scope* around) : interpreter_(i), outer_(i.scope_) { i.scope_ = i.open(around); }
    explicit Inner(Interpreter& i) : Inner(i, i.scope_) {}
    ~Inner() {
        interpreter_.close(interpreter_.scope_);
        interpreter_.scope_ = outer_;
    }
    Inner(const Inner&) = delete;
    Inner& operator=(const Inner&) = delete;
    /// A fresh scope for the next round of a loop.
    void renew() {
        Scope* const around = interpreter_.scope_->around;
        interpreter_.close(interpreter_.scope_);
        interpreter_.scope_ = interpreter_.open(around);
    }

  private:
    Interpreter& interpreter_;
    Scope* const outer_;
};

// ---- scopes ----

Scope* Interpreter::open(Scope* around) {
    Scope* scope;
    if (free_scopes_.empty()) {
        runtime_.take(sizeof(Scope));
        scope = &scopes_.emplace_back();
    } else {
        scope = free_scopes_.back();
        free_scopes_.pop_back();
    }
    scope->around = around;
    return scope;
}

void Interpreter::close(Scope* scope) {
    if (scope->kept) return;
    scope->variables.clear();
    free_scopes_.push_back(scope);
}

void Interpreter::keep(Scope* scope) {
    for (; scope && !scope->kept; scope = scope->around) scope->kept = true;
}

void Interpreter::set(std::string_view name, Value value) {
    runtime_.work(1 + scope_->variables.size() / 8);
    for (auto& [known, old] : scope_->variables)
        if (known == name) {
            old = std::move(value);
            return;
        }
    runtime_.take(scope_->kept ? sizeof(Value) + sizeof(name) : 0);
    scope_->variables.emplace_back(name, std::move(value));
}

Value* Interpreter::find(std::string_view name) {
    for (Scope* scope = scope_; scope; scope = scope->around) {
        runtime_.work(1 + scope->variables.size() / 8);
        for (auto& [known, value] : scope->variables)
            if (known == name) return &value;
    }
    return nullptr;
}

Value Interpreter::closure(const Statement& macro) {
    keep(scope_);
    return runtime_.function({.macro = &macro, .scope = scope_});
}

// ---- statements ----

std::string Interpreter::run(const Block& block) {
    execute(block);
    return output_.take();
}

void Interpreter::write(const Value& value) {
    if (value.is(Type::text)) out_->write(value.as_text());
    else if (!value.is(Type::undefined)) out_->write(to_text(runtime_, value));
}

Interpreter::Flow Interpreter::execute(const Block& block) {
    for (const Statement& statement : block) {
        runtime_.line = statement.line;
        const Flow flow = execute(statement);
        if (flow != Flow::normal) return flow;
    }
    return Flow::normal;
}

Interpreter::Flow Interpreter::execute(const Statement& s) {
    const Nesting nesting(runtime_);
    switch (s.kind) {
        case Kind::text: out_->write(s.text); break;
        case Kind::print: write(evaluate(*s.value)); break;
        case Kind::condition: return condition(s);
        case Kind::loop: return loop(s);
        case Kind::assign: assign(*s.target, evaluate(*s.value)); break;
        case Kind::assign_block: {
            Value text = captured(s.body);
            assign(*s.target, filter_chain(s.value.get(), std::move(text)));
            break;
        }
        case Kind::macro: set(s.text, closure(s)); break;
        case Kind::call: {
            const Value caller = closure(s);
            write(call(*s.value, &caller));
            break;
        }
        case Kind::filter: write(filter_chain(s.value.get(), captured(s.body))); break;
        case Kind::with: return with(s);
        case Kind::scope: {
            const Inner inner(*this);
            return execute(s.body);
        }
        case Kind::break_: return Flow::breaks;
        case Kind::continue_: return Flow::continues;
    }
    return Flow::normal;
}

// What a block writes, as a value, in a scope of its own.
Value Interpreter::captured(const Block& block) {
    const Inner inner(*this);
    Output output(runtime_, runtime_.limits().output_bytes);
    struct Redirection {
        Output*& current;
        Output* const outer;
        ~Redirection() { current = outer; }
    } redirection{out_, std::exchange(out_, &output)};
    execute(block);
    return runtime_.text(output.take());
}

Interpreter::Flow Interpreter::condition(const Statement& s) {
    for (const Statement::Branch& branch : s.branches)
        if (!branch.condition || truth(evaluate(*branch.condition))) return execute(branch.body);
    return Flow::normal;
}

// The values of a with are computed outside of it.
Interpreter::Flow Interpreter::with(const Statement& s) {
    std::vector<Value> values;
    for (const auto& [target, value] : s.assignments) values.push_back(evaluate(*value));
    const Inner inner(*this);
    for (std::size_t i = 0; i < values.size(); ++i) assign(*s.assignments[i].first, values[i]);
    return execute(s.body);
}

void Interpreter::assign(const Expression& target, Value value) {
    if (target.kind == Expression::Kind::name) return set(target.name, std::move(value));
    if (target.kind == Expression::Kind::attribute) {
        const Value* const space = find(target.parts[0]->name);
        if (!space || !space->is(Type::space))
            runtime_.mistake("'{}' is no namespace, so '{}' of it cannot be set", target.parts[0]->name, target.name);
        return templates::assign(runtime_, space->as_dict(), target.value, std::move(value));
    }
    const std::vector<Value> values = items(runtime_, value);
    if (values.size() != target.parts.size()) runtime_.mistake("{} values for {} names", values.size(), target.parts.size());
    for (std::size_t i = 0; i < values.size(); ++i) assign(*target.parts[i], values[i]);
}

// ---- loops ----

/// Reads on to the next item that passes the loop's condition; false at the end.
bool Interpreter::accept_next(Loop& loop) {
    while (loop.read < loop.source.size()) {
        const Value value = loop.source[loop.read++];
        Scope* const outer = std::exchange(scope_, loop.scope);
        struct Return {
            Scope*& current;
            Scope* const outer;
            ~Return() { current = outer; }
        } back{scope_, outer};
        const Inner inner(*this);
        assign(*loop.statement->target, value);
        if (!truth(evaluate(*loop.statement->condition))) continue;
        loop.accepted.push_back(value);
        return true;
    }
    return false;
}

Interpreter::Flow Interpreter::loop(const Statement& s) {
    Loop& loop = runtime_.loop();
    loop.source = items(runtime_, evaluate(*s.value));
    loop.statement = &s;
    loop.scope = scope_;
    if (!s.condition) {
        loop.accepted.swap(loop.source);
    }
    // The loop itself may outlive this statement (a namespace may hold it), its items do not.
    struct Cleanup {
        Runtime& runtime;
        Loop& loop;
        std::size_t bytes;
        ~Cleanup() {
            runtime.give_back(bytes);
            loop.source.clear(), loop.source.shrink_to_fit();
            loop.accepted.clear(), loop.accepted.shrink_to_fit();
        }
    } cleanup{runtime_, loop, 0};
    const std::size_t bytes = 2 * sizeof(Value) * (loop.source.size() + loop.accepted.size());
    runtime_.take(bytes);
    cleanup.bytes = bytes;
    bool ran = false;
    {
        Inner inner(*this);
        while (static_cast<std::size_t>(++loop.index) < loop.accepted.size() || accept_next(loop)) {
            if (ran) inner.renew();
            ran = true;
            set("loop", Value::loop(&loop));
            assign(*s.target, loop.accepted[static_cast<std::size_t>(loop.index)]);
            if (execute(s.body) == Flow::breaks) break;
        }
    }
    return ran ? Flow::normal : execute(s.otherwise);
}

}  // namespace tailor::text::templates
