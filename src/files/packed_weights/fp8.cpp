// 8-bit floating-point weights with scales, as DeepSeek-V3 publishes them.
//
// DeepSeek-AI, "DeepSeek-V3 Technical Report", 2024, section 3.3: a weight is F8_E4M3 with one factor per block of 128 x 128
// ("weight_block_size"), stored as weight_scale_inv because it is the inverse of what the codes were multiplied with:
//
//     W(j, i) = code(j, i) * weight_scale_inv(j / 128, i / 128)
//
// The older form has one number, weight_scale, for the whole matrix.
#include "core/error.h"
#include "files/packed_weights/packing.h"
#include "files/quoted.h"

namespace tailor::files::packed_weights::fp8_packing {

using core::ErrorKind;
using core::fail;

static std::optional<Weight> unpack(const Part& main, const FindPart& find, const core::Json& settings) {
    const std::string& name = main.tensor->name;
    if (!name.ends_with(".weight") || !main.tensor->type_name.starts_with("F8_")) return {};
    ScaledCodes parts;
    parts.codes = main;
    parts.scales = find(name + "_scale_inv");
    if (!parts.scales.tensor) parts.scales = find(name + "_scale");
    if (!parts.scales.tensor) return {};
    require_part(main, "", {-1, -1});
    const std::int64_t rows = main.tensor->dimensions[0], columns = main.tensor->dimensions[1], scales = parts.scales.tensor->elements();
    const core::Json* const block = settings.find("weight_block_size");
    if (block && block->is_array() && block->items().size() == 2) {
        parts.block_rows = block->items()[0].integer(), parts.block_columns = block->items()[1].integer();
        if (parts.block_rows < 1 || parts.block_columns < 1) fail(ErrorKind::format, "{}: weight_block_size must be positive", main.path);
    } else {
        parts.block_rows = scales == 1 ? std::max<std::int64_t>(rows, 1) : 1;
        parts.block_columns = std::max<std::int64_t>(columns, 1);
    }
    return scaled_weight(name, parts);
}

static constexpr std::string_view unused[] = {".input_scale", ".k_scale", ".v_scale", ".kv_scale", ".output_scale"};

}  // namespace tailor::files::packed_weights::fp8_packing

namespace tailor::files::packed_weights::entries {
extern const Packing fp8 = {
    .name = "fp8",
    .doc = "8-bit floating-point weights with a scale per block (DeepSeek-V3) or per matrix",
    .unpack = &fp8_packing::unpack,
    .unused = fp8_packing::unused,
};
}  // namespace tailor::files::packed_weights::entries
