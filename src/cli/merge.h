// Writing a model with an adapter merged into its weights: what `convert` and `tune` share.
#pragma once
#include <string>

#include "cli/common.h"
#include "files/adapter.h"

namespace tailor::cli {

/// Writes `base` with W + factor B A in place of every weight that has a pair, in `format`, or in each weight's own format if there is
/// none (null); the other weights stay as they are unless a format is given. Returns the size in bytes.
std::uint64_t write_merged(const files::File& base, const files::Adapter& adapter, const std::string& path, const formats::Format* format, core::Pool& pool,
                           const run::Progress& progress = {});

}  // namespace tailor::cli
