// Operators: everything that may be asked of one stands in its one file.
//
// An operator is a file src/ops/<name>.cpp (or a folder src/ops/<name>/ holding <name>.cpp) that defines
// `extern const Op <name>` in namespace tailor::ops::entries. It states how shapes follow, a slow obvious reference in
// double precision, its kernels per instruction-set level, what it costs, what it carries between calls (State), its gradient
// as nodes of other operators, and the shape cases on which conformance_test.cpp holds every kernel to the reference. The
// graph, its gradient, the planner, `--check`, `--explain` and cost prediction are programs over these fields.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/pool.h"
#include "core/tensor.h"
#include "cpu/isa.h"
#include "formats/format.h"

namespace tailor::ops {

/// Named parameters of a node: integers, real numbers and words. Look-ups are by name and never allocate.
class Attributes {
  public:
    using Value = std::variant<std::int64_t, double, std::string>;
    Attributes() = default;
    Attributes(std::initializer_list<std::pair<std::string_view, Value>> values);

    void set(std::string_view name, Value value);
    bool has(std::string_view name) const { return find(name) != nullptr; }
    /// Without a fallback a missing attribute is Error(bug): the family forgot it.
    std::int64_t integer(std::string_view name) const;
    std::int64_t integer(std::string_view name, std::int64_t fallback) const;
    double real(std::string_view name) const;
    double real(std::string_view name, double fallback) const;
    std::string_view word(std::string_view name, std::string_view fallback) const;
    const std::vector<std::pair<std::string, Value>>& entries() const { return entries_; }

  private:
    const Value* find(std::string_view name) const;
    std::vector<std::pair<std::string, Value>> entries_;
};

/// Format and shape of a value; format == nullptr stands for an optional input that is absent.
struct TensorType {
    const formats::Format* format = nullptr;
    core::Shape shape;
    core::Layout layout = core::Layout::rows;
    explicit operator bool() const { return format != nullptr; }
};

/// A node as the planner sees it.
struct NodeView {
    const Attributes& attributes;
    std::span<const TensorType> inputs;
    TensorType output;

    /// inputs[i], or an absent type beyond the end.
    TensorType input(std::size_t i) const { return i < inputs.size() ? inputs[i] : TensorType{}; }
};

/// Where each row of a step stands: row r is token number positions[r] (from 0) of sequence slot sequences[r].
/// Rows of one sequence come in the order of their positions.
struct Batch {
    std::span<const std::int32_t> sequences;
    std::span<const std::int32_t> positions;
};

/// Memory an operator carries between calls, per sequence slot: a KV cache, a recurrent state, a convolution window.
/// The session owns it as one tensor [slots, shape...], zeroed when a sequence starts.
struct StateType {
    std::string_view name;                    ///< "k"
    core::Shape shape;                        ///< of one slot, at most three dimensions
    const formats::Format* format = nullptr;  ///< nullptr: the session's KV format
};

/// What the session offers when an operator states its memory.
struct StateOptions {
    std::int64_t context = 0;  ///< positions a sequence may hold
};

/// Work of one call, for limits and predictions.
struct Cost {
    double flops = 0;
    double bytes_read = 0;
    double bytes_written = 0;
};

/// One call of a kernel. All pointers are set and all shapes checked by the plan.
struct Call {
    const Attributes& attributes;
    std::span<const core::Tensor> inputs;  ///< absent optional inputs have no data
    core::Tensor output;
    std::span<core::Tensor> states;
    Batch batch;
    core::Pool* pool;
    cpu::Isa isa;
    std::byte* scratch = nullptr;  ///< Op::scratch_bytes, 64-byte aligned

    const core::Tensor* input(std::size_t i) const { return i < inputs.size() && inputs[i] ? &inputs[i] : nullptr; }
};

using Run = void (*)(const Call&) noexcept;

/// What multiplies in a kernel: the peak that bounds it.
enum class Unit { vector_f32, vector_bf16, vector_int16, vector_int8, tile_bf16, tile_int8 };

struct Kernel {
    std::string_view name;
    std::string_view doc;  ///< one sentence: how it works
    int version = 1;       ///< raised when its speed changes; part of the key of stored measurements
    cpu::PerIsa<Run> run;  ///< a null base entry: the kernel needs a higher level
    Unit unit = Unit::vector_f32;
    /// Error it adds by design, as a share of the largest value, beyond that of sums in f32; 0: none.
    double error = 0;
    /// Why this kernel cannot run this node; empty if it can.
    std::string (*declines)(const NodeView&) = nullptr;
    /// Why a kernel further down should be faster for this node; empty if none should. Unlike `declines` a guess: what was measured on
    /// the machine at hand counts for more (graph::PlanOptions::preference).
    std::string (*slower)(const NodeView&) = nullptr;

