// Choosing the kind of tokenizer; see tokenizer.h.
#include "text/tokenizer.h"

#include <algorithm>

#include "core/error.h"
#include "text/tokenizers/registry.h"

namespace tailor::text {

bool Tokenizer::ends_generation(TokenId id) const { return std::find(end_ids_.begin(), end_ids_.end(), id) != end_ids_.end(); }

std::unique_ptr<Tokenizer> make_tokenizer(const files::Metadata& metadata) {
    const std::string_view wanted = metadata.text("tokenizer.ggml.model");
    std::vector<std::string> names;
    for (const TokenizerKind* kind : tokenizers::all()) {
        if (kind->name == wanted) return kind->make(metadata);
        names.emplace_back(kind->name);
    }
    core::fail(core::ErrorKind::unsupported, "tokenizer.ggml.model is '{}', a tokenizer that is not supported; there are {}",
               wanted, core::join(names, ", "));
}

}  // namespace tailor::text
