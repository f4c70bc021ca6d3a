// Look-up by method, and what the packings share; see packing.h.
#include "files/packed_weights/registry.h"

#include <algorithm>

#include "core/error.h"
#include "files/quoted.h"
#include "formats/registry.h"

namespace tailor::files::packed_weights {

using core::ErrorKind;
using core::fail;

const Packing* packing_of(const core::Json* settings, const std::string& source) {
    if (!settings || settings->is_null()) return nullptr;
    const core::Json* const method = settings->find("quant_method");
    const std::string wanted = method && method->is_string() ? method->string() : "";
    std::vector<std::string> known;
    for (const Packing* packing : all()) {
        if (packing->name == wanted) return packing;
        known.emplace_back(packing->name);
    }
    fail(ErrorKind::unsupported, "{}: quantization_config has the quant_method {}, which this build cannot decode; there are {}", source, quoted(wanted),
         core::join(known, ", "));
}

const formats::Format* format_of_scales(const Part& scales) {
    const std::string& type = scales.tensor->type_name;
    return &formats::get(type == "BF16" ? "bf16" : "f16");
}

void require_part(const Part& part, std::string_view type, const std::vector<std::int64_t>& dimensions) {
    const safetensors::StoredTensor& tensor = *part.tensor;
    bool fits = (type.empty() || tensor.type_name == type) && tensor.type && tensor.dimensions.size() == dimensions.size();
    for (std::size_t i = 0; fits && i < dimensions.size(); ++i) fits = dimensions[i] < 0 || tensor.dimensions[i] == dimensions[i];
    if (fits) return;
    const auto text = [](const std::vector<std::int64_t>& list) {
        std::vector<std::string> words;
        for (const std::int64_t d : list) words.push_back(d < 0 ? "any" : std::to_string(d));
        return "[" + core::join(words, ", ") + "]";
    };
    fail(ErrorKind::format, "{}: tensor {} is {} {}; the packed weight needs {} {}", part.path, quoted(tensor.name), tensor.type_name, text(tensor.dimensions),
         type.empty() ? std::string_view("numbers") : type, text(dimensions));
}

std::vector<float> numbers(const Part& part) {
    std::vector<float> values(static_cast<std::size_t>(part.tensor->elements()));
    if (!part.tensor->type || !safetensors::to_f32(*part.tensor->type, part.data, values.data(), part.tensor->elements()))
        fail(ErrorKind::unsupported, "{}: tensor {} is stored as {}, which does not give numbers", part.path, quoted(part.tensor->name), part.tensor->type_name);
    return values;
}

std::vector<std::int32_t> integers(const Part& part, std::int32_t least, std::int32_t most) {
    const core::Tensor tensor = safetensors::read_stored(*part.tensor, part.data, part.path);
    if (tensor.format != formats::find("i32"))
        fail(ErrorKind::format, "{}: tensor {} is {}; it must hold integers", part.path, quoted(part.tensor->name), part.tensor->type_name);
    const auto* const first = reinterpret_cast<const std::int32_t*>(tensor.data);
    std::vector<std::int32_t> values(first, first + part.tensor->elements());
    for (const std::int32_t value : values)
        if (value < least || value > most)
            fail(ErrorKind::format, "{}: tensor {} holds {}; it must lie between {} and {}", part.path, quoted(part.tensor->name), value, least, most);
    return values;
}

std::int64_t setting(const core::Json& settings, std::string_view key, std::string_view alias, std::int64_t fallback) {
    for (const std::string_view name : {key, alias})
        if (const core::Json* const value = settings.find(name); value && value->is_number()) return value->integer();
    return fallback;
}

std::string renamed(std::string_view name, std::string_view suffix, std::string_view replacement) {
    return std::string(name.substr(0, name.size() - suffix.size())) + std::string(replacement);
}

Weight scaled_weight(const std::string& name, const ScaledCodes& parts) {
    const safetensors::StoredTensor& codes = *parts.codes.tensor;
    require_part(parts.codes, "", {-1, -1});
    Weight weight;
    weight.name = name;
    weight.shape = {codes.dimensions[0], codes.dimensions[1]};
    weight.format = format_of_scales(parts.scales);
    weight.parts = {codes.name, parts.scales.tensor->name};
    if (parts.zero_points.tensor) weight.parts.push_back(parts.zero_points.tensor->name);
    const auto blocks = [](std::int64_t count, std::int64_t block) { return (count + block - 1) / block; };
    const std::int64_t across = blocks(weight.shape[1], parts.block_columns), wanted = blocks(weight.shape[0], parts.block_rows) * across;
    for (const Part* part : {&parts.scales, &parts.zero_points})
        if (part->tensor && part->tensor->elements() != wanted)
            fail(ErrorKind::format, "{}: tensor {} has {} numbers; {} {} in blocks of {} x {} needs {}", part->path, quoted(part->tensor->name),
                 part->tensor->elements(), quoted(codes.name), weight.shape.text(), parts.block_rows, parts.block_columns, wanted);
    weight.decode = [parts, shape = weight.shape, across](const RowSink& sink) {
        const std::vector<float> scales = numbers(parts.scales);
        const std::vector<float> zeros = parts.zero_points.tensor ? numbers(parts.zero_points) : std::vector<float>(scales.size());
        const safetensors::DataType& type = *parts.codes.tensor->type;
        decode_rows(shape, sink, [&](std::int64_t first, std::int64_t rows, float* values) {
            safetensors::to_f32(type, parts.codes.data + first * shape[1] * type.bits / 8, values, rows * shape[1]);
            for (std::int64_t i = 0; i < rows * shape[1]; ++i) {
                const std::int64_t block = (first + i / shape[1]) / parts.block_rows * across + i % shape[1] / parts.block_columns;
                values[i] = (values[i] - zeros[static_cast<std::size_t>(block)]) * scales[static_cast<std::size_t>(block)];
            }
        });
    };
    return weight;
}

}  // namespace tailor::files::packed_weights
