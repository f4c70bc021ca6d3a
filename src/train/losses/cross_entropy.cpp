// Cross-entropy: the token that the text has, -ln Q(token), as training without a teacher.
#include "train/losses/loss.h"

namespace tailor::train::losses::entries {
extern const Loss cross_entropy = {
    .name = "cross_entropy",
    .doc = "-ln of the probability of the text's own next token",
    .needs = Needs::nothing,
    .add = [](Context& c) { return c.graph.add("cross_entropy", {c.ends.logits, c.ends.targets}); },
};
}  // namespace tailor::train::losses::entries
