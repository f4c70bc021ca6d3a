// All Hugging Face architectures of this build.
#pragma once
#include "files/hugging_face/mapping.h"

namespace tailor::files::hugging_face {

std::span<const Architecture* const> all();
/// The architecture of a config.json by its "architectures". Throws Error(unsupported) naming `source`, what was found and the
/// known ones.
const Architecture& architecture_of(const core::Json& config, const std::string& source);
/// The architecture that a GGUF file has; Error(unsupported) likewise.
const Architecture& architecture_of(const File& file);

}  // namespace tailor::files::hugging_face
