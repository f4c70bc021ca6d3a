// q1_0: blocks of 128 values, x = d or -d with d in f16, one bit each. For models trained with binary weights.
//
// The best d for given weights w is the weighted mean of magnitudes: the error sum w (|x| - d)^2 is least there.
//
// Layout of a block (18 bytes): d, then 16 bytes, value 8 i + k in bit k of byte i, set where x = d.
#include "formats/format.h"
#include "formats/scale_search.h"
#include "formats/unpack.h"

#define TAILOR_THIS_FILE "formats/q1_0/q1_0.cpp"
#include "cpu/for_each_isa.h"

namespace tailor::formats::entries::TAILOR_ISA {

#include "formats/sixteen.h"

static void decode(const std::byte* blocks, float* values, std::int64_t count) noexcept {
    for (; count > 0; count -= 128, blocks += 18, values += 128) {
        const float d = load_f16(blocks);
        for (int part = 0; part < 8; ++part) {
            const Codes codes = (spread_bits(bytes_of(blocks + 2 + 2 * part)) & 2) - 1;
            scale_sixteen((SignedCodes)codes, d, values + 16 * part);
        }
    }
}

}  // namespace tailor::formats::entries::TAILOR_ISA

#if defined(TAILOR_ONCE)
namespace tailor::formats::entries {

static void encode(const float* values, const float* importance, std::byte* blocks, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; i += 128, blocks += 18) {
        const std::uint16_t d = search_magnitude(values + i, importance ? importance + i : nullptr, 128);
        store_u16(blocks, d);
        for (int k = 0; k < 16; ++k) {
            int byte = 0;
            // d = 0 decodes to +0 if no bit says otherwise.
            for (int t = 0; t < 8; ++t) byte |= (d == 0 || !(values[i + 8 * k + t] < 0)) << t;
            bytes_of(blocks)[2 + k] = static_cast<std::uint8_t>(byte);
        }
    }
}

extern const Format q1_0 = {
    .name = "q1_0",
    .doc = "1 bit, a sign: blocks of 128 with one f16 magnitude",
    .values_per_block = 128,
    .bytes_per_block = 18,
    .gguf_type = 41,
    .gguf_file_type = 40,
    .facts = {.gaussian_relative_rmse = 0.602},
    .decode = TAILOR_EACH_ISA(decode),
    .encode = &encode,
};

}  // namespace tailor::formats::entries
#endif
