// GPTQ: integer codes of 2, 3, 4 or 8 bits with one scale and one zero point per group of inputs.
//
// Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", 2022. A weight W [n, k]
// lies transposed, as a layer's input meets it: column j of qweight [k bits / 32, n] is a stream of `bits`-bit codes q(j, i),
// i = 0 .. k-1, little end first, that runs on across words (so 3 bits take 32 codes to 3 words); qzeros holds codes the
// same way along its rows. With the group g(i) of input i, from g_idx where inputs were sorted by importance:
//
//     W(j, i) = scales(g(i), j) * (q(j, i) - zero(g(i), j))
//
// The first version of the format stores zero - 1, so that a zero point of 0 wraps round to the largest code; version 2
// ("checkpoint_format": "gptq_v2") stores it as it is.
#include "core/error.h"
#include "files/packed_weights/packing.h"
#include "files/quoted.h"

namespace tailor::files::packed_weights::gptq_packing {

using core::ErrorKind;
using core::fail;

struct Parts {
    Part codes, zeros, scales, groups;
    std::int64_t bits, inputs, outputs, group_count, group_size, zero_offset;
};

/// Code number `i` of a stream whose words lie `stride` apart.
static std::uint32_t code_at(const Words& words, std::int64_t start, std::int64_t stride, std::int64_t i, std::int64_t bits) {
    const std::int64_t word = i * bits / 32, shift = i * bits % 32;
    std::uint32_t code = words[start + word * stride] >> shift;
    if (shift + bits > 32) code |= words[start + (word + 1) * stride] << (32 - shift);
    return code & ((1u << bits) - 1);
}

static std::vector<std::int32_t> group_of_inputs(const Parts& p) {
    if (p.groups.tensor) return integers(p.groups, 0, static_cast<std::int32_t>(p.group_count - 1));
    std::vector<std::int32_t> groups;
    for (std::int64_t i = 0; i < p.inputs; ++i) groups.push_back(static_cast<std::int32_t>(i / p.group_size));
    return groups;
}

/// Zero points [group][output].
static std::vector<float> zero_points(const Parts& p) {
    const std::uint32_t most = (1u << p.bits) - 1;
    std::vector<float> zeros(static_cast<std::size_t>(p.group_count * p.outputs), static_cast<float>(1u << (p.bits - 1)));
    if (!p.zeros.tensor) return zeros;
    const Words words(p.zeros.data);
    for (std::int64_t g = 0; g < p.group_count; ++g)
        for (std::int64_t j = 0; j < p.outputs; ++j) {
            const std::uint32_t stored = code_at(words, g * p.outputs * p.bits / 32, 1, j, p.bits);
            zeros[static_cast<std::size_t>(g * p.outputs + j)] = static_cast<float>((stored + static_cast<std::uint32_t>(p.zero_offset)) & most);
        }
    return zeros;
}

static void decode(const Parts& p, const RowSink& sink) {
    const std::vector<float> scales = numbers(p.scales), zeros = zero_points(p);
    const std::vector<std::int32_t> groups = group_of_inputs(p);
    const Words words(p.codes.data);
    decode_rows({p.outputs, p.inputs}, sink, [&](std::int64_t first, std::int64_t rows, float* values) {
        for (std::int64_t i = 0; i < p.inputs; ++i) {
            const std::size_t group = static_cast<std::size_t>(groups[static_cast<std::size_t>(i)] * p.outputs + first);
            for (std::int64_t r = 0; r < rows; ++r) {
                const std::size_t at = group + static_cast<std::size_t>(r);
                values[r * p.inputs + i] = scales[at] * (static_cast<float>(code_at(words, first + r, p.outputs, i, p.bits)) - zeros[at]);
            }
        }
    });
}

static Parts describe(const Part& main, const FindPart& find, const core::Json& settings) {
    const std::string& name = main.tensor->name;
    const auto part = [&](std::string_view suffix) { return find(renamed(name, "qweight", suffix)); };
    Parts p{main, part("qzeros"), part("scales"), part("g_idx"), setting(settings, "bits", "w_bit", 4), 0, 0, 0, 0, 1};
    require_part(main, "I32", {-1, -1});
    if (!p.scales.tensor) fail(ErrorKind::format, "{}: tensor {} has no scales beside it", main.path, quoted(name));
    p.outputs = main.tensor->dimensions[1];
    const std::int64_t words = main.tensor->dimensions[0];
    // Single layers may have other bits than the settings say; the number of inputs tells.
    if (p.groups.tensor && p.groups.tensor->elements() > 0) p.bits = words * 32 / p.groups.tensor->elements();
    if (p.bits != 2 && p.bits != 3 && p.bits != 4 && p.bits != 8)
        fail(ErrorKind::unsupported, "{}: tensor {} has codes of {} bits; 2, 3, 4 and 8 are supported", main.path, quoted(name), p.bits);
    p.inputs = words * 32 / p.bits;
    if (p.inputs == 0 || words * 32 % p.bits != 0 || p.outputs * p.bits % 32 != 0)
        fail(ErrorKind::format, "{}: tensor {} of {} x {} words does not hold whole rows of {} bits", main.path, quoted(name), words, p.outputs, p.bits);
    require_part(p.scales, "", {-1, p.outputs});
    p.group_count = p.scales.tensor->dimensions[0];
    if (p.zeros.tensor) require_part(p.zeros, "I32", {p.group_count, p.outputs * p.bits / 32});
    p.group_size = setting(settings, "group_size", "q_group_size", -1);
    if (p.group_size <= 0) p.group_size = p.inputs;
    if (p.groups.tensor) require_part(p.groups, "I32", {p.inputs});
    else if ((p.inputs + p.group_size - 1) / p.group_size != p.group_count)
        fail(ErrorKind::format, "{}: tensor {} has {} inputs in groups of {}, but scales for {} groups", main.path, quoted(name), p.inputs, p.group_size,
             p.group_count);
    const core::Json* const version = settings.find("checkpoint_format");
    if (version && version->is_string()) {
        if (version->string() != "gptq" && version->string() != "gptq_v2")
            fail(ErrorKind::unsupported, "{}: checkpoint_format {}; gptq and gptq_v2 are supported", main.path, quoted(version->string()));
        p.zero_offset = version->string() == "gptq" ? 1 : 0;
    }
    return p;
}

static std::optional<Weight> unpack(const Part& main, const FindPart& find, const core::Json& settings) {
    if (!main.tensor->name.ends_with(".qweight")) return {};
    const Parts p = describe(main, find, settings);
    Weight weight;
    weight.name = renamed(main.tensor->name, "qweight", "weight");
    weight.shape = {p.outputs, p.inputs};
    weight.format = format_of_scales(p.scales);
    for (const Part* part : {&p.codes, &p.zeros, &p.scales, &p.groups})
        if (part->tensor) weight.parts.push_back(part->tensor->name);
    weight.decode = [p](const RowSink& sink) { decode(p, sink); };
    return weight;
}

}  // namespace tailor::files::packed_weights::gptq_packing

namespace tailor::files::packed_weights::entries {
extern const Packing gptq = {
    .name = "gptq",
    .doc = "GPTQ: codes of 2, 3, 4 or 8 bits, a scale and a zero point per group of inputs",
    .unpack = &gptq_packing::unpack,
};
}  // namespace tailor::files::packed_weights::entries
