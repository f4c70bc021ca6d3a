// AWQ: 4-bit codes with a scale and a zero point per group of inputs, in the order that its matrix product wants.
//
// Lin et al., "AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration", 2023. A weight W [n, k] lies
// transposed in qweight [k, n / 8]: each word holds the codes of eight outputs of one input, the outputs 0 2 4 6 1 3 5 7 from
// the low end up (pairs that one instruction widens). qzeros [groups, n / 8] is packed likewise.
//
//     W(j, i) = scales(i / group, j) * (q(j, i) - zero(i / group, j))
//
// Of the layouts that exist only this one, "version": "gemm", is stored in published models.
#include "core/error.h"
#include "core/text.h"
#include "files/packed_weights/packing.h"
#include "files/quoted.h"

namespace tailor::files::packed_weights::awq_packing {

using core::ErrorKind;
using core::fail;

/// Where output j of eight lies in a word, in bits.
static constexpr int shifts[8] = {0, 16, 4, 20, 8, 24, 12, 28};

static std::uint32_t code_at(const Words& words, std::int64_t row, std::int64_t outputs, std::int64_t j) {
    return words[(row * outputs + j) / 8] >> shifts[j % 8] & 15;
}

static void check_settings(const Part& main, const core::Json& settings) {
    const core::Json* const version = settings.find("version");
    if (version && version->is_string() && core::lower(version->string()) != "gemm")
        fail(ErrorKind::unsupported, "{}: AWQ weights of version {}; gemm is supported", main.path, quoted(version->string()));
    if (const std::int64_t bits = setting(settings, "bits", "w_bit", 4); bits != 4)
        fail(ErrorKind::unsupported, "{}: AWQ weights of {} bits; 4 are supported", main.path, bits);
}

static std::optional<Weight> unpack(const Part& main, const FindPart& find, const core::Json& settings) {
    const std::string& name = main.tensor->name;
    if (!name.ends_with(".qweight")) return {};
    check_settings(main, settings);
    require_part(main, "I32", {-1, -1});
    const Part zeros = find(renamed(name, "qweight", "qzeros")), scales = find(renamed(name, "qweight", "scales"));
    if (!scales.tensor) fail(ErrorKind::format, "{}: tensor {} has no scales beside it", main.path, quoted(name));
    const std::int64_t inputs = main.tensor->dimensions[0], outputs = main.tensor->dimensions[1] * 8;
    const std::int64_t given = setting(settings, "group_size", "q_group_size", 128), group = given > 0 ? given : inputs;
    if (inputs == 0) fail(ErrorKind::format, "{}: tensor {} is empty", main.path, quoted(name));
    const std::int64_t groups = (inputs + group - 1) / group;
    require_part(scales, "", {groups, outputs});
    if (zeros.tensor) require_part(zeros, "I32", {groups, outputs / 8});

    Weight weight;
    weight.name = renamed(name, "qweight", "weight");
    weight.shape = {outputs, inputs};
    weight.format = format_of_scales(scales);
    weight.parts = {name, scales.tensor->name};
    if (zeros.tensor) weight.parts.push_back(zeros.tensor->name);
    weight.decode = [=](const RowSink& sink) {
        const std::vector<float> scale = numbers(scales);
        const Words codes(main.data), zero_codes(zeros.data);
        decode_rows({outputs, inputs}, sink, [&](std::int64_t first, std::int64_t rows, float* values) {
            for (std::int64_t i = 0; i < inputs; ++i)
                for (std::int64_t r = 0; r < rows; ++r) {
                    const std::int64_t j = first + r, g = i / group;
                    // Without zero points codes are symmetric around the middle one.
                    const std::uint32_t zero = zeros.tensor ? code_at(zero_codes, g, outputs, j) : 8;
                    const auto distance = static_cast<float>(static_cast<std::int32_t>(code_at(codes, i, outputs, j)) - static_cast<std::int32_t>(zero));
                    values[r * inputs + i] = scale[static_cast<std::size_t>(g * outputs + j)] * distance;
                }
        });
    };
    return weight;
}

}  // namespace tailor::files::packed_weights::awq_packing

namespace tailor::files::packed_weights::entries {
extern const Packing awq = {
    .name = "awq",
    .doc = "AWQ: 4-bit codes, interleaved by eight outputs, a scale and a zero point per group of inputs",
    .unpack = &awq_packing::unpack,
};
}  // namespace tailor::files::packed_weights::entries
