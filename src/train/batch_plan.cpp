// Binding and running a batch; see batch_plan.h.
#include "train/batch_plan.h"

#include <cstring>

#include "formats/registry.h"

namespace tailor::train {

// Kernels as in a step of training: those that round activations are not asked.
BatchPlan::BatchPlan(const graph::Graph& graph, core::Pool& pool, std::int64_t batch, std::int64_t context, cpu::Isa isa)
    : plan_(graph, pool, {.isa = isa, .state = {context}, .most_error = 1e-4}) {
    for (std::int64_t r = 0; r < batch * context; ++r) {
        wanted_.push_back(static_cast<std::int32_t>(r));
        positions_.push_back(static_cast<std::int32_t>(r % context)), sequences_.push_back(static_cast<std::int32_t>(r / context));
    }
    arena_ = formats::make_tensor(formats::get("i32"), {plan_.arena_bytes() / 4 + 1});
    for (const graph::Plan::StateSlot& slot : plan_.state_slots()) states_.push_back(slot.make(batch));
    plan_.bind(arena_.data, states_);
}

void BatchPlan::run(std::span<const std::int32_t> ids, std::span<const std::int32_t> targets) {
    for (const core::Tensor& state : states_) std::memset(state.data, 0, static_cast<std::size_t>(formats::tensor_bytes(*state.format, state.shape)));
    const std::pair<const char*, const std::int32_t*> inputs[] = {{"token_ids", ids.data()}, {"positions", positions_.data()}, {"wanted_rows", wanted_.data()}, {"targets", targets.data()}};
    for (const auto& [name, data] : inputs)
        if (plan_.graph().find(name) != graph::absent) plan_.set_input(name, data);
    plan_.run({sequences_, positions_});
}

}  // namespace tailor::train
