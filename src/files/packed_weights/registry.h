// All packings of this build.
#pragma once
#include "files/packed_weights/packing.h"

namespace tailor::files::packed_weights {

std::span<const Packing* const> all();
/// The packing of a "quantization_config"; nullptr for none or null. Throws Error(unsupported) naming `source`, the method
/// that was found and the known ones.
const Packing* packing_of(const core::Json* settings, const std::string& source);

}  // namespace tailor::files::packed_weights
