// See gguf_vocabulary.h.
#include "text/gguf_vocabulary.h"

#include <algorithm>
#include <unordered_map>

#include "core/error.h"
#include "core/json.h"
#include "text/pre_tokenizers/registry.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace tailor::text {

namespace {

using core::ErrorKind;
using core::fail;
using core::Json;

/// Where known ways of cutting words differ: contractions in both cases, runs of digits, spaces, line ends and punctuation,
/// marks that combine, scripts without spaces, camel case, symbols beyond 16 bits. All are composed (NFC): GGUF has no key for
/// normalization, which many of these tokenizers ask for and programs that read GGUF leave out.
constexpr std::string_view probes[] = {
    "Hello, world! It's what they'd say: WE'LL see, I'M sure.",
    "1 22 333 4444 55555 1234567890 3.14159 1,000,000 2nd x86_64",
    "a  b   c    d\te\t\tf",
    "\n\nline\r\n\r\n  indented\n\n\n   \n end \n",
    "int main() { return x->y[i++] != 0x1F; } // ok...",
    "camelCase HTTPServer XMLHttpRequest iPhone McDonald",
    "caf\xC3\xA9 na\xC3\xAFve \xC3\x9C" "ber gro\xC3\x9F",
    "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82, \xD0\xBC\xD0\xB8\xD1\x80! \xCE\xB1\xCE\xB2\xCE\xB3",
    "\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96\xE7\x95\x8C\xE3\x80\x82\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE3\x81\xA7\xE3\x81\x99 \xED\x95\x9C\xEA\xB5\xAD\xEC\x96\xB4",
    "\xE0\xA4\xA8\xE0\xA4\xAE\xE0\xA4\xB8\xE0\xA5\x8D\xE0\xA4\xA4\xE0\xA5\x87 \xD9\x85\xD8\xB1\xD8\xAD\xD8\xA8\xD8\xA7 \xD9\xA1\xD9\xA2\xD9\xA3",
    "\xF0\x9F\x98\x80\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD \xE2\x82\xAC" "5 \xE2\x80\x9Cquotes\xE2\x80\x9D \xE2\x80\x94 dash \xC2\xA0 nbsp",
    "!!!??? ...--- ### $$$ (((nested))) [a]{b}<c>",
    " leading and trailing ",
    "'s 'S 't're'VE",
    "http://example.com/path?q=1&r=2#top user@host.org C:\\dir\\file.txt",
    "x",
    " ",
    "  ",
    "\n",
    "word\xE2\x81\xA0join \xC5\xBF long s I\xC5\xBF",
};

/// The tokens with their types, and what merges say.
struct Vocabulary {
    std::vector<std::string> tokens, merges;
    std::vector<std::int64_t> types;

