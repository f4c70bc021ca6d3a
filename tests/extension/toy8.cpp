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

/// The scale that brings scale * bytes closest to the values, each error counted by its weight (all by 1 without weights).
static float best_scale(const float* values, const float* weights, const std::int8_t* bytes) noexcept {
    double product = 0, square = 0;
    for (int j = 0; j < 16; ++j) {
        const double weight = weights ? weights[j] : 1, byte = bytes[j];
        product += weight * values[j] * byte;
        square += weight * byte * byte;
    }
    constexpr double most = 2.679e36;  // 127 times this is still a finite float
    return square > 0 ? static_cast<float>(std::min(product / square, most)) : 0;
}

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; i += 16, blocks += 20) {
        float largest = 0;
        for (int j = 0; j < 16; ++j) largest = std::max(largest, std::fabs(values[i + j]));
        float scale = largest / 127;
        std::int8_t bytes[16] = {};
        for (int j = 0; j < 16 && scale > 0; ++j)
            bytes[j] = static_cast<std::int8_t>(std::lrint(std::clamp(values[i + j] / scale, -127.0f, 127.0f)));
        const float weighted = importance ? best_scale(values + i, importance + i, bytes) : 0;
        // Weights that are all zero say nothing: count every value alike.
        scale = weighted > 0 ? weighted : best_scale(values + i, nullptr, bytes);
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
