// The formats of the compressed-tensors library: packed integers, plain 8-bit integers, 8-bit floats and NVFP4.
//
// One name, several layouts; the stored tensors say which. For a weight W [n, k]:
//
//     weight_packed I32 [n, words]  codes along a row, 32 / bits to a word from the low end, each stored plus 2^(bits-1);
//                                   weight_shape holds n and k; weight_zero_point, if any, is packed along columns
//     weight I8 or F8 [n, k]        the codes themselves
//     weight_packed U8 [n, k / 2]   two 4-bit floats (E2M1, low half first), weight_scale F8_E4M3 [n, k / 16], and
//                                   weight_global_scale, which divides
//
//     W(j, i) = (code - zero point) * weight_scale(block of j, i)
//
// A block is the whole matrix, a row, a group of columns in a row, or a rectangle; weight_g_idx gives the group of a column
// where columns were sorted by importance.
#include "core/error.h"
#include "files/packed_weights/packing.h"
#include "files/quoted.h"

namespace tailor::files::packed_weights::compressed_tensors_packing {

using core::ErrorKind;
using core::fail;

/// The "weights" members of all groups of layers in the settings.
static std::vector<const core::Json*> weight_settings(const core::Json& settings) {
    std::vector<const core::Json*> found;
    if (const core::Json* const groups = settings.find("config_groups"); groups && groups->is_object())
        for (const auto& [name, group] : groups->members())
            if (const core::Json* const weights = group.find("weights"); weights && weights->is_object()) found.push_back(weights);
    return found;
}

/// The bits for which rows of `columns` codes take `words` words; Error(format) if no group of the settings has such.
static std::int64_t bits_of(const Part& main, std::int64_t columns, std::int64_t words, const core::Json& settings) {
    for (const core::Json* weights : weight_settings(settings)) {
        const std::int64_t bits = setting(*weights, "num_bits", "", 4);
        if (bits >= 2 && bits <= 8 && (columns + 32 / bits - 1) / (32 / bits) == words) return bits;
    }
    fail(ErrorKind::format, "{}: tensor {} has {} words for rows of {} codes, which fits no num_bits of quantization_config", main.path,
         quoted(main.tensor->name), words, columns);
}

struct Packed {
    Part codes, scales, zeros, groups;
    std::int64_t rows, columns, words, bits, group_count;
    std::int64_t per_word() const { return 32 / bits; }
};

static std::vector<std::int64_t> group_of_columns(const Packed& p) {
    std::vector<std::int64_t> groups;
    if (p.groups.tensor) {
        for (const std::int32_t g : integers(p.groups, -1, static_cast<std::int32_t>(p.group_count - 1))) groups.push_back(g);
        // -1 everywhere: room was made for an order that was then not used.
        if (std::find(groups.begin(), groups.end(), -1) == groups.end()) return groups;
        groups.clear();
    }
    const std::int64_t size = p.columns / p.group_count;
    for (std::int64_t i = 0; i < p.columns; ++i) groups.push_back(i / size);
    return groups;
}

/// Zero points [row][group] as distances from the middle code, which is what codes are stored relative to.
static std::vector<float> zero_points(const Packed& p) {
    if (!p.zeros.tensor) return std::vector<float>(static_cast<std::size_t>(p.rows * p.group_count));
    if (p.zeros.tensor->type_name != "I32") return numbers(p.zeros);
    std::vector<float> zeros;
    const Words words(p.zeros.data);
    for (std::int64_t j = 0; j < p.rows; ++j)
        for (std::int64_t g = 0; g < p.group_count; ++g) {
            const std::uint32_t code = words[j / p.per_word() * p.group_count + g] >> (j % p.per_word() * p.bits) & ((1u << p.bits) - 1);
            zeros.push_back(static_cast<float>(code) - static_cast<float>(1u << (p.bits - 1)));
        }
    return zeros;
}

static void decode(const Packed& p, const RowSink& sink) {
    const std::vector<float> scales = numbers(p.scales), zeros = zero_points(p);
    const std::vector<std::int64_t> groups = group_of_columns(p);
    const Words words(p.codes.data);
    const auto middle = static_cast<float>(1u << (p.bits - 1));
    decode_rows({p.rows, p.columns}, sink, [&](std::int64_t first, std::int64_t rows, float* values) {
        for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t i = 0; i < p.columns; ++i) {
                const std::int64_t j = first + r;
                const std::uint32_t code = words[j * p.words + i / p.per_word()] >> (i % p.per_word() * p.bits) & ((1u << p.bits) - 1);
                const auto block = static_cast<std::size_t>(j * p.group_count + groups[static_cast<std::size_t>(i)]);
                values[r * p.columns + i] = (static_cast<float>(code) - middle - zeros[block]) * scales[block];
            }
    });
}

