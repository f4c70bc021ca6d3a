// See outputs.h.
#include "cli/outputs.h"

#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "core/error.h"
#include "core/mapped_file.h"
#include "core/new_folder.h"

namespace tailor::cli {

using core::ErrorKind;
using core::fail;

static bool names_a_file(const std::string& path) { return !path.empty() && path != "-" && path != "default" && !core::is_device(path); }

/// Whether writing one changes the other: the same file, or one of those that a folder of a model or of texts is made of.
static bool replaces(const std::string& written, const std::string& read) {
    if (core::same_file(written, read)) return true;
    if (!core::is_folder(read) || !core::exists(written) || !core::same_file(core::folder_of(written), read)) return false;
    constexpr std::string_view endings[] = {".safetensors", "config.json", "tokenizer.json", "vocab.json", ".index.json", "gguf_metadata.json", ".jinja", ".txt", ".md"};
    return std::any_of(std::begin(endings), std::end(endings), [&](std::string_view ending) { return written.ends_with(ending); });
}

static std::string without_slash(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
}

static void check_place(const NamedPath& output) {
    const std::string path = output.may_be_folder ? without_slash(output.path) : output.path, folder = core::folder_of(path);
    if (output.may_be_folder && !core::can_be_new_folder(path)) fail(ErrorKind::usage, "{} {}: there is something of that name already; name a new folder", output.name, path);
    if (!output.may_be_folder && core::is_folder(path)) fail(ErrorKind::usage, "{} {}: that is a folder; name a file", output.name, path);
    if (!core::is_folder(folder)) fail(ErrorKind::usage, "{} {}: there is no folder {}", output.name, path, folder);
    if (!core::exists(path) && ::access(folder.c_str(), W_OK) != 0) fail(ErrorKind::io, "{} {}: nothing can be written to the folder {}", output.name, path, folder);
}

void check_outputs(const std::vector<NamedPath>& written, const std::vector<NamedPath>& read) {
    for (std::size_t i = 0; i < written.size(); ++i) {
        const NamedPath& output = written[i];
        if (!names_a_file(output.path)) continue;
        for (const NamedPath& input : read)
            if (names_a_file(input.path) && replaces(output.path, input.path))
                fail(ErrorKind::usage, "{} {}: that is {} that is being read; write to another file", output.name, output.path, input.name);
        for (std::size_t j = 0; j < i; ++j)
            if (names_a_file(written[j].path) && core::same_file(written[j].path, output.path))
                fail(ErrorKind::usage, "{} and {} cannot both be written to {}", written[j].name, output.name, output.path);
        check_place(output);
    }
}

}  // namespace tailor::cli
