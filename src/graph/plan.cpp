// Planning and running; see plan.h.
#include "graph/plan.h"

#include <chrono>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "formats/registry.h"
#include "graph/memory.h"
#include "graph/passes.h"

namespace tailor::graph {

using core::ErrorKind;
using core::fail;

core::Shape Plan::StateSlot::shape(std::int64_t sequences) const {
    core::Shape shape{sequences};
    for (int i = 0; i < type.shape.rank(); ++i) shape.append(type.shape[i]);
    return shape;
}

core::Tensor Plan::StateSlot::make(std::int64_t sequences) const { return formats::make_tensor(type.format ? *type.format : formats::get("f32"), shape(sequences)); }

Plan::Plan(const Graph& graph, core::Pool& pool, PlanOptions options) : graph_(optimize(graph)), pool_(pool), options_(options) {
    // Asking also makes the system grant tile registers, which a process has not before (cpu/isa.cpp).
    if (const cpu::Isa highest = cpu::highest_isa(); options_.isa > highest)
        fail(ErrorKind::usage, "a plan for level {} was asked for, this processor has only {}", cpu::name(options_.isa), cpu::name(highest));
    input_data_.assign(graph_.nodes().size(), nullptr);
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
        const Node& node = graph_.nodes()[i];
        if (!node.op) continue;
        Step step{.value = static_cast<Value>(i), .first_state = state_slots_.size()};
        const std::vector<ops::TensorType> types = graph_.input_types(node);
        if (node.op->states)
            for (const ops::StateType& state : node.op->states({node.attributes, types, node.type}, options_.state)) {
                if (node.name.empty()) fail(ErrorKind::bug, "a {} node with state has no name", node.op->name);
                state_slots_.push_back({node.name + "." + std::string(state.name), state});
                step.states.emplace_back();
            }
        choose_kernel(step);
        steps_.push_back(std::move(step));
    }
    place_values();
    outputs_.resize(graph_.outputs().size());
}

// Why a kernel cannot run; empty if it can.
std::string Plan::declines(const ops::Kernel& kernel, const ops::NodeView& node) const {
    if (!kernel.run.at(options_.isa)) return core::format("needs more than {}", cpu::name(options_.isa));
    if (kernel.unit == ops::Unit::vector_bf16 && !options_.bf16) return "multiplies in bf16, which was not asked for";
    if (kernel.error > options_.most_error) return core::format("adds an error of {}, at most {} was asked for", kernel.error, options_.most_error);
    return kernel.declines ? kernel.declines(node) : "";
}

void Plan::choose_kernel(Step& step) {
    const Node& node = graph_.node(step.value);
    const std::vector<ops::TensorType> types = graph_.input_types(node);
    const ops::NodeView view{node.attributes, types, node.type};
    step.declined.clear();
    step.run = nullptr, step.kernel = nullptr;
    if (options_.use_reference) return;
    std::vector<const ops::Kernel*> able;
    std::vector<std::string> reasons;  // of every kernel, empty if it is able
    for (const ops::Kernel& kernel : node.op->kernels) {
        reasons.push_back(declines(kernel, view));
        if (reasons.back().empty()) able.push_back(&kernel);
    }
    const ops::Kernel* const measured = options_.preference && able.size() > 1 ? options_.preference(*node.op, view, able, pool_.threads()) : nullptr;
    if (!able.empty()) step.kernel = measured ? measured : ops::listed_first(able, view), step.run = step.kernel->run.at(options_.isa);
    for (std::size_t i = 0; i < reasons.size() && &node.op->kernels[i] != step.kernel; ++i) {
        const ops::Kernel& kernel = node.op->kernels[i];
        if (reasons[i].empty()) reasons[i] = measured ? "slower here, as measured" : kernel.slower(view);
        step.declined.push_back(std::string(kernel.name) + ": " + reasons[i]);
    }
}

void Plan::place_values() {
    const Buffers buffers = buffers_of(graph_);
    const ArenaLayout layout = lay_out(buffers.lifetimes);
    arena_bytes_ = layout.bytes;
    const auto offset = [&](int buffer) { return buffer < 0 ? -1 : layout.offsets[static_cast<std::size_t>(buffer)]; };
    offsets_.clear();
    for (const int buffer : buffers.of_value) offsets_.push_back(offset(buffer));
    for (Step& step : steps_) step.scratch_offset = offset(buffers.of_scratch[static_cast<std::size_t>(step.value)]);
}

