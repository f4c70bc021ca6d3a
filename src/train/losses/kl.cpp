// KL: the student must give every token the probability that its teacher gives it, t^2 KL(teacher || student) at temperature t.
//
// Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015. Stored answers take unlikely tokens together.
#include "train/losses/loss.h"

namespace tailor::train::losses::entries {
extern const Loss kl = {
    .name = "kl",
    .doc = "divergence of the student's next token from the teacher's, KL(teacher || student)",
    .needs = Needs::answers,
    .add = [](Context& c) {
        const ops::Attributes attributes{{"temperature", c.temperature}};
        if (c.top != graph::absent) return c.graph.add("top_k_divergence", {c.ends.logits, c.top, c.top_ids, c.ends.targets}, attributes);
        return c.graph.add("kl_divergence", {c.teacher_logits, c.ends.logits, c.ends.targets}, attributes);
    },
};
}  // namespace tailor::train::losses::entries
