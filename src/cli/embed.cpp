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

static std::string line_of(const std::vector<float>& vector) {
    std::vector<std::string> numbers;
    for (const float v : vector) numbers.push_back(core::format("{:.7g}", v));
    return core::join(numbers, " ") + "\n";
}

/// [count][width] numbers as vectors, of length 1 unless they are wanted raw.
static std::vector<std::vector<float>> vectors_of(const std::vector<float>& numbers, std::size_t count, bool raw) {
    const auto width = static_cast<std::ptrdiff_t>(numbers.size() / count);
    std::vector<std::vector<float>> vectors;
    for (auto at = numbers.begin(); at != numbers.end(); at += width) {
        vectors.emplace_back(at, at + width);
        if (!raw) run::normalize(vectors.back());
    }
    return vectors;
}

static core::Json row_of(const std::string& text, const std::vector<text::TokenId>& ids, const std::vector<std::vector<float>>& vectors, bool one_per_token) {
    core::Json list{core::Json::Array{}};
    for (const std::vector<float>& vector : vectors) list.add(core::Json::array(std::vector<double>(vector.begin(), vector.end())));
    core::Json row = core::Json().set("text", text).set("ids", core::Json::array(ids));
    return one_per_token ? row.set("embeddings", std::move(list)) : row.set("embedding", list.items()[0]);
}

static void run(Options& options) {
    Settings s;
    s.model.add(options);
    options.add("text,-p,--prompt", s.text, "the text; '-' or nothing: each line of standard input");
    options.add("-f,--file", s.file, "each line of a file");
    options.add("--pooling", s.pooling, "mean, cls (the first token), last, or none: a vector per token; without it what the model asks for");
    options.flag("--raw", s.raw, "do not scale vectors to length 1");
    options.parse();
    if (!s.text.empty() && !s.file.empty()) core::fail(core::ErrorKind::usage, "the text was given twice: of -p and -f only one can be");
    const auto model = s.model.open();
    const run::Pooling pooling = s.pooling.empty() ? run::pooling_of(*model) : run::pooling_named(s.pooling);
    core::Pool pool(checked_threads(s.model.threads));
    run::Session session(model, pool, s.model.session());
    const bool one_per_token = pooling == run::Pooling::none;
    core::Json rows{core::Json::Array{}};
    for (const std::string& text : texts_of(s)) {
        core::check_interrupt();
        const std::vector<text::TokenId> ids = model->tokenizer().encode(text);
        const std::vector<std::vector<float>> vectors = vectors_of(run::embed(session, ids, pooling), one_per_token ? ids.size() : 1, s.raw);
        if (options.json()) rows.add(row_of(text, ids, vectors, one_per_token));
        else for (const std::vector<float>& vector : vectors) print(line_of(vector));
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
