// 32-bit integers: token ids and positions. Not a format for weights.
#include <cstring>

#include "formats/format.h"

namespace tailor::formats::entries {

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; ++i) {
        std::int32_t value;
        std::memcpy(&value, blocks + i * 4, sizeof value);
        values[i] = static_cast<float>(value);
    }
}

static void encode(const float* values, const float*, std::byte* blocks, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; ++i) {
        const auto value = static_cast<std::int32_t>(values[i]);
        std::memcpy(blocks + i * 4, &value, sizeof value);
    }
}

extern const Format i32 = {
    .name = "i32",
    .doc = "32-bit integers, for token ids and positions",
    .values_per_block = 1,
    .bytes_per_block = 4,
    .gguf_type = 26,
    .weights = false,
    .decode = {{&decode}},
    .encode = &encode,
};

}  // namespace tailor::formats::entries
