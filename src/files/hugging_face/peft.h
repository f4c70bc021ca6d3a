// Adapters in the form of the PEFT library: a folder with adapter_config.json and adapter_model.safetensors.
//
// The matrices of model.layers.0.self_attn.q_proj are named base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight [rank, inputs]
// and ...lora_B.weight [outputs, rank]; the factor is lora_alpha / r, or lora_alpha / sqrt(r) with "use_rslora". Where a step reorders the rows
// of a weight on the way to GGUF (mapping.h), it reorders those of B alike; a weight of theirs that is cut into several of ours gives each its rows
// of B and the whole A.
#pragma once
#include <string>

#include "files/adapter.h"

namespace tailor::files::hugging_face {

/// True for a folder with an adapter_config.json.
bool looks_like_adapter(const std::string& path);
/// As files::read_adapter. Error(unsupported) for kinds other than LoRA and for options that change the network otherwise.
Adapter read_adapter_folder(const std::string& path, const File& base);
/// As files::write_adapter; `format` is one of single values. Throws Error(usage) if `path` is there already.
std::uint64_t write_adapter_folder(const std::string& path, const Adapter& adapter, const File& base, const formats::Format& format);

}  // namespace tailor::files::hugging_face
