// tailor tokenize: the token ids of a text.
#include "cli/common.h"
#include "core/error.h"

namespace tailor::cli::tokenize_command {

/// A tokenizer needs metadata only, so files with weights that this build cannot run work too.
static void run(Options& options) {
    std::string model, text, file;
    bool no_special = false, special = false;
    options.add("model,-m,--model", model, "model file (GGUF); without one, the small English model built in");
    options.add("text,-p,--prompt", text, "the text; '-' or nothing: standard input");
    options.add("-f,--file", file, "read the text from a file");
    options.flag("--no-special", no_special, "do not add the tokens that the model wants at the beginning or the end");
    options.flag("--special", special, "control tokens written in the text ('<s>') become their ids");
    options.parse();
    const std::unique_ptr<files::File> opened = open_file(model);
    if (!text::has_tokenizer(opened->metadata()))
        core::fail(core::ErrorKind::unsupported, "{}: the file has no tokenizer (tokenizer.ggml.model or tokenizer.json)", opened->path());
    const std::unique_ptr<text::Tokenizer> tokenizer = text::make_tokenizer(opened->metadata());
    if (text.empty() || text == "-") text = input_text(file, "text");
    const std::vector<text::TokenId> ids = tokenizer->encode(text, {.add_special = !no_special, .parse_special = special});
    if (!options.json()) {
        std::vector<std::string> words;
        for (const text::TokenId id : ids) words.push_back(std::to_string(id));
        return print(core::join(words, " ") + "\n");
    }
    std::vector<std::string> pieces;
    for (const text::TokenId id : ids) pieces.push_back(tokenizer->piece(id, true));
    print_json(core::Json().set("ids", core::Json::array(ids)).set("pieces", core::Json::array(pieces)));
}

}  // namespace tailor::cli::tokenize_command

namespace tailor::cli::entries {
extern const Command tokenize = {
    .name = "tokenize",
    .doc = "print the token ids of a text",
    .examples = "echo -n \"Once upon a time\" | tailor tokenize model.gguf\n"
                "tailor tokenize model.gguf -f text.txt --json\n"
                "tailor tokenize -p \"It was a dark night\" --no-special",
    .run = &tokenize_command::run,
    .place = 70,
};
}  // namespace tailor::cli::entries