core::Tensor Plan::tensor_of(Value value) const {
    if (value == absent) return {};
    const auto i = static_cast<std::size_t>(value);
    const Node& node = graph_.node(value);
    if (node.is_constant()) return node.constant;
    if (node.is_input()) return formats::view(*node.type.format, node.type.shape, input_data_[i]);
    return formats::view(*node.type.format, node.type.shape, arena_ + offsets_[i]);
}

void Plan::refresh(Step& step) {
    const Node& node = graph_.node(step.value);
    step.inputs.clear();
    for (const Value v : node.inputs) step.inputs.push_back(tensor_of(v));
    step.output = tensor_of(step.value);
    for (std::size_t s = 0; s < step.states.size(); ++s) step.states[s] = states_[step.first_state + s];
}

void Plan::bind(std::byte* arena, const std::vector<core::Tensor>& states) {
    if (states.size() != state_slots_.size()) fail(ErrorKind::bug, "a plan with {} states was given {}", state_slots_.size(), states.size());
    for (std::size_t i = 0; i < states.size(); ++i) {
        const core::Shape& wanted = state_slots_[i].type.shape;
        bool fits = states[i].shape.rank() == wanted.rank() + 1;
        for (int d = 0; fits && d < wanted.rank(); ++d) fits = states[i].shape[d + 1] == wanted[d];
        if (!fits) fail(ErrorKind::bug, "state {} has shape {}, its node wants {} per slot", state_slots_[i].key, states[i].shape.text(), wanted.text());
    }
    arena_ = arena;
    states_ = states;
    for (Step& step : steps_) refresh(step);
    for (std::size_t i = 0; i < outputs_.size(); ++i) outputs_[i] = tensor_of(graph_.outputs()[i]);
}

void Plan::set_constant(std::string_view name, const core::Tensor& tensor) {
    const Value value = graph_.find(name);
    if (value == absent || !graph_.node(value).is_constant()) fail(ErrorKind::bug, "the plan has no constant '{}'", name);
    if (!(graph_.node(value).type.shape == tensor.shape)) fail(ErrorKind::bug, "'{}' would change its shape", name);
    graph_.replace_constant(value, tensor);
    for (Step& step : steps_) {
        bool reads = false;
        for (const Value v : graph_.node(step.value).inputs) reads |= v == value;
        if (!reads) continue;
        choose_kernel(step);
        if (arena_) refresh(step);
    }
}

void Plan::set_input(std::string_view name, const void* data) {
    const Value value = graph_.find(name);
    if (value == absent || !graph_.node(value).is_input()) fail(ErrorKind::bug, "the plan has no input '{}'", name);
    input_data_[static_cast<std::size_t>(value)] = data;
    for (Step& step : steps_) {
        const std::vector<Value>& inputs = graph_.node(step.value).inputs;
        for (std::size_t i = 0; i < inputs.size() && i < step.inputs.size(); ++i)
            if (inputs[i] == value) step.inputs[i].data = static_cast<std::byte*>(const_cast<void*>(data));
    }
}

ops::Call Plan::call(const Step& step, const ops::Batch& batch) const {
    return {graph_.node(step.value).attributes, step.inputs, step.output, const_cast<std::vector<core::Tensor>&>(step.states), batch, &pool_, options_.isa,
            step.scratch_offset < 0 ? nullptr : arena_ + step.scratch_offset};
}

void Plan::execute(const Step& step, const ops::Batch& batch) const {
    if (step.run) step.run(call(step, batch));
    else graph_.node(step.value).op->reference(call(step, batch));
}

void Plan::run(const ops::Batch& batch) {
    for (const Step& step : steps_) execute(step, batch);
}

void Plan::run_timed(const ops::Batch& batch) {
    for (Step& step : steps_) {
        const auto start = std::chrono::steady_clock::now();
        execute(step, batch);
        step.nanoseconds += std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
    }
}

void Plan::run_observed(const ops::Batch& batch, const Observer& observe) {
    for (const Step& step : steps_) {
        observe(graph_.node(step.value), step.inputs);
        execute(step, batch);
    }
}

