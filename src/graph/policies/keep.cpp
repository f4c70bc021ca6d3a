// Keep: a value lies in memory as it is from its last reader of the way forth to its first of the way back.
#include "graph/policies/policy.h"

namespace tailor::graph::policies::entries {
extern const Policy keep = {
    .name = "keep",
    .doc = "values stay in memory as they are",
    .exact = true,
};
}  // namespace tailor::graph::policies::entries
