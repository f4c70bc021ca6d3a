// tailor embed: one vector per text.
#include <algorithm>

#include "cli/common.h"
#include "core/error.h"
#include "run/embedding.h"

namespace tailor::cli::embed_command {

struct Settings {
    ModelOptions model;
    std::string text, file, pooling;
    bool raw = false;
};

// Texts: the argument, or the lines of a file or of standard input.
static std::vector<std::string> texts_of(const Settings& s) {
    if (!s.text.empty() && s.text != "-") return {s.text};
    const std::string all = input_text(s.file, "text");
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin < all.size();) {
        const std::size_t end = std::min(all.size(), all.find('\n', begin));
        if (end > begin) lines.push_back(all.substr(begin, end - begin));
        begin = end + 1;
    }
    if (lines.empty()) core::fail(core::ErrorKind::usage, "there is no text");
    return lines;
}

static void print_vector(const std::vector<float>& vector) {
    std::vector<std::string> numbers;
    for (const float v : vector) numbers.push_back(core::format("{:.7g}", v));
    print(core::join(numbers, " ") + "\n");
}

static void run(Options& options) {
    Settings s;
    s.model.add(options);
    options.add("text,-p,--prompt", s.text, "the text; '-' or nothing: each line of standard input");
    options.add("-f,--file", s.file, "each line of a file");
    options.add("--pooling", s.pooling, "mean, cls (the first token), last, or none: a vector per token; without it what the model asks for");
    options.flag("--raw", s.raw, "do not scale vectors to length 1");
    options.parse();
    const auto model = s.model.open();
    const run::Pooling pooling = s.pooling.empty() ? run::pooling_of(*model) : run::pooling_named(s.pooling);
    core::Pool pool(static_cast<int>(s.model.threads));
    run::Session session(model, pool, s.model.session());
    core::Json rows{core::Json::Array{}};
    for (const std::string& text : texts_of(s)) {
        const std::vector<text::TokenId> ids = model->tokenizer().encode(text);
        const std::vector<float> all = run::embed(session, ids, pooling);
        const std::size_t count = pooling == run::Pooling::none ? ids.size() : 1, width = all.size() / count;
        core::Json vectors{core::Json::Array{}};
        for (std::size_t i = 0; i < count; ++i) {
            std::vector<float> vector(all.begin() + static_cast<std::ptrdiff_t>(i * width), all.begin() + static_cast<std::ptrdiff_t>((i + 1) * width));
            if (!s.raw) run::normalize(vector);
            if (!options.json()) print_vector(vector);
            else vectors.add(core::Json::array(std::vector<double>(vector.begin(), vector.end())));
        }
        core::check_interrupt();
        rows.add(core::Json().set("text", text).set("ids", core::Json::array(ids)).set(count == 1 && pooling != run::Pooling::none ? "embedding" : "embeddings",
                                                                                       count == 1 && pooling != run::Pooling::none ? vectors.items()[0] : vectors));
    }
    if (options.json()) print_json(rows);
}

}  // namespace tailor::cli::embed_command

namespace tailor::cli::entries {
extern const Command embed = {
    .name = "embed",
    .doc = "print the vectors that an encoder gives for texts",
    .examples = "tailor embed bert.gguf \"It was a dark night\"\n"
                "tailor embed bert.gguf -f sentences.txt --json\n"
                "tailor embed bert.gguf \"It was a dark night\" --pooling none --raw",
    .run = &embed_command::run,
    .place = 15,
};
}  // namespace tailor::cli::entries
