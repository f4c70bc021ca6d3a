// Int8: values wait as 8-bit codes, about a quarter of their memory; gradients are noisy by less than a hundredth.
// Pan et al., "Mesa: A Memory-saving Training Framework for Transformers", 2021; Chen et al., "ActNN", 2021.
#include "graph/policies/codes.h"

namespace tailor::graph::policies::entries {
extern const Policy int8 = {
    .name = "int8",
    .doc = "values wait as 8-bit codes, 128 with one range, rounded at random",
    .takes = &takes_codes,
    .store = &store_codes<8>,
    .load = &load_codes<8>,
};
}  // namespace tailor::graph::policies::entries
