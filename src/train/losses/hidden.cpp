// Hidden states: the student's residual stream after every layer against its teacher's, as relative squared error, the mean over layers.
//
// Romero et al., "FitNets", 2015; every layer and normalized as in Muralidharan et al., "Compact Language Models via Pruning and Knowledge
// Distillation", 2024, section 3.2. Where widths differ a matrix is trained that maps the student's to the teacher's.
#include "train/losses/loss.h"

namespace tailor::train::losses::entries {
extern const Loss hidden = {
    .name = "hidden",
    .doc = "relative squared error of the hidden state after each layer",
    .needs = Needs::states,
    .add = [](Context& c) {
        std::vector<graph::Value> errors;
        for (std::size_t i = 1; i < c.student.size(); ++i)
            errors.push_back(c.graph.add("relative_error", {c.project(i, c.student[i]), c.teacher[i], c.ends.targets}));
        return mean(c.graph, errors);
    },
};
}  // namespace tailor::train::losses::entries