    void set(std::int64_t id, const std::string& text, TokenType type) {
        // A list that is mostly gaps is no vocabulary; tokenizers leave out some hundreds of ids at most.
        if (id < 0 || id > 10'000'000) fail(ErrorKind::unsupported, "token '{}' has the id {}", text, id);
        const auto index = static_cast<std::size_t>(id);
        while (tokens.size() <= index) {
            tokens.push_back(core::format("[PAD{}]", tokens.size()));
            types.push_back(static_cast<std::int64_t>(TokenType::unused));
        }
        tokens[index] = text;
        types[index] = static_cast<std::int64_t>(type);
    }
};

Vocabulary read_vocabulary(const Json& root) {
    Vocabulary v;
    const Json& model = root.at("model");
    const Json* const unknown = model.find("unk_token");
    const Json* const fallback = model.find("byte_fallback");
    const bool bytes = fallback && !fallback->is_null() && fallback->boolean();
    for (const auto& [text, id] : model.at("vocab").members()) {
        const bool is_unknown = unknown && unknown->is_string() && unknown->string() == text;
        v.set(id.integer(), text, is_unknown ? TokenType::unknown : bytes && spelled_byte(text) >= 0 ? TokenType::byte : TokenType::normal);
    }
    for (const Json& merge : model.at("merges").items())
        v.merges.push_back(merge.is_string() ? merge.string() : merge.items().at(0).string() + " " + merge.items().at(1).string());
    const Json* const added = root.find("added_tokens");
    if (!added || !added->is_array()) return v;
    for (const Json& token : added->items()) {
        const std::int64_t id = token.at("id").integer();
        const bool listed = id >= 0 && id < static_cast<std::int64_t>(v.types.size());
        const bool is_unknown = listed && v.types[static_cast<std::size_t>(id)] == static_cast<std::int64_t>(TokenType::unknown);
        v.set(id, token.at("content").string(), is_unknown ? TokenType::unknown : token.at("special").boolean() ? TokenType::control : TokenType::user_defined);
    }
    return v;
}

/// SentencePiece merges the pair whose token has the highest score: minus the rank of the first merge that makes the token.
std::vector<double> scores_of(const Vocabulary& v) {
    std::unordered_map<std::string, double> made;
    for (std::size_t rank = 0; rank < v.merges.size(); ++rank) {
        std::string text = v.merges[rank];
        // In these vocabularies spaces are marks, so the only space is the one between the two parts.
        text.erase(text.find(' '), 1);
        made.emplace(std::move(text), -static_cast<double>(rank) - 1);
    }
    std::vector<double> scores;
    for (const std::string& token : v.tokens) {
        const auto it = made.find(token);
        // What no merge makes must lose against everything that one does.
        scores.push_back(it != made.end() ? it->second : -1e9);
    }
    return scores;
}

std::unique_ptr<Tokenizer> original_tokenizer(const files::Metadata& metadata) {
    files::Metadata keys;
    for (const auto& [key, value] : metadata.entries())
        if (key.starts_with("tokenizer.huggingface.")) keys.append(key, value);
    return make_tokenizer(keys);
}

/// True if both give the same tokens for every probe, special tokens included.
bool agree(const Tokenizer& a, const Tokenizer& b) {
    return std::all_of(std::begin(probes), std::end(probes), [&](std::string_view text) {
        try {
            return a.encode(text) == b.encode(text) && a.encode(text, {.add_special = false}) == b.encode(text, {.add_special = false});
        } catch (const core::Error&) {
            return false;
        }
    });
}

/// The keys but for what says how text is cut.
files::Metadata common_keys(const files::Metadata& source, const Vocabulary& v, const Tokenizer& original, bool sentence_piece) {
    files::Metadata keys;
    keys.set_text("tokenizer.ggml.model", sentence_piece ? "llama" : "gpt2");
    keys.set_texts("tokenizer.ggml.tokens", v.tokens);
    keys.set_integers("tokenizer.ggml.token_type", v.types);
    if (sentence_piece) keys.set_reals("tokenizer.ggml.scores", scores_of(v));
    else keys.set_texts("tokenizer.ggml.merges", v.merges);
    const auto unknown = std::find(v.types.begin(), v.types.end(), static_cast<std::int64_t>(TokenType::unknown));
    if (unknown != v.types.end()) keys.set_integer("tokenizer.ggml.unknown_token_id", unknown - v.types.begin());
    if (original.bos() >= 0) keys.set_integer("tokenizer.ggml.bos_token_id", original.bos());
    if (original.eos() >= 0) keys.set_integer("tokenizer.ggml.eos_token_id", original.eos());
    for (const std::string_view key : {"bos", "eos", "eot", "eom", "padding"})
        if (const std::string name = core::format("tokenizer.ggml.{}_token_id", key); source.find(name)) keys.set_integer(name, source.integer(name));
    // What the original puts around a text, whatever its settings claim.
    const std::vector<TokenId> framed = original.encode("x"), bare = original.encode("x", {.add_special = false});
    keys.set_boolean("tokenizer.ggml.add_bos_token", framed.size() > bare.size() && framed.front() == original.bos());
    keys.set_boolean("tokenizer.ggml.add_eos_token", framed.size() > bare.size() && framed.back() == original.eos());
    return keys;
}

/// The first way of cutting with which the keys agree with the original; false if none does.
bool find_cut(files::Metadata& keys, const Tokenizer& original, bool sentence_piece) {
    const auto works = [&] {
        try {
            return agree(*make_tokenizer(keys), original);
        } catch (const core::Error&) {
            return false;
        }
    };
    if (sentence_piece) {
        for (const bool leading : {true, false}) {
            keys.set_boolean("tokenizer.ggml.add_space_prefix", leading);
            if (works()) return true;
        }
        return false;
    }
    // Several may fit, above all for a small vocabulary; the names that every program knows come first.
    std::vector<std::string_view> names = {"gpt-2", "llama-bpe", "qwen2"};
    for (const PreTokenizer* candidate : pre_tokenizers::all()) names.push_back(candidate->names[0]);
    return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
        keys.set_text("tokenizer.ggml.pre", std::string(name));
        return works();
    });
}

}  // namespace

files::Metadata gguf_vocabulary(const files::Metadata& metadata) {
    constexpr std::string_view json_key = "tokenizer.huggingface.json";
    const Json root = Json::parse(metadata.text(json_key), "tokenizer.json");
    const Json* const model = root.find("model");
    const Json* const type = model ? model->find("type") : nullptr;
    // Older files leave the type out; merges then say that it is BPE.
    const std::string name = type && type->is_string() ? type->string() : model && model->find("merges") ? "BPE" : "none";
    if (name != "BPE") fail(ErrorKind::unsupported, "tokenizer.json has a model of type {}, which cannot be written with GGUF's keys; BPE can", name);
    const std::unique_ptr<Tokenizer> original = original_tokenizer(metadata);
    const Vocabulary vocabulary = read_vocabulary(root);
    const Json* const fallback = model->find("byte_fallback");
    const bool sentence_piece = fallback && !fallback->is_null() && fallback->boolean();
    files::Metadata keys = common_keys(metadata, vocabulary, *original, sentence_piece);
    if (!find_cut(keys, *original, sentence_piece))
        fail(ErrorKind::unsupported, "no tokenizer that GGUF knows gives the same tokens as tokenizer.json");
    return keys;
}

bool composes_text(const files::Metadata& metadata) {
    const std::unique_ptr<Tokenizer> original = original_tokenizer(metadata);
    return original->encode("e\xCC\x81") == original->encode("\xC3\xA9");
}

}  // namespace tailor::text