    bool can_run(const NodeView& node) const { return !declines || declines(node).empty(); }
};

/// What an operator's list says of some of its kernels, at least one: the first that calls no other faster, or else the first.
inline const Kernel* listed_first(std::span<const Kernel* const> kernels, const NodeView& node) {
    for (const Kernel* kernel : kernels)
        if (!kernel->slower || kernel->slower(node).empty()) return kernel;
    return kernels.front();
}

/// One shape on which the kernels are compared with the reference. Inputs are filled with normal numbers; i32 inputs
/// with integers in [0, index_limit).
struct Case {
    std::vector<TensorType> inputs;
    Attributes attributes;
    std::int64_t index_limit = 1;
    std::int64_t past = 0;     ///< rows come after this many rows, which are run first (operators with state)
    std::int64_t context = 0;  ///< state size
    std::string_view kv_format = "f32";  ///< of states whose format is the session's to choose
    double tolerance = 2e-5;   ///< of the largest absolute reference value
    /// Brings the random inputs into the operator's domain (decays that do not grow and the like); null: any numbers will do.
    void (*confine)(std::span<const core::Tensor> inputs) = nullptr;
};

/// Index of a value in a graph under construction; -1: none.
using Value = std::int32_t;

/// The graph as rules of gradients see it: they add nodes of registered operators and know nothing else of it.
class GraphBuilder {
  public:
    /// A node of the operator `op`; inputs of -1 are absent. Throws Error(shape) if the inputs do not fit.
    virtual Value add(std::string_view op, std::vector<Value> inputs, Attributes attributes = {}) = 0;
    virtual TensorType type(Value value) const = 0;
    /// An f32 constant, every number of it `number`.
    virtual Value filled(core::Shape shape, float number) = 0;

  protected:
    ~GraphBuilder() = default;
};

/// What the rule of an operator's gradient is given: its node, and the gradient of a loss with respect to the node's result.
struct Differentiation {
    GraphBuilder& graph;
    const Attributes& attributes;
    std::span<const Value> inputs;
    Value output;
    Value gradient;   ///< f32, of the shape of the output
    unsigned wanted;  ///< bit i: the gradient of input i is asked for

    /// Input i; -1 if it is absent.
    Value input(std::size_t i) const { return i < inputs.size() ? inputs[i] : -1; }
    bool wants(std::size_t i) const { return (wanted >> i & 1U) != 0 && input(i) >= 0; }
    core::Shape shape(std::size_t i) const { return graph.type(inputs[i]).shape; }
};

struct Op {
    std::string_view name;
    std::string_view doc;  ///< inputs with their shapes, output, and the formula
    int least_inputs = 1, most_inputs = 1;
    /// Checks the inputs and gives the output's type. Throws Error(shape) or Error(unsupported).
    TensorType (*shape)(const NodeView&) = nullptr;
    /// The definition, in double precision, single thread.
    void (*reference)(const Call&) = nullptr;
    /// Fastest first.
    std::span<const Kernel> kernels;
    Cost (*cost)(const NodeView&) = nullptr;
    /// Null for an operator without memory.
    std::vector<StateType> (*states)(const NodeView&, const StateOptions&) = nullptr;
    /// Memory that the kernels of a node want while they run; null: none. It must not depend on the formats of the inputs.
    std::int64_t (*scratch_bytes)(const NodeView&) = nullptr;
    int weight_input = -1;         ///< the input whose matrix is best given in panels (formats/panels.h); -1: none
    unsigned panel_inputs = 0;     ///< bit i: input i may come in panels
    bool in_place = false;  ///< the output may use the buffer of input 0 when shapes and formats agree
    std::vector<Case> (*cases)() = nullptr;
    /// The gradients of the wanted inputs, one value per input with as many numbers, -1 for inputs that are not wanted. Rows of the
    /// node are taken to be whole sequences from position 0: nothing came before them. Null: see `not_differentiable`.
    std::vector<Value> (*gradient)(const Differentiation&) = nullptr;
    unsigned tables = 0;  ///< bit i: input i is a table that no one trains; it has no gradient
    std::string_view surrogate = {};  ///< why the gradient is by decree and not the derivative; its operator is then held to its own definition only
    std::string_view not_differentiable = {};  ///< why there is no gradient; one of both is stated, which gradient_test.cpp checks
};

}  // namespace tailor::ops
