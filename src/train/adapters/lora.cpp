// LoRA: two small matrices of ordinary numbers beside each frozen one.
//
//     y = x W^T + (alpha / r) (x A^T) B^T,   B = 0 at first, so that training begins at the model as it is
// Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021, section 4.1. Over a base in blocks of four bits this is QLoRA
// (Dettmers et al., 2023), which found that all matrices of the layers should have a pair, and that the rank then matters little.
#include "train/adapters/adapter_kind.h"

namespace tailor::train::adapters::entries {

extern const AdapterKind lora = {
    .name = "lora",
    .doc = "two matrices of rank r beside each weight (Hu et al., 2021)",
    .rank = 16,
    .rate = 1e-3,
    .file_format = "f16",
};

}  // namespace tailor::train::adapters::entries
