// Plan and stream of a quantized copy; see quantize_file.h.
#include "compress/quantize_file.h"

#include <map>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/registry.h"
#include "formats/private_types.h"
#include "formats/registry.h"

namespace tailor::compress {

using core::ErrorKind;
using core::fail;

bool is_weight_matrix(const files::TensorInfo& tensor) {
    // Convolution kernels have 3 to 4 values a row; no matrix of a language model is narrower than the smallest block.
    constexpr std::int64_t least_width = 32;
    // A router is a thousandth of a model and decides which experts are asked: its rounding costs more than it saves. So do tables of
    // positions, kinds of text and distances. Recurrent families keep vectors in rows, one per group, head or use (weights of norms,
    // interpolation, bonuses), and low-rank mixers, which are few and steer everything after them. What cells
    // multiply their own output with goes around hundreds of times, and its operator takes f32.
    constexpr std::string_view kept[] = {
        ".ffn_gate_inp", "position_embd.", "token_types.", ".attn_rel_b.", "_norm.weight", "_mix_lerp_", ".time_mix_first.", ".time_mix_r_k.",
        ".time_mix_decay_w", ".time_mix_w1.", ".time_mix_w2.", ".time_mix_a1.", ".time_mix_a2.", ".time_mix_v1.", ".time_mix_v2.",
        ".time_mix_g1.", ".time_mix_g2.", ".lstm_recurrent.",
    };
    for (const std::string_view part : kept)
        if (tensor.name.find(part) != std::string::npos) return false;
    return tensor.shape.rank() >= 2 && tensor.shape.width() >= least_width && tensor.shape.rows() > 1 && tensor.format && tensor.format->weights &&
           tensor.name.ends_with(".weight");
}

const formats::Format& fitting_format(const formats::Format& wanted, std::int64_t width) {
    if (wanted.holds(width)) return wanted;
    const formats::Format* best = nullptr;
    for (const formats::Format* format : formats::all()) {
        if (!format->weights || !format->encode || !formats::is_common(*format) || !format->holds(width)) continue;
        if (format->bits_per_value() < wanted.bits_per_value()) continue;
        const bool smaller = best && format->bits_per_value() < best->bits_per_value();
        const bool as_small = best && format->bits_per_value() == best->bits_per_value();
        if (!best || smaller || (as_small && format->facts.gaussian_relative_rmse < best->facts.gaussian_relative_rmse)) best = format;
    }
    if (!best) fail(ErrorKind::shape, "no number format of at least {:.2f} bits stores rows of {} values", wanted.bits_per_value(), width);
    return *best;
}

// The metadata of the copy. The format that holds most of the values names the file's type; a type without a number there
// is left out rather than left wrong.
static files::Metadata copied_metadata(const files::File& source, const files::WritePlan& plan) {
    constexpr std::string_view file_type = "general.file_type", version = "general.quantization_version";
    std::map<const formats::Format*, std::int64_t> values;
    bool quantized = false;
    for (const files::WritePlan::Entry& entry : plan.tensors) {
        values[entry.format] += entry.shape.elements();
        quantized |= entry.format->values_per_block > 1;
    }
    const formats::Format* most = nullptr;
    for (const auto& [format, count] : values)
        if (!most || count > values[most] || (count == values[most] && format->name < most->name)) most = format;
    files::Metadata metadata;
    for (const auto& [key, value] : source.metadata().entries())
        if (key != file_type || (most && most->gguf_file_type >= 0)) metadata.append(key, value);
    if (most && most->gguf_file_type >= 0) metadata.set_integer(file_type, most->gguf_file_type);
    // 2: the layout of quantized blocks that every GGUF file since 2023 has.
    if (quantized) metadata.set_integer(version, 2);
    return metadata;
}

files::WritePlan quantized_plan(const files::File& source, const ChooseFormat& choose) {
    files::WritePlan plan;
    for (const files::TensorInfo& tensor : source.tensors()) {
        if (!tensor.format)
            fail(ErrorKind::unsupported, "{}: tensor '{}' is stored as {}, which this build cannot decode", source.path(), tensor.name, tensor.type_name);
        const formats::Format& format = choose(tensor);
        if (!format.holds(tensor.shape.width()))
            fail(ErrorKind::shape, "{}: tensor '{}' has rows of {} values, but {} stores blocks of {}", source.path(), tensor.name, tensor.shape.width(),
                 format.name, format.values_per_block);
        if (&format != tensor.format && (!format.encode || !format.weights))
            fail(ErrorKind::unsupported, "tensor '{}' cannot be converted to {}: it is no format for weights", tensor.name, format.name);
        plan.tensors.push_back({tensor.name, &format, tensor.shape});
    }
    plan.metadata = copied_metadata(source, plan);
    return plan;
}

static core::Tensor convert(const files::File& source, const files::TensorInfo& info, const formats::Format& format, const Importance* importance,
                            core::Pool& pool, const ObserveTensor& observe) {
    const core::Tensor tensor = source.read(info);
    const std::span<const float> weights = importance ? importance->of(info.name) : std::span<const float>();
    QuantizedTensor report{info, format, weights};
    core::Tensor result = tensor;
    if (info.format != &format) {
        try {
            result = get("round").apply({tensor, format, weights, pool});
        } catch (const core::Error& error) {
            throw core::Error(error.kind(), core::format("{}: tensor '{}': {}", source.path(), info.name, error.what()));
        }
        if (observe) report.error = weighted_error(tensor, result, weights, pool);
    }
    if (observe) observe(report);
    return result;
}

std::uint64_t write_quantized(const files::File& source, const ChooseFormat& choose, const Importance* importance, const std::string& path,
                              core::Pool& pool, const run::Progress& progress, const ObserveTensor& observe) {
    const files::FileKind& kind = files::kind_for(path);
    if (core::same_file(source.path(), path)) fail(ErrorKind::usage, "{} is the model that is being read; write the copy to another file", path);
    const files::WritePlan plan = quantized_plan(source, choose);
    std::int64_t done = 0, total = 0;
    for (const files::WritePlan::Entry& entry : plan.tensors) total += entry.shape.elements();
    return kind.write(path, plan, [&](std::size_t index) {
        if (index > 0) source.release(source.tensors()[index - 1]);
        core::Tensor tensor = convert(source, source.tensors()[index], *plan.tensors[index].format, importance, pool, observe);
        done += tensor.shape.elements();
        if (progress) progress(done, total);
        return tensor;
    });
}

}  // namespace tailor::compress
