// A format for the extension test: blocks of 16 values as one 32-bit scale and sixteen signed bytes, x = scale * byte.
//
// It is what a newcomer's first format looks like: this file in a new folder, no other file touched. The test copies it
// to src/formats/toy8/toy8.cpp of a copy of the sources.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/format.h"

namespace tailor::formats::entries {

// The test also builds this file with 1.05f here; the conformance suite must then fail.
static constexpr float mistake = 1.0f;

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; i += 16, blocks += 20) {
        float scale;
        std::int8_t bytes[16];
        std::memcpy(&scale, blocks, sizeof scale);
        std::memcpy(bytes, blocks + 4, sizeof bytes);
        for (int j = 0; j < 16; ++j) values[i + j] = mistake * scale * static_cast<float>(bytes[j]);
    }
}

static void encode(const float* values, const float*, std::byte* blocks, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; i += 16, blocks += 20) {
        float largest = 0;
        for (int j = 0; j < 16; ++j) largest = std::max(largest, std::fabs(values[i + j]));
        const float scale = largest / 127, inverse = scale > 0 ? 1 / scale : 0;
        std::int8_t bytes[16];
        for (int j = 0; j < 16; ++j) bytes[j] = static_cast<std::int8_t>(std::lrint(std::clamp(values[i + j] * inverse, -127.0f, 127.0f)));
        std::memcpy(blocks, &scale, sizeof scale);
        std::memcpy(blocks + 4, bytes, sizeof bytes);
    }
}

extern const Format toy8 = {
    .name = "toy8",
    .doc = "blocks of 16: one 32-bit scale and 8 bits per value; for the test that formats need one file only",
    .values_per_block = 16,
    .bytes_per_block = 20,
    .facts = {.gaussian_relative_rmse = 0.0047},
    .decode = {{&decode}},
    .encode = &encode,
};

}  // namespace tailor::formats::entries
