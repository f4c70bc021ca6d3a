// Int4: values wait as 4-bit codes, a seventh of their memory; gradients are right on average, each of them noisy.
// Chen et al., "ActNN: Reducing Training Memory Footprint via 2-Bit Activation Compressed Training", 2021.
#include "graph/policies/codes.h"

namespace tailor::graph::policies::entries {
extern const Policy int4 = {
    .name = "int4",
    .doc = "values wait as 4-bit codes, 128 with one range, rounded at random",
    .takes = &takes_codes,
    .store = &store_codes<4>,
    .load = &load_codes<4>,
};
}  // namespace tailor::graph::policies::entries
