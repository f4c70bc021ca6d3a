// Look-ups, attributes and the shared helpers of operator files; see registry.h, op.h and support.h.
#include "ops/registry.h"

#include <algorithm>

#include "formats/panels.h"
#include "ops/support.h"

namespace tailor::ops {

using core::ErrorKind;
using core::fail;

const Op& get(std::string_view name) {
    for (const Op* op : all())
        if (op->name == name) return *op;
    fail(ErrorKind::bug, "there is no operator '{}'", name);
}

Attributes::Attributes(std::initializer_list<std::pair<std::string_view, Value>> values) {
    for (const auto& [name, value] : values) set(name, value);
}

void Attributes::set(std::string_view name, Value value) {
    for (auto& [key, old] : entries_)
        if (key == name) { old = std::move(value); return; }
    entries_.emplace_back(std::string(name), std::move(value));
}

const Attributes::Value* Attributes::find(std::string_view name) const {
    for (const auto& [key, value] : entries_)
        if (key == name) return &value;
    return nullptr;
}

template <class T>
static const T& typed(const Attributes::Value* value, std::string_view name) {
    const T* result = value ? std::get_if<T>(value) : nullptr;
    if (!result) fail(ErrorKind::bug, "attribute '{}' is missing or of another type", name);
    return *result;
}

std::int64_t Attributes::integer(std::string_view name) const { return typed<std::int64_t>(find(name), name); }
std::int64_t Attributes::integer(std::string_view name, std::int64_t fallback) const { return has(name) ? integer(name) : fallback; }
double Attributes::real(std::string_view name) const { return typed<double>(find(name), name); }
double Attributes::real(std::string_view name, double fallback) const { return has(name) ? real(name) : fallback; }
std::string_view Attributes::word(std::string_view name, std::string_view fallback) const {
    return has(name) ? std::string_view(typed<std::string>(find(name), name)) : fallback;
}

TensorType of(std::string_view format, core::Shape shape) { return {&formats::get(format), shape}; }
TensorType f32(core::Shape shape) { return of("f32", shape); }
TensorType i32(core::Shape shape) { return of("i32", shape); }

void require(bool condition, std::string_view what, const NodeView& node) {
    if (condition) return;
    std::vector<std::string> types;
    for (const TensorType& t : node.inputs) types.push_back(t ? std::string(t.format->name) + t.shape.text() : "none");
    fail(ErrorKind::shape, "{}; the inputs are {}", what, core::join(types, ", "));
}

void require_f32(const NodeView& node, std::size_t i) {
    require(node.input(i) && node.input(i).format->name == "f32", core::format("input {} must be f32", i), node);
}

std::vector<double> row_as_double(const core::Tensor& tensor, std::int64_t i) {
    std::vector<float> values(static_cast<std::size_t>(tensor.shape.width()));
    formats::decode_row(tensor, i, values.data());
    return {values.begin(), values.end()};
}

void store_row(const core::Tensor& tensor, std::int64_t i, const std::vector<double>& values) {
    float* const row = tensor.row_f32(i);
    for (std::size_t j = 0; j < values.size(); ++j) row[j] = static_cast<float>(values[j]);
}

Cost streaming_cost(const NodeView& node, double flops) {
    Cost cost{.flops = flops};
    for (const TensorType& t : node.inputs)
        if (t) cost.bytes_read += static_cast<double>(formats::tensor_bytes(*t.format, t.shape));
    cost.bytes_written = static_cast<double>(formats::tensor_bytes(*node.output.format, node.output.shape));
    return cost;
}

std::int64_t rows_per_chunk(std::int64_t width) { return std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(1, width)); }

}  // namespace tailor::ops
