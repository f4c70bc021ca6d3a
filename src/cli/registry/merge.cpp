// See merge.h.
#include "cli/merge.h"

#include "compress/quantize_file.h"
#include "files/registry.h"
#include "formats/registry.h"

namespace tailor::cli {

std::uint64_t write_merged(const files::File& base, const files::Adapter& adapter, const std::string& path, const formats::Format* format, core::Pool& pool,
                           const run::Progress& progress) {
    const bool blocks_fit = files::kind_for(path).name == "gguf";
    const std::unique_ptr<files::File> merged = files::merged(base, adapter);
    const auto choose = [&](const files::TensorInfo& tensor) -> const formats::Format& {
        const formats::Format& own = *base.find(tensor.name)->format;
        const formats::Format& wanted = format && compress::is_weight_matrix(tensor) ? compress::fitting_format(*format, tensor.shape.width()) : own;
        return wanted.values_per_block == 1 || blocks_fit ? wanted : formats::get("f16");
    };
    return compress::write_quantized(*merged, choose, nullptr, path, pool, progress);
}

}  // namespace tailor::cli
