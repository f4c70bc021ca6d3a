// IEEE 754 binary32, as it is: the format of activations and of everything that must stay exact.
#include <cstring>

#include "formats/format.h"

namespace tailor::formats::entries {

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    std::memcpy(values, blocks, static_cast<std::size_t>(count) * sizeof(float));
}

static void encode(const float* values, const float*, std::byte* blocks, std::int64_t count) noexcept {
    std::memcpy(blocks, values, static_cast<std::size_t>(count) * sizeof(float));
}

extern const Format f32 = {
    .name = "f32",
    .doc = "32-bit floating point, exact",
    .values_per_block = 1,
    .bytes_per_block = 4,
    .gguf_type = 0,
    .gguf_file_type = 0,
    .decode = {{&decode}},
    .encode = &encode,
};

}  // namespace tailor::formats::entries
