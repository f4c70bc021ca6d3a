// Reverse KL: what the student says must be what its teacher might say, t^2 KL(student || teacher).
//
// A student that is too small to say all that its teacher says leaves the unlikely out rather than spread over what neither would say. Gu et
// al., "MiniLLM", 2023, section 2.1; a mix with the forward divergence is two losses with two weights.
#include "train/losses/loss.h"

namespace tailor::train::losses::entries {
extern const Loss reverse_kl = {
    .name = "reverse_kl",
    .doc = "divergence of the teacher's next token from the student's, KL(student || teacher)",
    .needs = Needs::logits,
    .add = [](Context& c) { return c.graph.add("kl_divergence", {c.ends.logits, c.teacher_logits, c.ends.targets}, {{"temperature", c.temperature}}); },
};
}  // namespace tailor::train::losses::entries