static Weight packed_integers(const Part& main, const FindPart& find, const core::Json& settings) {
    const std::string& name = main.tensor->name;
    const auto part = [&](std::string_view suffix) { return find(renamed(name, "weight_packed", suffix)); };
    Packed p{main, part("weight_scale"), part("weight_zero_point"), part("weight_g_idx"), 0, 0, 0, 0, 0};
    const Part shape = part("weight_shape");
    if (!p.scales.tensor || !shape.tensor) fail(ErrorKind::format, "{}: tensor {} needs weight_scale and weight_shape beside it", main.path, quoted(name));
    require_part(main, "I32", {-1, -1});
    require_part(shape, "", {2});
    const std::vector<std::int32_t> sizes = integers(shape, 1, INT32_MAX);
    p.rows = sizes[0], p.columns = sizes[1], p.words = main.tensor->dimensions[1];
    require_part(main, "I32", {p.rows, -1});
    p.bits = bits_of(main, p.columns, p.words, settings);
    require_part(p.scales, "", {p.rows, -1});
    p.group_count = p.scales.tensor->dimensions[1];
    if (p.group_count < 1 || p.columns % p.group_count != 0)
        fail(ErrorKind::format, "{}: tensor {} has rows of {} codes, which {} groups do not divide", main.path, quoted(name), p.columns, p.group_count);
    if (p.zeros.tensor) {
        const bool packed = p.zeros.tensor->type_name == "I32";
        require_part(p.zeros, "", {packed ? (p.rows + p.per_word() - 1) / p.per_word() : p.rows, p.group_count});
    }
    if (p.groups.tensor) require_part(p.groups, "I32", {p.columns});
    Weight weight;
    weight.name = renamed(name, "weight_packed", "weight");
    weight.shape = {p.rows, p.columns};
    weight.format = format_of_scales(p.scales);
    for (const Part* each : std::initializer_list<const Part*>{&p.codes, &p.scales, &p.zeros, &p.groups, &shape})
        if (each->tensor) weight.parts.push_back(each->tensor->name);
    weight.decode = [p](const RowSink& sink) { decode(p, sink); };
    return weight;
}

static Weight packed_floats(const Part& main, const FindPart& find) {
    const std::string& name = main.tensor->name;
    const Part scales = find(renamed(name, "weight_packed", "weight_scale")), global = find(renamed(name, "weight_packed", "weight_global_scale"));
    if (!scales.tensor || !global.tensor)
        fail(ErrorKind::format, "{}: tensor {} needs weight_scale and weight_global_scale beside it", main.path, quoted(name));
    require_part(main, "U8", {-1, -1});
    const std::int64_t rows = main.tensor->dimensions[0], columns = main.tensor->dimensions[1] * 2;
    constexpr std::int64_t group = 16;
    require_part(scales, "F8_E4M3", {rows, columns / group});
    if (columns % group != 0 || global.tensor->elements() != 1)
        fail(ErrorKind::format, "{}: tensor {} needs rows of whole groups of {} and one weight_global_scale", main.path, quoted(name), group);
    Weight weight;
    weight.name = renamed(name, "weight_packed", "weight");
    weight.shape = {rows, columns};
    weight.format = format_of_scales(scales);
    weight.parts = {name, scales.tensor->name, global.tensor->name};
    weight.decode = [=](const RowSink& sink) {
        static constexpr float magnitudes[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
        const std::vector<float> scale = numbers(scales);
        const float divisor = numbers(global)[0];
        decode_rows({rows, columns}, sink, [&](std::int64_t first, std::int64_t count, float* values) {
            for (std::int64_t i = 0; i < count * columns; ++i) {
                const std::int64_t at = first * columns + i;
                const unsigned code = static_cast<unsigned>(main.data[at / 2]) >> (at % 2 * 4) & 15;
                const float magnitude = magnitudes[code & 7] * (scale[static_cast<std::size_t>(at / group)] / divisor);
                values[i] = code & 8 ? -magnitude : magnitude;
            }
        });
    };
    return weight;
}

/// The rows and columns that share a scale, from the number of scales and, for rectangles, the settings.
static void find_blocks(ScaledCodes& parts, const core::Json& settings) {
    const std::int64_t rows = std::max<std::int64_t>(parts.codes.tensor->dimensions[0], 1);
    const std::int64_t columns = std::max<std::int64_t>(parts.codes.tensor->dimensions[1], 1), scales = parts.scales.tensor->elements();
    parts.block_rows = 1, parts.block_columns = columns;
    if (scales == 1) parts.block_rows = rows;
    else if (scales != rows && scales > 0 && scales % rows == 0 && columns % (scales / rows) == 0) parts.block_columns = columns / (scales / rows);
    else if (scales != rows)
        for (const core::Json* weights : weight_settings(settings))
            if (const core::Json* const block = weights->find("block_structure"); block && block->is_array() && block->items().size() == 2) {
                parts.block_rows = std::max<std::int64_t>(block->items()[0].integer(), 1);
                parts.block_columns = std::max<std::int64_t>(block->items()[1].integer(), 1);
            }
}

static std::optional<Weight> unpack(const Part& main, const FindPart& find, const core::Json& settings) {
    const std::string& name = main.tensor->name;
    if (name.ends_with(".weight_packed")) return main.tensor->type_name == "U8" ? packed_floats(main, find) : packed_integers(main, find, settings);
    if (!name.ends_with(".weight") || (main.tensor->type_name != "I8" && !main.tensor->type_name.starts_with("F8_"))) return {};
    ScaledCodes parts{main, find(name + "_scale"), find(name + "_zero_point")};
    if (!parts.scales.tensor) return {};
    require_part(main, "", {-1, -1});
    find_blocks(parts, settings);
    return scaled_weight(name, parts);
}

static constexpr std::string_view unused[] = {".input_scale",  ".input_zero_point",  ".input_global_scale", ".output_scale",
                                              ".output_zero_point", ".k_scale", ".v_scale", ".weight_g_idx"};

}  // namespace tailor::files::packed_weights::compressed_tensors_packing

namespace tailor::files::packed_weights::entries {
extern const Packing compressed_tensors = {
    .name = "compressed-tensors",
    .doc = "compressed-tensors: packed integers of 2 to 8 bits, 8-bit integers and floats, NVFP4, with scales",
    .unpack = &compressed_tensors_packing::unpack,
    .unused = compressed_tensors_packing::unused,
};
}  // namespace tailor::files::packed_weights::entries
