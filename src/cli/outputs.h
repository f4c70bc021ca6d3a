// Whether a command can write its results, told before its work rather than after it.
#pragma once
#include <string>
#include <vector>

namespace tailor::cli {

/// A file of a command: what it writes by its option, "-o", and what it reads by its meaning, "the model". An empty path is none.
struct NamedPath {
    std::string name, path;
    bool may_be_folder = false;  ///< a new one
};

/// Throws Error(usage) if a result would replace what is read or another result, is a folder that is there, or has no folder to lie in.
/// "-", "default", devices and pipes are no files.
void check_outputs(const std::vector<NamedPath>& written, const std::vector<NamedPath>& read);

}  // namespace tailor::cli
