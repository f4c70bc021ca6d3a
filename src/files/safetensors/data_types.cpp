// The number types of safetensors and what they become when read.
//
// Types that a number format equals are used in place. The others widen exactly where they can: both 8-bit floats are subsets
// of binary16 (E5M2 is its upper byte; E4M3 spans 2^-9 to 448 with 4 significant bits), and small integers fit i32. F64 is
// rounded to f32, and 64-bit integers must fit 32 bits. 8-bit floats: Micikevicius et al., "FP8 Formats for Deep Learning",
// 2022; E4M3 there has no infinities and one NaN per sign.
#include <array>
#include <cstring>
#include <limits>

#include "files/safetensors/layout.h"
#include "formats/half.h"
#include "formats/registry.h"

namespace tailor::files::safetensors {

namespace {

template <class T>
T load(const std::byte* data, std::int64_t i) noexcept {
    T value;
    std::memcpy(&value, data + i * static_cast<std::int64_t>(sizeof value), sizeof value);
    return value;
}

template <class T>
void store(std::byte* data, std::int64_t i, T value) noexcept {
    std::memcpy(data + i * static_cast<std::int64_t>(sizeof value), &value, sizeof value);
}

/// 1 sign, 4 exponent (bias 7) and 3 fraction bits.
constexpr float e4m3_to_f32(unsigned code) {
    const unsigned exponent = code >> 3 & 15, fraction = code & 7;
    if (exponent == 15 && fraction == 7) return std::numeric_limits<float>::quiet_NaN();
    float magnitude = static_cast<float>(exponent ? 8 + fraction : fraction) * 0x1p-9f;
    for (unsigned e = 1; e < exponent; ++e) magnitude *= 2;
    return code & 0x80 ? -magnitude : magnitude;
}

constexpr std::array<std::uint16_t, 256> make_e4m3_halves() {
    std::array<std::uint16_t, 256> halves{};
    for (unsigned code = 0; code < 256; ++code)
        halves[code] = (code & 0x7F) == 0x7F ? static_cast<std::uint16_t>(0x7E00 | (code & 0x80) << 8) : formats::f32_to_f16(e4m3_to_f32(code));
    // Negative zero keeps its sign through the bits, not through the arithmetic above.
    halves[0x80] = 0x8000;
    return halves;
}
constexpr std::array<std::uint16_t, 256> e4m3_halves = make_e4m3_halves();

bool convert_e4m3(const std::byte* data, std::byte* converted, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; ++i) store(converted, i, e4m3_halves[static_cast<unsigned>(data[i])]);
    return true;
}

bool convert_e5m2(const std::byte* data, std::byte* converted, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; ++i) store(converted, i, static_cast<std::uint16_t>(static_cast<unsigned>(data[i]) << 8));
    return true;
}

bool convert_f64(const std::byte* data, std::byte* converted, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; ++i) store(converted, i, static_cast<float>(load<double>(data, i)));
    return true;
}

template <class T>
bool convert_integer(const std::byte* data, std::byte* converted, std::int64_t count) noexcept {
    bool fits = true;
    for (std::int64_t i = 0; i < count; ++i) {
        const T value = load<T>(data, i);
        if constexpr (sizeof(T) >= sizeof(std::int32_t))
            fits &= static_cast<T>(static_cast<std::int32_t>(value)) == value && (value < 0) == (static_cast<std::int32_t>(value) < 0);
        store(converted, i, static_cast<std::int32_t>(value));
    }
    return fits;
}

constexpr DataType types[] = {
    {"F32", 32, "f32", nullptr},
    {"F16", 16, "f16", nullptr},
    {"BF16", 16, "bf16", nullptr},
    {"I32", 32, "i32", nullptr},
    {"F64", 64, "f32", &convert_f64},
    {"I64", 64, "i32", &convert_integer<std::int64_t>},
    {"I16", 16, "i32", &convert_integer<std::int16_t>},
    {"I8", 8, "i32", &convert_integer<std::int8_t>},
    {"U64", 64, "i32", &convert_integer<std::uint64_t>},
    {"U32", 32, "i32", &convert_integer<std::uint32_t>},
    {"U16", 16, "i32", &convert_integer<std::uint16_t>},
    {"U8", 8, "i32", &convert_integer<std::uint8_t>},
    {"BOOL", 8, "i32", &convert_integer<std::uint8_t>},
    {"F8_E4M3", 8, "f16", &convert_e4m3},
    {"F8_E5M2", 8, "f16", &convert_e5m2},
    {"F8_E8M0", 8, "", nullptr},
    {"F6_E2M3", 6, "", nullptr},
    {"F6_E3M2", 6, "", nullptr},
    {"F4", 4, "", nullptr},
    {"C64", 64, "", nullptr},
};

}  // namespace

const DataType* find_data_type(std::string_view name) {
    for (const DataType& type : types)
        if (type.name == name) return &type;
    return nullptr;
}

const DataType* data_type_of(const formats::Format& format) {
    for (const DataType& type : types)
        if (type.format == format.name && !type.convert) return &type;
    return nullptr;
}

bool to_f32(const DataType& type, const std::byte* data, float* values, std::int64_t count) noexcept {
    const formats::Format* const format = formats::find(type.format);
    if (!format) return false;
    const formats::Decode decode = format->decode.at(cpu::active_isa());
    if (!type.convert) {
        decode(data, values, count);
        return true;
    }
    constexpr std::int64_t step = 1024;
    alignas(8) std::byte converted[4 * step];
    for (std::int64_t i = 0; i < count; i += step) {
        const std::int64_t n = std::min(step, count - i);
        if (!type.convert(data + i * type.bits / 8, converted, n)) return false;
        decode(converted, values + i, n);
    }
    return true;
}

}  // namespace tailor::files::safetensors
