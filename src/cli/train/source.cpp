// Opening, making and tokenizing; see source.h.
#include "cli/train/source.h"

#include <unistd.h>

#include "core/error.h"
#include "measure/store.h"
#include "text/gguf_vocabulary.h"
#include "train/vocabulary.h"

namespace tailor::cli::train_command {

using core::ErrorKind;
using core::fail;

static std::vector<std::string> learned_files(const Settings& s) {
    if (s.texts.empty() && ::isatty(STDIN_FILENO)) fail(ErrorKind::usage, "there is no text to learn: give it with -f FILE, in the recipe under [data], or on standard input");
    return train::text_files(s.texts.empty() ? std::vector<std::string>{"-"} : s.texts);
}

static files::Metadata vocabulary_of(const Settings& s) {
    if (s.vocabulary_kind.empty() && s.vocabulary_size == 0) return train::copied_vocabulary(*open_file(s.vocabulary));
    const std::vector<std::string> files = learned_files(s);
    if (files == std::vector<std::string>{"-"}) fail(ErrorKind::usage, "a vocabulary is trained on text files, which are read twice: give them with -f");
    const std::string kind = s.vocabulary_kind.empty() ? "bpe" : s.vocabulary_kind;
    const std::int64_t size = s.vocabulary_size > 0 ? s.vocabulary_size : 4096;
    note(core::format("training a vocabulary of {} tokens ({}) on {} {}", size, kind, files.size(), files.size() == 1 ? "file" : "files"));
    return train::vocabulary_of_pieces(train::train_pieces(files, kind, size), kind);
}

static std::shared_ptr<run::LanguageModel> new_model(const Settings& s) {
    files::Metadata metadata = vocabulary_of(s);
    models::Sizes sizes = s.sizes;
    sizes.vocabulary = static_cast<std::int64_t>(metadata.texts("tokenizer.ggml.tokens").size());
    sizes.context = s.context;
    metadata.set_text("general.name", s.name.empty() ? s.family : s.name);
    for (const auto& [key, value] : s.metadata.entries()) metadata.set(key, value);
    return run::LanguageModel::from_file(models::make_new_model(s.family, sizes, metadata));
}

std::shared_ptr<run::LanguageModel> model_of(const Settings& s) { return s.family.empty() ? open_model(s.model) : new_model(s); }

static std::string cache_folder(const Settings& s) {
    if (s.cache == "none") return {};
    if (!s.cache.empty()) return s.cache;
    const std::string measurements = measure::Store::default_directory();
    return measurements.empty() ? std::string() : measurements + "/tokens";
}

Texts texts_of(const Settings& s, const run::LanguageModel& model) {
    using train::TokenWindows;
    const auto tokens = [&](const std::vector<std::string>& files) {
        return std::shared_ptr<const train::Tokens>(train::tokens_of(files, model.tokenizer(), model.file().metadata(), cache_folder(s)));
    };
    const std::shared_ptr<const train::Tokens> learned = tokens(learned_files(s));
    Texts texts;
    texts.learned = std::make_unique<TokenWindows>(learned, s.context, s.seed, TokenWindows::Part::learned, s.held_out);
    if (s.held_out > 0) texts.held_out = std::make_unique<TokenWindows>(learned, s.context, s.seed, TokenWindows::Part::held_out, s.held_out);
    if (!s.eval_file.empty()) texts.held_out = std::make_unique<TokenWindows>(tokens(train::text_files({s.eval_file})), s.context, s.seed);
    return texts;
}

}  // namespace tailor::cli::train_command
