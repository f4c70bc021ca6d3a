// Tensor types of GGUF files that are Tailor's own.
//
// Others give numbers out one after the other, from 0; formats that have none get one far from there, so that they can be kept in a file. No
// other program reads such a tensor: it says that it does not know the type.
#pragma once
#include "formats/format.h"

namespace tailor::formats {

inline constexpr int private_gguf_types = 0x7461'0000;

/// True if a GGUF file with this format is read elsewhere too: what may be chosen for a user who did not ask for it by name.
inline bool is_common(const Format& format) { return format.gguf_type >= 0 && format.gguf_type < private_gguf_types; }

}  // namespace tailor::formats
