// Codes for scales that are given; see given_scales.h.
#include "formats/given_scales.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/registry/given_scales.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::given_scales::TAILOR_ISA {

/// Codes of consecutive integers, low..high.
static void nearest_integers(const float* values, float inverse, float offset, float zero, float low, float high, std::uint8_t* codes, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; ++i) {
        const float code = std::nearbyint((values[i] - offset) * inverse) + zero;
        codes[i] = static_cast<std::uint8_t>(std::min(std::max(code, low), high));
    }
}

/// Codes of a table: how many of the borders between its ascending entries lie below a value says which entry is nearest.
static void nearest_entries(const float* values, float inverse, float offset, const float* borders, const std::uint8_t* code_of, std::uint8_t* codes, std::int64_t count) noexcept {
    std::int32_t place[32];
    for (std::int64_t i = 0; i < count; ++i) {
        const float x = (values[i] - offset) * inverse;
        std::int32_t below = 0;
        for (int b = 0; b < 15; ++b) below += x > borders[b];
        place[i] = below;
    }
    for (std::int64_t i = 0; i < count; ++i) codes[i] = code_of[place[i]];
}

struct SortedTable {
    float borders[15];
    std::uint8_t code_of[16];

    explicit SortedTable(const std::int8_t* table) noexcept {
        for (int i = 0; i < 16; ++i) code_of[i] = static_cast<std::uint8_t>(i);
        // Entries that occur twice (0 and -0) keep the order of their codes.
        std::sort(code_of, code_of + 16, [&](std::uint8_t a, std::uint8_t b) { return table[a] != table[b] ? table[a] < table[b] : a < b; });
        for (int i = 0; i < 15; ++i) borders[i] = 0.5f * static_cast<float>(table[code_of[i]] + table[code_of[i + 1]]);
    }
};

static void run(const Format& format, const float* values, std::byte* blocks, std::int64_t count) noexcept {
    const IntegerForm& form = *format.integers;
    const int top = form.levels ? form.zero + form.levels / 2 : (1 << form.bits) - 1, bottom = form.levels ? form.zero - form.levels / 2 : 0;
    const auto zero = static_cast<float>(form.minima ? 0 : form.zero);
    static constexpr std::int8_t none[16] = {};
    const SortedTable table(form.table ? form.table : none);
    for (; count > 0; count -= format.values_per_block, values += format.values_per_block, blocks += format.bytes_per_block) {
        BlockLines lines;
        block_lines(format, blocks, lines);
        std::uint8_t codes[256];
        for (int g = 0, at = 0; at < format.values_per_block; ++g, at += form.group) {
            const std::int64_t size = std::min<std::int64_t>(form.group, format.values_per_block - at);
            // A scale of 0, or one so small that its inverse is none, leaves all at the code of 0.
            const float inverse = std::fabs(lines.scale[g]) > 1e-37f ? 1 / lines.scale[g] : 0.0f;
            if (!form.table) nearest_integers(values + at, inverse, lines.offset[g], zero, static_cast<float>(bottom), static_cast<float>(top), codes + at, size);
            else
                for (std::int64_t i = 0; i < size; i += 32)
                    nearest_entries(values + at + i, inverse, lines.offset[g], table.borders, table.code_of, codes + at + i, std::min<std::int64_t>(32, size - i));
        }
        form.join(codes, blocks);
    }
}

}  // namespace tailor::formats::given_scales::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::given_scales {
static constexpr cpu::PerIsa<RoundToScales> levels = TAILOR_EACH_ISA(run);
}

namespace tailor::formats {

const cpu::PerIsa<RoundToScales> round_to_scales = given_scales::levels;

void block_lines(const Format& format, const std::byte* block, BlockLines& lines) noexcept {
    const IntegerForm& form = *format.integers;
    BlockIntegers integers;
    form.split(block, integers);
    const bool grouped = form.scales == ScaleKind::super || form.scales == ScaleKind::super_nibble;
    const int e = integers.scale, groups = std::max(1, format.values_per_block / form.group);
    const float scale = form.scales == ScaleKind::exponent ? std::bit_cast<float>(e < 2 ? 0x200000u << e : static_cast<std::uint32_t>(e - 1) << 23) : f16_to_f32(integers.scale);
    const float minimum = form.minima ? f16_to_f32(integers.minimum) : 0.0f;
    for (int g = 0; g < groups; ++g) {
        lines.scale[g] = grouped ? scale * static_cast<float>(static_cast<std::int8_t>(integers.group_scales[g])) : scale;
        lines.offset[g] = form.minima ? -(grouped ? minimum * static_cast<float>(integers.group_minima[g]) : minimum) : 0.0f;
    }
}

void multiply_scales(const Format& format, std::byte* block, float factor) noexcept {
    for (const int at : {format.integers->scale_at, format.integers->minimum_at})
        // Beyond the largest f16 the block would decode to infinity.
        if (at >= 0) store_u16(block + at, f32_to_f16(std::clamp(load_f16(block + at) * factor, -65504.0f, 65504.0f)));
}

void mark_reached(const Format& format, const float* values, const std::byte* blocks, double margin, float* inside, std::int64_t count) noexcept {
    const IntegerForm& form = *format.integers;
    const int zero = form.minima ? 0 : form.zero;
    float low = static_cast<float>((form.levels ? form.zero - form.levels / 2 : 0) - zero), high = static_cast<float>((form.levels ? form.zero + form.levels / 2 : (1 << form.bits) - 1) - zero);
    if (form.table) low = *std::min_element(form.table, form.table + 16), high = *std::max_element(form.table, form.table + 16);
    low -= static_cast<float>(margin), high += static_cast<float>(margin);
    for (; count > 0; count -= format.values_per_block, values += format.values_per_block, inside += format.values_per_block, blocks += format.bytes_per_block) {
        BlockLines lines;
        block_lines(format, blocks, lines);
        for (int i = 0; i < format.values_per_block; ++i) {
            const float scale = lines.scale[i / form.group], x = std::fabs(scale) > 1e-37f ? (values[i] - lines.offset[i / form.group]) / scale : 0.0f;
            inside[i] = x >= low && x <= high ? 1.0f : 0.0f;
        }
    }
}

bool set_plain_scale(const Format& format, const float* values, std::byte* block) noexcept {
    const IntegerForm& form = *format.integers;
    if (!has_plain_scale(format)) return false;
    double mean = 0;
    float largest = 0;
    for (int i = 0; i < format.values_per_block; ++i) mean += static_cast<double>(std::fabs(values[i])), largest = std::max(largest, std::fabs(values[i]));
    const int top = form.levels ? form.levels / 2 : (1 << form.bits) - 1 - form.zero;
    const float reach = form.table ? static_cast<float>(*std::max_element(form.table, form.table + 16)) : static_cast<float>(top);
    const float scale = form.levels == 3 ? static_cast<float>(mean / format.values_per_block) : largest / reach;
    store_u16(block + form.scale_at, f32_to_f16(std::min(scale, 65504.0f)));
    return true;
}

}  // namespace tailor::formats
#endif
