// A template as a tree, and the functions that its names stand for.
//
// Nodes are plain data: one struct for expressions and one for statements, with a kind that says which fields count.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/templates/builtins.h"
#include "text/templates/value.h"

namespace tailor::text::templates {

struct Expression;
using ExpressionPointer = std::unique_ptr<Expression>;

struct Expression {
    enum class Kind {
        constant,      // value
        name,          // name
        list, tuple,   // parts
        dict,          // parts: key, value, key, value ...
        attribute,     // parts[0] . name
        item,          // parts[0] [ parts[1] ]
        slice,         // parts[0] [ parts[1] : parts[2] : parts[3] ], where parts may be null
        call,          // parts[0] ( the other parts, named )
        filter, test,  // parts[0] | name ( the other parts, named ); without parts[0] a filter applies to a block's text
        splat, double_splat,  // *parts[0] and **parts[0] in a call
        negative, positive, logical_not, logical_and, logical_or,  // parts
        binary,        // parts[0] name parts[1]: + - * / // % **
        concatenation, // parts, as text
        comparison,    // parts[0] operators[0] parts[1] operators[1] parts[2] ...
        conditional,   // parts: value, condition, other value or null
    } kind;
    int line;
    int height = 1;    ///< of the tree below, so that no tree is deeper than a walk's stack
    std::string name;
    Value value;
    const Builtin* builtin = nullptr;  ///< of a filter or test; nullptr: there is none of this name
    std::vector<ExpressionPointer> parts;
    std::vector<std::string> operators;
    std::vector<std::pair<std::string, ExpressionPointer>> named;
};

struct Statement;
using Block = std::vector<Statement>;

struct Parameter {
    std::string name;
    ExpressionPointer fallback;  ///< nullptr: undefined when it is not given
};

struct Statement {
    enum class Kind {
        text,           // text
        print,          // value
        condition,      // branches; body of the last one has no condition if there is an else
        loop,           // target, value, condition (or null), body, otherwise
        assign,         // target = value
        assign_block,   // target = body through the filters of `value` (or null)
        macro,          // text (its name), parameters, body
        call,           // value, a call that gets body as its `caller` with parameters
        filter,         // body through the filters of `value`
        with,           // assignments, body in a scope of its own
        scope,          // body in a scope of its own: {% generation %}
        break_, continue_,
    } kind;
    int line = 0;
    std::string text;
    ExpressionPointer target, value, condition;
    Block body, otherwise;
    struct Branch {
        ExpressionPointer condition;
        Block body;
    };
    std::vector<Branch> branches;
    std::vector<Parameter> parameters;
    std::vector<std::pair<ExpressionPointer, ExpressionPointer>> assignments;
    bool uses_varargs = false, uses_kwargs = false, uses_caller = false;  ///< of a macro's body
};

/// Throws Error(format) for a mistake and Error(unsupported) for a statement that is not supported, with template and line.
Block parse(std::string_view source, std::string_view template_name);

}  // namespace tailor::text::templates
