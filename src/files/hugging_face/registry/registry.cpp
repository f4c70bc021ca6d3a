// Finding an architecture by config.json or by a GGUF file's metadata; see registry.h.
#include "files/hugging_face/registry.h"

#include "core/error.h"
#include "files/quoted.h"

namespace tailor::files::hugging_face {

using core::ErrorKind;
using core::fail;

const Architecture& architecture_of(const core::Json& config, const std::string& source) {
    const core::Json* const list = config.find("architectures");
    const bool given = list && list->is_array() && !list->items().empty() && list->items()[0].is_string();
    const std::string wanted = given ? list->items()[0].string() : "";
    std::vector<std::string> known;
    for (const Architecture* architecture : all())
        for (const std::string_view name : architecture->classes) {
            if (name == wanted) return *architecture;
            known.emplace_back(name);
        }
    if (!given) fail(ErrorKind::format, "{}: \"architectures\" must name the class of the model", source);
    fail(ErrorKind::unsupported, "{}: unknown architecture {}; this build knows {}", source, quoted(wanted), core::join(known, ", "));
}

const Architecture& architecture_of(const File& file) {
    const std::string_view wanted = file.metadata().text("general.architecture");
    const Architecture* usual = nullptr;
    std::vector<std::string> known;
    for (const Architecture* architecture : all()) {
        if (!architecture->describes) known.emplace_back(architecture->gguf);
        if (architecture->gguf != wanted) continue;
        if (!architecture->describes) usual = architecture;
        else if (architecture->describes(file.metadata())) return *architecture;
    }
    if (usual) return *usual;
    fail(ErrorKind::unsupported, "{}: architecture {} cannot be written as a Hugging Face folder; there are {}", file.path(), quoted(wanted),
         core::join(known, ", "));
}

}  // namespace tailor::files::hugging_face
