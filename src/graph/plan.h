// A plan: a graph made ready to run on this machine.
//
// Making it runs the passes, places every intermediate value in one arena, and chooses a kernel for each node: of those in
// its operator's list that the instruction-set level and the node's shapes allow the fastest as measured on this machine, or the first if
// nothing was; it notes why those before it were passed over.
// Running it touches no allocator. Kernels are noexcept; everything that can be wrong is found while planning.
#pragma once
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "graph/graph.h"

namespace tailor::graph {

/// Which of the kernels that can run a node is the fastest on this machine, with so many threads; null: that is not known.
using Preference = std::function<const ops::Kernel*(const ops::Op& op, const ops::NodeView& node, std::span<const ops::Kernel* const> kernels, int threads)>;

struct PlanOptions {
    cpu::Isa isa = cpu::Isa::base;  ///< highest level to use; Error(usage) if this processor lacks it
    bool use_reference = false;     ///< every node by its double-precision definition
    ops::StateOptions state;        ///< context of the states
    double most_error = 1;          ///< kernels that add more than this by design decline (ops::Kernel::error)
    bool bf16 = false;              ///< kernels that round both factors to bf16 (ops::Unit::vector_bf16) may run, as training can bear
    Preference preference;          ///< empty: the first kernel of the operator's list that says of no other that it should be faster
};

/// A kernel that differs from its reference, as found by run_checked().
struct Divergence {
    std::string node, kernel;
    double relative_error = 0;  ///< of the largest reference value
};

class Plan {
  public:
    Plan(const Graph& graph, core::Pool& pool, PlanOptions options);

    /// One state of one node, to be provided by the session: the key is stable across plans of the same family.
    struct StateSlot {
        std::string key;  ///< "<node name>.<state name>"
        ops::StateType type;

        /// The shape of its memory for so many sequences.
        core::Shape shape(std::int64_t sequences) const;
        /// Such memory, in f32 where the type leaves the format open.
        core::Tensor make(std::int64_t sequences) const;
    };
    const std::vector<StateSlot>& state_slots() const { return state_slots_; }
    std::int64_t arena_bytes() const { return arena_bytes_; }

    /// Sets the memory of intermediate values (at least arena_bytes(), 64-byte aligned) and the states, in the order of
    /// state_slots(); both must outlive the runs. Throws Error(bug) if a state has the wrong shape.
    void bind(std::byte* arena, const std::vector<core::Tensor>& states);
    /// Replaces a weight, choosing kernels anew for the nodes that read it; the shape must stay. Throws Error(bug) if the
    /// plan has no such constant, which is also the case if no output depends on it.
    void set_constant(std::string_view name, const core::Tensor& tensor);
    bool has_constant(std::string_view name) const { return graph_.find(name) != absent; }
    const Graph& graph() const { return graph_; }

    /// Sets the data of an input; its type is fixed by the graph.
    void set_input(std::string_view name, const void* data);
    /// Runs all nodes. Rows stand at `batch`. Allocates nothing.
    void run(const ops::Batch& batch);
    /// Like run(), with the time of each node added to node_nanoseconds().
    void run_timed(const ops::Batch& batch);
    /// Like run(); `observe` sees each node with its inputs just before it runs.
    using Observer = std::function<void(const Node& node, std::span<const core::Tensor> inputs)>;
    void run_observed(const ops::Batch& batch, const Observer& observe);
    /// Like run(), then each node by its reference on the same inputs; reports every node that differs by more than
    /// `tolerance` of the largest value, in order.
    std::vector<Divergence> run_checked(const ops::Batch& batch, double tolerance);
    /// The data of output `i` after a run.
    const core::Tensor& output(std::size_t i = 0) const;

    struct NodeTime {
        std::string name, op;
        bool reads_weight = false;  ///< a product with a constant
        double nanoseconds = 0;     ///< summed over run_timed() calls
        std::string kernel;
        ops::Unit unit = ops::Unit::vector_f32;  ///< of the kernel
        ops::Cost cost = {};                     ///< of one run
    };
    std::vector<NodeTime> node_times() const;
    void clear_times();

    /// One row per node: name, operator, result type, kernel, and why faster kernels declined.
    std::string explain() const;
    core::Json explain_json() const;

    /// Work of one run, summed over the nodes; of all of them, or of those whose kernel multiplies in `unit`.
    ops::Cost cost() const;
    ops::Cost cost(ops::Unit unit) const;

  private:
    struct Step {
        Value value = absent;
        std::vector<core::Tensor> inputs;
        core::Tensor output;
        std::vector<core::Tensor> states;
        std::size_t first_state = 0;
        std::int64_t scratch_offset = -1;  ///< in the arena; -1: none
        ops::Run run = nullptr;
        const ops::Kernel* kernel = nullptr;
        std::vector<std::string> declined;  ///< "<kernel>: <reason>"
        double nanoseconds = 0;
    };
    void choose_kernel(Step& step);
    std::string declines(const ops::Kernel& kernel, const ops::NodeView& node) const;
    ops::Cost cost_of(const Step& step) const;
    void place_values();
    void refresh(Step& step);
    core::Tensor tensor_of(Value value) const;
    ops::Call call(const Step& step, const ops::Batch& batch) const;
    void execute(const Step& step, const ops::Batch& batch) const;

    Graph graph_;
    core::Pool& pool_;
    PlanOptions options_;
    std::vector<Step> steps_;
    std::vector<StateSlot> state_slots_;
    std::vector<std::int64_t> offsets_;  ///< of each value in the arena, -1 if it is not there
    std::vector<const void*> input_data_;
    std::int64_t arena_bytes_ = 0;
    std::byte* arena_ = nullptr;
    std::vector<core::Tensor> states_;
    std::vector<core::Tensor> outputs_;
};

}  // namespace tailor::graph
