// Reading, giving variables, rendering; see template.h.
#include "text/templates/template.h"

#include "text/templates/interpreter.h"

namespace tailor::text::templates {

struct Template::Parsed {
    Block block;
};

std::tm local_time() {
    const std::time_t now = std::time(nullptr);
    std::tm result{};
    ::localtime_r(&now, &result);
    return result;
}

Template::Template(std::string_view source, std::string name)
    : name_(std::move(name)), parsed_(std::make_unique<Parsed>(Parsed{parse(source, name_)})) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;

static Value value_of(Runtime& runtime, const core::Json& json) {
    const Nesting nesting(runtime);
    if (json.is_null()) return Value::none();
    if (json.is_string()) return runtime.text(json.string());
    if (json.is_array()) {
        std::vector<Value> items;
        for (const core::Json& item : json.items()) items.push_back(value_of(runtime, item));
        return runtime.list(std::move(items));
    }
    if (json.is_object()) {
        const Value result = runtime.dict();
        for (const auto& [key, member] : json.members()) assign(runtime, result.as_dict(), runtime.text(key), value_of(runtime, member));
        return result;
    }
    if (!json.is_number()) return Value::boolean(json.boolean());
    return json.is_integer() ? Value::integer(json.integer()) : Value::real(json.number());
}

std::string Template::render(const core::Json& variables, const RenderOptions& options) const {
    Runtime runtime(name_, Limits{.work = options.most_work, .bytes = options.most_bytes}, options.now);
    Interpreter interpreter(runtime);
    for (const auto& [name, value] : variables.members()) interpreter.define(name, value_of(runtime, value));
    return interpreter.run(parsed_->block);
}

}  // namespace tailor::text::templates
