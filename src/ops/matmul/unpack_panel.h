// Taking panels apart (formats/panels.h): codes to bytes in registers, scales to floats in cache. Included inside each
// level's namespace under that level's target, after every other header; hence no include guard and no includes.

/// Word `i` of the eight words that hold the codes of 32 values: values 4 i to 4 i + 3 of `lanes` rows, one byte each. `at` is
/// the first word of the first of these rows; `i` is known when this is compiled, since loops over it are unrolled.
template <int bits>
[[gnu::always_inline]] inline Bytes unpack_word(const std::byte* at, int i) {
    constexpr std::int64_t next = 4 * formats::panel_rows;
    if constexpr (bits == 8) return load_bytes(at + i * next);
    constexpr int nibbles = bits >= 4 ? 4 : 0, pairs = bits - nibbles >= 2 ? 2 : 0, single = bits - nibbles - pairs;
    Bytes code = {};
    if constexpr (nibbles != 0) {
        const Bytes both = load_bytes(at + i / 2 * next);
        code = (i % 2 ? shift_right(both, 4) : both) & 15;
    }
    if constexpr (pairs != 0) {
        const Bytes four = load_bytes(at + (nibbles + i / 4) * next);
        const int shift = 2 * (i % 4) - nibbles;
        code |= (shift < 0 ? shift_left(four, -shift) : shift_right(four, shift)) & static_cast<std::uint8_t>(3 << nibbles);
    }
    if constexpr (single != 0) {
        const Bytes eight = load_bytes(at + (nibbles + pairs) * next);
        constexpr int place = nibbles + pairs;
        code |= (i < place ? shift_left(eight, place - i) : shift_right(eight, i - place)) & static_cast<std::uint8_t>(1 << place);
    }
    return code;
}

/// The same looked up in `numbers` if forms of this Kind (integer_kind.h) have a table: bytes that scales multiply.
template <class Kind>
[[gnu::always_inline]] inline Bytes unpack_bytes(const std::byte* at, Bytes numbers, int i) {
    const Bytes word = unpack_word<Kind::bits>(at, i);
    return Kind::table ? look_up(numbers, word) : word;
}

/// The table of a form as unsigned bytes, `zero` above its numbers, in every 16 bytes of a register.
[[gnu::always_inline]] inline Bytes unsigned_table(const std::int8_t* table, int zero = 128) {
    alignas(64) std::uint8_t bytes[sizeof(Bytes)];
    for (std::size_t i = 0; i < sizeof bytes; ++i) bytes[i] = static_cast<std::uint8_t>(table[i % 16] + zero);
    return load_bytes(bytes);
}

/// 2^(e - 128) for e below 255; 2^-128 and 2^-127 are subnormal.
[[gnu::always_inline]] inline Vector power_of_two(Integers e) {
    const Integers normal = (e - 1) << 23, subnormal = (Integers{} + 0x200000) << (e & 1), bits = e < 2 ? subnormal : normal;
    Vector power;
    std::memcpy(&power, &bits, sizeof power);
    return power;
}

/// Scales, and minima with their sign changed, of the groups of a unit of `count` values at `unit`: [group][scale, and minimum
/// if there are any][16 rows], where a group has at most 32 values.
static void expand_scales(const formats::Format& format, const std::byte* unit, std::int64_t count, float* scales) noexcept {
    using formats::ScaleKind;
    const formats::IntegerForm& form = *format.integers;
    const std::int64_t block = format.values_per_block, groups = block / form.group, repeats = std::max<std::int64_t>(1, form.group / block_values);
    const std::int64_t rows = formats::panel_rows, halves = 2 * rows, fields = form.minima ? 2 : 1;
    const std::int64_t block_bytes = formats::unit_scale_bytes(format, block);
    const std::byte* at = unit;
    for (std::int64_t b = 0; b < count / block; ++b, at += block_bytes)
        for (std::int64_t lane = 0; lane < rows; lane += lanes) {
            if (form.scales == ScaleKind::exponent) {
                store(scales + b * rows + lane, power_of_two(load_unsigned_bytes(at + lane)));
                continue;
            }
            const Vector scale = load_halves(at + 2 * lane), minimum = form.minima ? -load_halves(at + halves + 2 * lane) : Vector{};
            const std::byte* const bytes = at + halves * fields + lane;
            for (std::int64_t g = 0; g < groups; ++g) {
                Vector s = scale, m = minimum;
                if (form.scales == ScaleKind::super) {
                    s = s * to_floats(load_signed_bytes(bytes + g * rows));
                    if (form.minima) m = m * to_floats(load_unsigned_bytes(bytes + (groups + g) * rows));
                } else if (form.scales == ScaleKind::super_nibble) {
                    const Integers both = load_unsigned_bytes(bytes + g * rows);
                    s = s * to_floats(both & 15), m = m * to_floats(both >> 4);
                }
                for (std::int64_t r = 0; r < repeats; ++r) {
                    float* const place = scales + ((b * groups + g) * repeats + r) * rows * fields + lane;
                    store(place, s);
                    if (form.minima) store(place + rows, m);
                }
            }
        }
}
