// See fallbacks.h.
#include "cli/fallbacks.h"

#include <map>

#include "cli/common.h"
#include "compress/quantize_file.h"
#include "core/error.h"

namespace tailor::cli {

std::vector<Fallback> fallbacks_of(const files::File& file, const formats::Format& wanted) {
    std::vector<Fallback> list;
    for (const files::TensorInfo& tensor : file.tensors()) {
        if (!compress::is_weight_matrix(tensor)) continue;
        const formats::Format& used = compress::fitting_format(wanted, tensor.shape.width());
        if (&used != &wanted) list.push_back({tensor.name, &wanted, &used});
    }
    return list;
}

void note_fallbacks(const std::vector<Fallback>& fallbacks) {
    std::map<std::pair<const formats::Format*, const formats::Format*>, std::vector<std::string>> groups;
    for (const Fallback& f : fallbacks) groups[{f.wanted, f.used}].push_back(f.tensor);
    for (const auto& [formats, tensors] : groups)
        note(core::format("{} {} be {} (rows are no multiple of {}), {} {}: {}{}", tensors.size(), tensors.size() > 1 ? "matrices cannot" : "matrix cannot", formats.first->name,
                          formats.first->values_per_block, tensors.size() > 1 ? "they become" : "it becomes", formats.second->name, tensors[0], tensors.size() > 1 ? " ..." : ""));
}

}  // namespace tailor::cli
