// Adding up attention; see mass.h. Tiles of keys stand as [dimension][64], so 64 scores of a query grow together.
#include "ops/attention/mass.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/simd.h"

#define TAILOR_THIS_FILE "ops/attention/mass.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::ops::attention_kernels::TAILOR_ISA {
using namespace cpu::TAILOR_ISA;

/// Scores of one query with the 64 keys of a tile.
static void score_tile(const float* query, const float* keys, std::int64_t width, float scale, float* scores) noexcept {
    constexpr int at_once = tile_keys / lanes < 4 ? tile_keys / lanes : 4;
    for (std::int64_t first = 0; first < tile_keys; first += at_once * lanes) {
        Vector sums[at_once] = {};
        for (std::int64_t d = 0; d < width; ++d)
            for (int v = 0; v < at_once; ++v) sums[v] = fused(broadcast(query[d]), load(keys + d * tile_keys + first + v * lanes), sums[v]);
        for (int v = 0; v < at_once; ++v) store(scores + first + v * lanes, sums[v] * scale);
    }
}

/// Adds the shares of `count` scores, which have room up to a whole tile, to `mass`.
static void add_shares(float* scores, std::int64_t count, float* mass) noexcept {
    float most = scores[0];
    for (std::int64_t j = 1; j < count; ++j) most = scores[j] > most ? scores[j] : most;
    for (std::int64_t j = count; j % lanes; ++j) scores[j] = most - 1000;  // e^-1000 is 0
    Vector totals = {};
    for (std::int64_t j = 0; j < count; j += lanes) {
        const Vector e = exponential(load(scores + j) - most);
        store(scores + j, e);
        totals += e;
    }
    const float factor = 1 / sum(totals);
    for (std::int64_t j = 0; j < count; ++j) mass[j] += scores[j] * factor;
}

}  // namespace tailor::ops::attention_kernels::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::ops::attention_kernels {

static const cpu::PerIsa<void (*)(const float*, const float*, std::int64_t, float, float*) noexcept> score_each = TAILOR_EACH_ISA(score_tile);
static const cpu::PerIsa<void (*)(float*, std::int64_t, float*) noexcept> share_each = TAILOR_EACH_ISA(add_shares);

/// The keys of a tile at [dimension][64]: in place where they are f32, else in `buffer`.
static const float* floats_of(const core::Tensor& keys, std::int64_t kv_head, std::int64_t first, std::int64_t end, cpu::Isa isa, float* buffer) {
    const std::int64_t width = keys.shape[3];
    const std::byte* const tile = cache_tile(keys, 0, kv_head, first);
    if (keys.format->name == "f32") return reinterpret_cast<const float*>(tile);
    if (layout_of(keys) == CacheLayout::numbers) {
        keys.format->decode.at(isa)(tile, buffer, tile_keys * width);
        return buffer;
    }
    std::fill(buffer, buffer + tile_keys * width, 0.0f);
    for (std::int64_t j = first; j < end; ++j) {
        const std::vector<double> key = read_position(keys, Side::keys, 0, kv_head, j);
        for (std::int64_t d = 0; d < width; ++d) buffer[d * tile_keys + j - first] = static_cast<float>(key[static_cast<std::size_t>(d)]);
    }
    return buffer;
}

void add_mass(const MassCall& call, cpu::Isa isa, std::vector<float>& scratch, float* mass) {
    const std::int64_t width = call.keys.shape[3], entries = call.first_end + call.rows - 1, stride = whole_tiles(entries);
    scratch.resize(static_cast<std::size_t>(tile_keys * width + call.rows * call.heads * stride));
    float* const scores = scratch.data() + tile_keys * width;
    for (std::int64_t first = 0; first < entries; first += tile_keys) {
        const float* const keys = floats_of(call.keys, call.kv_head, first, std::min(entries, first + tile_keys), isa, scratch.data());
        for (std::int64_t r = 0; r < call.rows; ++r)
            for (std::int64_t h = 0; h < call.heads; ++h)
                score_each.at(isa)(call.queries + r * call.row_stride + h * width, keys, width, call.scale, scores + (r * call.heads + h) * stride + first);
    }
    for (std::int64_t r = 0; r < call.rows; ++r)
        for (std::int64_t h = 0; h < call.heads; ++h) share_each.at(isa)(scores + (r * call.heads + h) * stride, call.first_end + r, mass);
}

}  // namespace tailor::ops::attention_kernels
#endif
