// A graph that runs on batches of whole sequences and on the way forth only: a teacher alone, the evaluation of a student, training without gradients.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "graph/plan.h"

namespace tailor::train {

class BatchPlan {
  public:
    /// `graph` has rows = batch * context; its inputs are among token_ids, positions, wanted_rows (all rows) and targets.
    BatchPlan(const graph::Graph& graph, core::Pool& pool, std::int64_t batch, std::int64_t context, cpu::Isa isa = cpu::active_isa());
    /// Runs one batch; `targets` may be empty if the graph has no such input.
    void run(std::span<const std::int32_t> ids, std::span<const std::int32_t> targets = {});
    const core::Tensor& output(std::size_t i) const { return plan_.output(i); }
    std::int64_t arena_bytes() const { return plan_.arena_bytes(); }

  private:
    graph::Plan plan_;
    core::Tensor arena_;
    std::vector<core::Tensor> states_;
    std::vector<std::int32_t> positions_, sequences_, wanted_;
};

}  // namespace tailor::train