std::vector<Divergence> Plan::run_checked(const ops::Batch& batch, double tolerance) {
    std::vector<Divergence> found;
    for (const Step& step : steps_) {
        const Node& node = graph_.node(step.value);
        const auto bytes = static_cast<std::size_t>(formats::tensor_bytes(*node.type.format, node.type.shape));
        const core::Tensor expected = formats::make_tensor(*node.type.format, node.type.shape), actual = formats::make_tensor(*node.type.format, node.type.shape);
        ops::Call reference = call(step, batch);
        reference.output = expected;
        std::vector<core::Tensor> states;  // the reference moves a memory on; the kernel shall find what it found
        for (const core::Tensor& state : step.states) {
            states.push_back(formats::make_tensor(*state.format, state.shape));
            std::memcpy(states.back().data, state.data, static_cast<std::size_t>(formats::tensor_bytes(*state.format, state.shape)));
        }
        reference.states = states;
        node.op->reference(reference);  // before the kernel, which may write over its input
        execute(step, batch);
        std::memcpy(actual.data, step.output.data, bytes);
        double largest = 0, worst = 0;
        for (std::int64_t i = 0; i < node.type.shape.elements(); ++i) {
            const double e = expected.row_f32(0)[i], difference = std::fabs(e - actual.row_f32(0)[i]);
            largest = std::max(largest, std::fabs(e));
            if (!(difference <= worst)) worst = difference;
        }
        if (!(worst <= tolerance * largest))
            found.push_back({node.name.empty() ? std::string(node.op->name) : node.name, step.kernel ? std::string(step.kernel->name) : "reference", worst / largest});
    }
    return found;
}

const core::Tensor& Plan::output(std::size_t i) const { return outputs_.at(i); }

std::vector<Plan::NodeTime> Plan::node_times() const {
    std::vector<NodeTime> times;
    for (const Step& step : steps_) {
        const Node& node = graph_.node(step.value);
        const int weight = node.op->weight_input;
        const bool reads_weight = weight >= 0 && graph_.node(node.inputs[static_cast<std::size_t>(weight)]).is_constant();
        times.push_back({node.name, std::string(node.op->name), reads_weight, step.nanoseconds, std::string(step.kernel ? step.kernel->name : "reference"),
                         step.kernel ? step.kernel->unit : ops::Unit::vector_f32, cost_of(step)});
    }
    return times;
}

void Plan::clear_times() {
    for (Step& step : steps_) step.nanoseconds = 0;
}

core::Json Plan::explain_json() const {
    core::Json rows{core::Json::Array{}};
    for (const Step& step : steps_) {
        const Node& node = graph_.node(step.value);
        core::Json row;
        row.set("node", node.name).set("op", node.op->name).set("result", std::string(node.type.format->name) + node.type.shape.text());
        for (const Value v : node.inputs)
            if (v != absent && graph_.node(v).is_constant()) row.set("weight_format", graph_.node(v).type.format->name);
        row.set("kernel", step.kernel ? step.kernel->name : "reference").set("isa", cpu::name(options_.isa));
        row.set("declined", core::Json::array(step.declined));
        rows.add(std::move(row));
    }
    return rows;
}

std::string Plan::explain() const {
    std::vector<std::vector<std::string>> rows = {{"node", "op", "weight", "result", "kernel", "why not a faster one"}};
    const core::Json json = explain_json();
    for (const core::Json& row : json.items()) {
        std::vector<std::string> declined;
        for (const core::Json& reason : row.at("declined").items()) declined.push_back(reason.string());
        const core::Json* const weight = row.find("weight_format");
        rows.push_back({row.at("node").string(), row.at("op").string(), weight ? weight->string() : "-", row.at("result").string(),
                        row.at("kernel").string(), core::join(declined, "; ")});
    }
    return core::table(rows);
}

ops::Cost Plan::cost_of(const Step& step) const {
    const Node& node = graph_.node(step.value);
    const std::vector<ops::TensorType> types = graph_.input_types(node);
    return node.op->cost({node.attributes, types, node.type});
}

static void add(ops::Cost& total, const ops::Cost& cost) {
    total.flops += cost.flops, total.bytes_read += cost.bytes_read, total.bytes_written += cost.bytes_written;
}

ops::Cost Plan::cost() const {
    ops::Cost total;
    for (const Step& step : steps_) add(total, cost_of(step));
    return total;
}

ops::Cost Plan::cost(ops::Unit unit) const {
    ops::Cost total;
    for (const Step& step : steps_)
        if ((step.kernel ? step.kernel->unit : ops::Unit::vector_f32) == unit) add(total, cost_of(step));
    return total;
}

}  // namespace tailor::graph
