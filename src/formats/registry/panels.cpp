// Packing and its plain inverse; see panels.h.
#include "formats/panels.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "formats/half.h"
#include "formats/unpack.h"

namespace tailor::formats {

static constexpr std::int64_t word_row_bytes = 4 * panel_rows;  // one 32-bit word of each row

static bool single_values(const Format& format) { return format.values_per_block == 1; }

bool has_panels(const Format& format) { return format.weights && (format.integers || single_values(format)); }

// Bytes of the scales of one block of sixteen rows.
static std::int64_t block_scale_bytes(const Format& format) {
    const IntegerForm& form = *format.integers;
    const std::int64_t groups = format.values_per_block / form.group, fields = form.minima ? 2 : 1;
    switch (form.scales) {
        case ScaleKind::half: return 2 * panel_rows * fields;
        case ScaleKind::super: return (2 + groups) * panel_rows * fields;
        case ScaleKind::super_nibble: return (2 * fields + groups) * panel_rows;
        case ScaleKind::exponent: return panel_rows;
    }
    return 0;
}

std::int64_t unit_scale_bytes(const Format& format, std::int64_t values) { return values / format.values_per_block * block_scale_bytes(format); }

std::int64_t unit_bytes(const Format& format, std::int64_t values) {
    return unit_scale_bytes(format, values) + values / panel_step * format.integers->bits * word_row_bytes;
}

std::int64_t panel_bytes(const Format& format, std::int64_t width) {
    const std::int64_t bytes = single_values(format) ? width * format.bytes_per_block * panel_rows
                                                     : width / panel_unit * unit_bytes(format, panel_unit) + unit_bytes(format, width % panel_unit);
    return (bytes + 63) / 64 * 64;
}

/// Where the block that begins with column `first` has its scales, and the codes of `first`.
struct Place {
    std::int64_t scales, codes;
};
static Place place_of(const Format& format, std::int64_t width, std::int64_t first) {
    const std::int64_t start = first / panel_unit * panel_unit, values = std::min(panel_unit, width - start);
    const std::int64_t unit = start / panel_unit * unit_bytes(format, panel_unit);
    return {unit + unit_scale_bytes(format, first - start),
            unit + unit_scale_bytes(format, values) + (first - start) / panel_step * format.integers->bits * word_row_bytes};
}

// Rows and panels of one matrix, the last two dimensions.
static std::int64_t matrix_rows(const core::Shape& shape) { return shape[shape.rank() - 2]; }
static std::int64_t matrix_panels(const core::Shape& shape) { return (matrix_rows(shape) + panel_rows - 1) / panel_rows; }
static std::int64_t matrices(const core::Shape& shape) { return shape.rank() == 3 ? shape[0] : 1; }

std::int64_t panels_bytes(const Format& format, const core::Shape& shape) { return matrices(shape) * matrix_panels(shape) * panel_bytes(format, shape.width()); }

// ---- Codes: 32 values of one row to and from their words ----

static std::uint64_t load_eight(const std::uint8_t* codes) {
    std::uint64_t word;
    std::memcpy(&word, codes, sizeof word);
    return word;
}

// Four-bit plane of 32 codes; bits above the fourth are left for the other planes.
static void put_nibbles(const std::uint8_t* codes, std::byte* plane) {
    for (int w = 0; w < 4; ++w) {
        const std::uint64_t eight = load_eight(codes + 8 * w) & 0x0F0F0F0F0F0F0F0FULL;
        store_u32(plane + w * word_row_bytes, static_cast<std::uint32_t>(eight) | static_cast<std::uint32_t>(eight >> 32 << 4));
    }
}

static void put_pairs(const std::uint8_t* codes, int shift, std::byte* plane) {
    for (int w = 0; w < 2; ++w) {
        std::uint32_t word = 0;
        for (int t = 0; t < 4; ++t) word |= (load_u32(codes + 16 * w + 4 * t) >> shift & 0x03030303u) << 2 * t;
        store_u32(plane + w * word_row_bytes, word);
    }
}

static void put_bits(const std::uint8_t* codes, int shift, std::byte* plane) {
    std::uint32_t word = 0;
    for (int t = 0; t < 8; ++t) word |= (load_u32(codes + 4 * t) >> shift & 0x01010101u) << t;
    store_u32(plane, word);
}

// `at` is the first word of the row in the planes of these 32 values.
static void put_codes(int bits, const std::uint8_t* codes, std::byte* at) {
    if (bits == 8) {
        for (int w = 0; w < 8; ++w) std::memcpy(at + w * word_row_bytes, codes + 4 * w, 4);
        return;
    }
    int done = 0;
    if (bits >= 4) put_nibbles(codes, at), done = 4, at += 4 * word_row_bytes;
    if (bits - done >= 2) put_pairs(codes, done, at), done += 2, at += 2 * word_row_bytes;
    if (bits - done == 1) put_bits(codes, done, at);
}

static void take_codes(int bits, const std::byte* at, std::uint8_t* codes) {
    const auto byte = [&](int word, int j) { return std::to_integer<unsigned>(at[word * word_row_bytes + j]); };
    for (int i = 0; i < panel_step; ++i) {
        const int j = i % 4;
        if (bits == 8) {
            codes[i] = static_cast<std::uint8_t>(byte(i / 4, j));
            continue;
        }
        unsigned code = 0;
        int done = 0, word = 0;
        if (bits >= 4) code = byte(i / 8, j) >> (i % 8 < 4 ? 0 : 4) & 15, done = 4, word = 4;
        if (bits - done >= 2) code |= (byte(word + i / 16, j) >> 2 * (i / 4 % 4) & 3) << done, done += 2, word += 2;
        if (bits - done == 1) code |= (byte(word, j) >> i / 4 & 1) << done;
        codes[i] = static_cast<std::uint8_t>(code);
    }
}

// ---- Scales: one block of one row to and from its fields ----

static void put_scales(const Format& format, const BlockIntegers& block, std::int64_t lane, std::byte* at) {
    const IntegerForm& form = *format.integers;
    const std::int64_t groups = format.values_per_block / form.group;
    if (form.scales == ScaleKind::exponent) {
        at[lane] = static_cast<std::byte>(block.scale);
        return;
    }
    store_u16(at + 2 * lane, block.scale), at += 2 * panel_rows;
    if (form.minima) store_u16(at + 2 * lane, block.minimum), at += 2 * panel_rows;
    if (form.scales == ScaleKind::half) return;
    const bool joined = form.scales == ScaleKind::super_nibble;
    for (std::int64_t g = 0; g < groups; ++g)
        at[g * panel_rows + lane] = static_cast<std::byte>(block.group_scales[g] | (joined ? block.group_minima[g] << 4 : 0));
    if (form.minima && !joined)
        for (std::int64_t g = 0; g < groups; ++g) at[(groups + g) * panel_rows + lane] = static_cast<std::byte>(block.group_minima[g]);
}

static void take_scales(const Format& format, const std::byte* at, std::int64_t lane, BlockIntegers& block) {
    const IntegerForm& form = *format.integers;
    const std::int64_t groups = format.values_per_block / form.group;
    if (form.scales == ScaleKind::exponent) {
        block.scale = std::to_integer<std::uint8_t>(at[lane]);
        return;
    }
    block.scale = load_u16(at + 2 * lane), at += 2 * panel_rows;
    if (form.minima) block.minimum = load_u16(at + 2 * lane), at += 2 * panel_rows;
    if (form.scales == ScaleKind::half) return;
    const bool joined = form.scales == ScaleKind::super_nibble;
    for (std::int64_t g = 0; g < groups; ++g) {
        const auto byte = std::to_integer<std::uint8_t>(at[g * panel_rows + lane]);
        block.group_scales[g] = joined ? byte & 15 : byte;
        if (form.minima) block.group_minima[g] = joined ? byte >> 4 : std::to_integer<std::uint8_t>(at[(groups + g) * panel_rows + lane]);
    }
}

// ---- Whole panels ----

static void pack_values(const core::Tensor& rows, std::int64_t first, std::int64_t count, std::byte* panel) {
    const auto bytes = static_cast<std::size_t>(rows.format->bytes_per_block);
    for (std::int64_t lane = 0; lane < count; ++lane) {
        const std::byte* const row = rows.row(first + lane);
        std::byte* const target = panel + static_cast<std::size_t>(lane) * bytes;
        const std::int64_t width = rows.shape.width();
        if (bytes == 2)
            for (std::int64_t i = 0; i < width; ++i) std::memcpy(target + i * panel_rows * 2, row + i * 2, 2);
        else if (bytes == 4)
            for (std::int64_t i = 0; i < width; ++i) std::memcpy(target + i * panel_rows * 4, row + i * 4, 4);
        else
            for (std::int64_t i = 0; i < width; ++i)
                std::memcpy(target + static_cast<std::size_t>(i * panel_rows) * bytes, row + static_cast<std::size_t>(i) * bytes, bytes);
    }
}

void pack_panel(const core::Tensor& rows, std::int64_t index, std::byte* panel) noexcept {
    const Format& format = *rows.format;
    const std::int64_t width = rows.shape.width(), each = matrix_panels(rows.shape), within = index % each * panel_rows;
    const std::int64_t first = index / each * matrix_rows(rows.shape) + within, count = std::min(panel_rows, matrix_rows(rows.shape) - within);
    if (count < panel_rows) std::memset(panel, 0, static_cast<std::size_t>(panel_bytes(format, width)));
    if (single_values(format)) return pack_values(rows, first, count, panel);
    const std::int64_t values = format.values_per_block, step_bytes = format.integers->bits * word_row_bytes;
    BlockIntegers block;
    // Block by block through all rows: what is written stays in the first-level cache until its lines are full.
    for (std::int64_t i = 0; i < width; i += values) {
        const Place place = place_of(format, width, i);
        for (std::int64_t lane = 0; lane < count; ++lane) {
            format.integers->split(rows.row(first + lane) + i / values * format.bytes_per_block, block);
            put_scales(format, block, lane, panel + place.scales);
            std::byte* const at = panel + place.codes + 4 * lane;
            for (std::int64_t s = 0; s < values / panel_step; ++s) put_codes(format.integers->bits, block.codes + s * panel_step, at + s * step_bytes);
        }
    }
}

static void decode_block(const Format& format, const BlockIntegers& block, float* values) {
    const IntegerForm& form = *format.integers;
    for (int i = 0; i < format.values_per_block; ++i) {
        const int group = i / form.group;
        float scale = f16_to_f32(block.scale), minimum = form.minima ? f16_to_f32(block.minimum) : 0.0f;
        if (form.scales == ScaleKind::exponent) scale = std::bit_cast<float>(block.scale < 2 ? 0x200000u << block.scale : (block.scale - 1u) << 23);
        if (form.scales == ScaleKind::super || form.scales == ScaleKind::super_nibble) {
            scale *= static_cast<float>(static_cast<std::int8_t>(block.group_scales[group]));
            if (form.minima) minimum *= static_cast<float>(block.group_minima[group]);
        }
        const int integer = form.table ? form.table[block.codes[i]] : block.codes[i] - form.zero;
        values[i] = form.minima ? scale * static_cast<float>(integer) - minimum : scale * static_cast<float>(integer);
    }
}

void decode_panel_row(const Format& format, const std::byte* panel, std::int64_t lane, std::int64_t width, float* values) noexcept {
    if (single_values(format)) {
        for (std::int64_t i = 0; i < width; ++i)
            format.decode.at(cpu::Isa::base)(panel + (i * panel_rows + lane) * format.bytes_per_block, values + i, 1);
        return;
    }
    const std::int64_t count = format.values_per_block, step_bytes = format.integers->bits * word_row_bytes;
    BlockIntegers block;
    for (std::int64_t i = 0; i < width; i += count) {
        const Place place = place_of(format, width, i);
        take_scales(format, panel + place.scales, lane, block);
        const std::byte* const codes = panel + place.codes + 4 * lane;
        for (std::int64_t s = 0; s < count; s += panel_step) take_codes(format.integers->bits, codes + s / panel_step * step_bytes, block.codes + s);
        decode_block(format, block, values + i);
    }
}

void decode_row(const core::Tensor& matrix, std::int64_t i, float* values) noexcept {
    const Format& format = *matrix.format;
    const std::int64_t width = matrix.shape.width();
    if (matrix.layout == core::Layout::rows) return format.decode.at(cpu::Isa::base)(matrix.row(i), values, width);
    const std::int64_t within = i % matrix_rows(matrix.shape), panel = i / matrix_rows(matrix.shape) * matrix_panels(matrix.shape) + within / panel_rows;
    decode_panel_row(format, matrix.data + panel * panel_bytes(format, width), within % panel_rows, width, values);
}

core::Tensor panels_view(const Format& format, const core::Shape& shape, const void* data) {
    return {&format, shape, static_cast<std::byte*>(const_cast<void*>(data)), 0, nullptr, core::Layout::panels};
}

core::Tensor make_panels(const core::Tensor& rows, core::Pool* pool) {
    if (rows.shape.rank() < 2 || rows.shape.rank() > 3 || !has_panels(*rows.format))
        core::fail(core::ErrorKind::shape, "{}{} cannot be put in panels", rows.format->name, rows.shape.text());
    const std::int64_t bytes = panels_bytes(*rows.format, rows.shape), each = panel_bytes(*rows.format, rows.shape.width());
    const std::shared_ptr<std::byte> memory = allocate(bytes);
    core::Tensor panels = panels_view(*rows.format, rows.shape, memory.get());
    panels.owner = memory;
    const auto pack = [&](std::int64_t p, int) { pack_panel(rows, p, panels.data + p * each); };
    if (pool) pool->run(bytes / each, pack);
    else
        for (std::int64_t p = 0; p < bytes / each; ++p) pack(p, 0);
    return panels;
}

}  // namespace tailor::formats
