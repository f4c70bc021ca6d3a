// Counting and owning; see runtime.h.
#include "text/templates/runtime.h"

namespace tailor::text::templates {

using core::ErrorKind;

// What an object costs beside its content: counters, the block of the allocator, its place in a list of objects.
constexpr std::size_t object_bytes = 64;

Text::~Text() {
    if (runtime) runtime->give_back(bytes.size() + object_bytes);
}

Runtime::~Runtime() = default;

std::shared_ptr<const Text> Runtime::counted(std::string bytes) {
    work(1 + bytes.size() / 32);
    take(bytes.size() + object_bytes);
    return std::make_shared<const Text>(std::move(bytes), this);
}

Value Runtime::text(std::string bytes) { return Value::text(counted(std::move(bytes))); }

Value Runtime::list(std::vector<Value> items, List::Nature nature) {
    work(1 + items.size());
    take(items.size() * sizeof(Value) + object_bytes);
    lists_.push_back({nature, std::move(items)});
    return Value::list(&lists_.back());
}

void Runtime::append(List& list, Value item) {
    work(1);
    take(2 * sizeof(Value));
    list.items.push_back(std::move(item));
}

Value Runtime::dict() {
    work(1);
    take(object_bytes);
    return Value::dict(&dicts_.emplace_back());
}

Value Runtime::space() {
    work(1);
    take(object_bytes);
    return Value::space(&dicts_.emplace_back());
}

Value Runtime::function(Function function) {
    work(1);
    take(object_bytes);
    functions_.push_back(std::move(function));
    return Value::function(&functions_.back());
}

Loop& Runtime::loop() {
    take(2 * object_bytes);
    return loops_.emplace_back();
}

void Runtime::fail_with(ErrorKind kind, const std::string& message) const { core::fail(kind, "{}, line {}: {}", name_, line, message); }

void Runtime::fail_work() const { fail(ErrorKind::unsupported, "takes more than {} steps; this may be an endless template", limits_.work); }

void Runtime::fail_bytes() const {
    fail(ErrorKind::unsupported, "needs more than {} of memory", core::human_bytes(static_cast<double>(limits_.bytes)));
}

void Nesting::too_deep() {
    --runtime_.depth;
    runtime_.fail(ErrorKind::unsupported, "nested deeper than {} levels", runtime_.limits().depth);
}

void Output::write(std::string_view bytes) {
    runtime_.work(1 + bytes.size() / 32);
    if (bytes.size() > most_bytes_ - text_.size())
        runtime_.fail(ErrorKind::unsupported, "writes more than {}", core::human_bytes(static_cast<double>(most_bytes_)));
    runtime_.take(bytes.size());
    text_ += bytes;
}

std::string Output::take() {
    runtime_.give_back(text_.size());
    return std::exchange(text_, {});
}

}  // namespace tailor::text::templates
