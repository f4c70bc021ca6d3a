// Functions that every template finds: range, namespace, dict, and the two that Hugging Face adds, raise_exception and
// strftime_now.
#include <ctime>

#include "text/templates/builtins.h"

namespace tailor::text::templates {
namespace {

using core::ErrorKind;

// Jinja's sandbox sets the same limit.
constexpr std::int64_t longest_range = 100'000;

Value range(const Call& call) {
    const std::size_t count = call.arguments.positions.size();
    if (count < 1 || count > 3 || !call.arguments.names.empty()) call.mistake("takes one to three integers");
    const std::int64_t start = count > 1 ? call.integer(0, 0) : 0, stop = call.integer(count > 1, 0), step = call.integer(2, 1);
    if (step == 0) call.mistake("needs a step that is not zero");
    std::vector<Value> values;
    for (std::int64_t at = start; step > 0 ? at < stop : at > stop;) {
        if (static_cast<std::int64_t>(values.size()) == longest_range)
            call.runtime.fail(ErrorKind::unsupported, "a range of more than {} items", longest_range);
        values.push_back(Value::integer(at));
        if (__builtin_add_overflow(at, step, &at)) break;
    }
    const Value result = call.runtime.list(std::move(values), List::Nature::range);
    result.as_list().start = start, result.as_list().stop = stop, result.as_list().step = step;
    return result;
}

Value raise_exception(const Call& call) {
    call.runtime.fail(ErrorKind::usage, "the template refuses: {}", to_text(call.runtime, call[0]));
}

Value time_text(const Call& call) {
    const std::string format(call.text(0));
    // strftime returns 0 both for a text that is too long and for an empty one; the mark tells them apart.
    std::string text(1000 + 20 * format.size(), '\0');
    call.runtime.check_size(text.size());
    const std::size_t size = std::strftime(text.data(), text.size(), (format + ".").c_str(), &call.runtime.now());
    if (size == 0) call.mistake("cannot show the time as '{}'", format);
    text.resize(size - 1);
    return call.runtime.text(std::move(text));
}

// Nothing at its first call, the separator at every later one: its state is a list that loses its first item.
Value joiner(const Call& call) {
    static constexpr Builtin next = {"joiner", "", [](const Call& c) {
        List& state = c.self.as_list();
        if (state.items.size() == 1) return state.items[0];
        state.items.erase(state.items.begin());
        return Value::constant("");
    }};
    const Value separator = call.has(0) ? call[0] : Value::constant(", ");
    return call.runtime.function({.builtin = &next, .self = call.runtime.list({Value::none(), separator})});
}

constexpr Builtin table[] = {
    {"range", "*", range},
    {"dict", "*", new_dict},
    {"namespace", "*", new_space},
    {"raise_exception", "message", raise_exception},
    {"strftime_now", "format", time_text},
    {"joiner", "sep", joiner},
};

}  // namespace

std::span<const Builtin> globals() { return table; }

}  // namespace tailor::text::templates
