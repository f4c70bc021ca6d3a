// The pipeline of a tokenizer.json file; see tokenizer_json.h.
#include "text/tokenizer_json.h"

#include <algorithm>
#include <climits>
#include <filesystem>
#include <unordered_set>

#include "core/error.h"
#include "core/json.h"
#include "core/mapped_file.h"
#include "text/tokenizer_json/added_tokens.h"
#include "text/tokenizer_json/decoders.h"
#include "text/tokenizer_json/models.h"
#include "text/tokenizer_json/normalizers.h"
#include "text/tokenizer_json/pre_tokenizers.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace tailor::text {
namespace tokenizer_json {

using core::ErrorKind;

/// What is put around a text.
struct Frame {
    std::vector<TokenId> before, after;
};

static TokenId checked_id(const Element& place, const TokenList& tokens, std::int64_t id) {
    if (id < 0 || id >= static_cast<std::int64_t>(tokens.size()))
        place.fail(ErrorKind::format, "there is no token {}: the vocabulary has the ids 0 to {}", id, tokens.size() - 1);
    return static_cast<TokenId>(id);
}

static void add_template(const Element& element, const TokenList& tokens, Frame& frame) {
    std::vector<TokenId> before, after;
    bool passed = false;
    for (const Element& item : element.member("single").items()) {
        if (!item.member("Sequence").is_null()) passed = true;
        const Element special = item.member("SpecialToken");
        if (special.is_null()) continue;
        const Element named = element.member("special_tokens").member(special.text("id"));
        for (const Element& id : named.member("ids").items())
            (passed ? after : before).push_back(checked_id(id, tokens, id.integer()));
    }
    frame.before.insert(frame.before.begin(), before.begin(), before.end());
    frame.after.insert(frame.after.end(), after.begin(), after.end());
}

/// Member `key`, a token and its id: ["[SEP]", 102].
static TokenId token_pair(const Element& element, std::string_view key, const TokenList& tokens) {
    const std::vector<Element> pair = element.member(key).items();
    if (pair.size() != 2) element.member(key).fail(ErrorKind::format, "this must be a token and its id");
    return checked_id(pair[1], tokens, pair[1].integer());
}

/// What a post-processor puts around the frame so far.
static void add_frame(const Element& element, const TokenList& tokens, Frame& frame) {
    if (element.is_null()) return;
    const std::string type = element.text("type");
    if (type == "Sequence") {
        for (const Element& item : element.member("processors").items()) add_frame(item, tokens, frame);
    } else if (type == "TemplateProcessing") {
        add_template(element, tokens, frame);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
        frame.before.insert(frame.before.begin(), token_pair(element, "cls", tokens));
        frame.after.push_back(token_pair(element, "sep", tokens));
    } else if (type != "ByteLevel") {  // which is about offsets
        element.fail(ErrorKind::unsupported, "the type '{}' is not supported; there are BertProcessing, ByteLevel, RobertaProcessing, "
                     "Sequence, TemplateProcessing", type);
    }
}

static std::vector<AddedToken> read_added_tokens(const Element& element) {
    std::vector<AddedToken> result;
    if (element.is_null()) return result;
    for (const Element& item : element.items()) {
        const std::int64_t id = item.integer("id", -1);
        if (id < 0 || id > INT_MAX) item.fail(ErrorKind::format, "the id is {}", id);
        const bool special = item.flag("special", false);
        result.push_back({item.text("content"), static_cast<TokenId>(id), item.flag("single_word", false), item.flag("lstrip", false),
                          item.flag("rstrip", false), item.flag("normalized", !special), special});
    }
    return result;
}

/// Those of the model and the added ones that it lacks. An added token that it has is the model's, whatever id it gives.
static std::vector<TokenList::Entry> all_tokens(const Element& root, const std::vector<AddedToken>& added) {
    std::vector<TokenList::Entry> entries = model_tokens(root.member("model"));
    std::unordered_set<std::string> known;
    for (const TokenList::Entry& entry : entries) known.insert(entry.text);
    for (const AddedToken& token : added)
        if (!known.count(token.content)) entries.push_back({token.content, token.id});
    return entries;
}

class JsonTokenizer : public Tokenizer {
  public:
    JsonTokenizer(const Element& root, const core::Json& config, const core::Json& generation)
        : added_(read_added_tokens(root.member("added_tokens"))), tokens_(all_tokens(root, added_), root),
          is_special_(tokens_.size(), false), is_added_(tokens_.size(), false), is_hidden_(tokens_.size(), true),
          normalize_(make_normalizer(root.member("normalizer"))), cut_(make_pre_tokenizer(root.member("pre_tokenizer"))),
          decode_(make_decoder(root.member("decoder"))) {
        size_ = static_cast<std::int64_t>(tokens_.size());
        if (size_ == 0) root.fail(ErrorKind::format, "the vocabulary is empty");
        for (const TokenList::Entry& entry : model_tokens(root.member("model"))) is_hidden_[static_cast<std::size_t>(entry.id)] = false;
        place_added_tokens();
        model_ = make_model(root.member("model"), tokens_, is_hidden_);
        add_frame(root.member("post_processor"), tokens_, frame_);
        find_ends(root, config, generation);
    }

    std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override {
        if (text.size() > INT_MAX / 3)
            core::fail(ErrorKind::usage, "a text of {} bytes is too long to tokenize at once; the most is {}", text.size(), INT_MAX / 3);
        std::string repaired;
        if (valid_length(text) != text.size()) text = repaired = with_replacements(text);
        std::vector<TokenId> ids;
        if (options.add_special) ids = frame_.before;
        for (const Fragment& fragment : before_.split(text, options.parse_special)) {
            if (fragment.id >= 0) ids.push_back(fragment.id);
            else encode_fragment(text.substr(fragment.span.begin, fragment.span.length), fragment.span.begin == 0, options.parse_special, ids);
        }
        if (options.add_special) ids.insert(ids.end(), frame_.after.begin(), frame_.after.end());
        return ids;
    }

    std::string piece(TokenId id, bool special) const override { return text_of({&id, 1}, special, false); }
    std::string decode(std::span<const TokenId> ids, bool special) const override { return text_of(ids, special, true); }

  private:
    void place_added_tokens() {
        std::vector<AddedToken> before, after;
        std::vector<std::string> before_forms, after_forms;
        for (AddedToken& token : added_) {
            token.id = tokens_.find(token.content);
            if (token.id < 0) continue;  // an empty one
            const auto index = static_cast<std::size_t>(token.id);
            is_added_[index] = true;
            is_special_[index] = is_special_[index] || token.special;
            is_hidden_[index] = is_hidden_[index] || token.special;
            Draft draft(token.content);
            if (token.normalized) normalize_(draft);
            (token.normalized ? after : before).push_back(token);
            (token.normalized ? after_forms : before_forms).push_back(draft.text());
        }
        before_ = AddedTokens(std::move(before), before_forms);
        after_ = AddedTokens(std::move(after), after_forms);
    }

    /// BOS and EOS by the names in tokenizer_config.json, else by what stands around a text; the tokens that end a generation
    /// from all sources together.
    void find_ends(const Element& root, const core::Json& config, const core::Json& generation) {
        const auto named = [&](std::string_view key) -> TokenId {
            const core::Json* value = config.find(key);
            if (value && value->is_object()) value = value->find("content");
            return value && value->is_string() ? tokens_.find(value->string()) : -1;
        };
        bos_ = named("bos_token");
        eos_ = named("eos_token");
        if (bos_ < 0 && !frame_.before.empty()) bos_ = frame_.before.front();
        if (eos_ < 0 && !frame_.after.empty()) eos_ = frame_.after.back();
        adds_bos_ = !frame_.before.empty() && frame_.before.front() == bos_;
        end_ids_ = named_end_tokens([&](std::string_view name) { return tokens_.find(name); });
        if (eos_ >= 0) end_ids_.push_back(eos_);
        if (const TokenId id = tokens_.find("</s>"); id >= 0 && is_special_[static_cast<std::size_t>(id)]) end_ids_.push_back(id);
        const core::Json* ends = generation.find("eos_token_id");
        if (!ends || ends->is_null()) return;
        const Element place(*ends, core::format("{} (generation_config.json)", root.place()));
        if (ends->is_array())
            for (const Element& id : place.items()) end_ids_.push_back(checked_id(id, tokens_, id.integer()));
        else end_ids_.push_back(checked_id(place, tokens_, place.integer()));
    }

    void encode_fragment(std::string_view text, bool starts, bool with_special, std::vector<TokenId>& ids) const {
        Draft draft{std::string(text)};
        normalize_(draft);
        const std::string_view ready = draft.text();
        for (const Fragment& fragment : after_.split(ready, with_special)) {
            if (fragment.id >= 0) {
                ids.push_back(fragment.id);
                continue;
            }
            const bool first = starts && draft.has_start() && fragment.span.begin == 0;
            Pieces pieces(std::string(ready.substr(fragment.span.begin, fragment.span.length)), first);
            cut_(pieces);
            for (std::size_t i = 0; i < pieces.spans.size(); ++i) model_->encode(pieces[i], ids);
        }
    }

    std::string text_of(std::span<const TokenId> ids, bool special, bool whole) const {
        Decoding decoding;
        decoding.begins = decoding.ends = whole;
        for (const TokenId id : ids) {
            if (id < 0 || id >= size_)
                core::fail(ErrorKind::usage, "there is no token {}: the vocabulary has the ids 0 to {}", id, size_ - 1);
            const auto index = static_cast<std::size_t>(id);
            if (special || !is_special_[index]) decoding.parts.push_back({std::string(tokens_.text(id)), is_added_[index]});
        }
        if (decoding.parts.empty()) return "";
        decode_(decoding);
        decoding.fuse();
        return decoding.parts[0].text;
    }

    std::vector<AddedToken> added_;
    TokenList tokens_;
    std::vector<bool> is_special_, is_added_, is_hidden_;  ///< by id; hidden: words never become it
    Normalizer normalize_;
    PreTokenizer cut_;
    Decoder decode_;
    AddedTokens before_, after_;  ///< those to find before and after normalization
    std::unique_ptr<TokenModel> model_;
    Frame frame_;
};

}  // namespace tokenizer_json

std::unique_ptr<Tokenizer> make_tokenizer_json(std::string_view json, std::string_view source, const TokenizerCompanions& companions) {
    const auto parsed = [&](std::string_view text, std::string_view name) {
        return text.empty() ? core::Json() : core::Json::parse(text, core::format("{}{}", source, name));
    };
    const core::Json root = parsed(json.empty() ? " " : json, "");
    if (!root.is_object()) core::fail(core::ErrorKind::format, "{}: this is not a JSON object", source);
    return std::make_unique<tokenizer_json::JsonTokenizer>(tokenizer_json::Element(root, std::string(source)),
                                                           parsed(companions.tokenizer_config, " (tokenizer_config.json)"),
                                                           parsed(companions.generation_config, " (generation_config.json)"));
}

std::unique_ptr<Tokenizer> read_tokenizer_json(const std::string& path) {
    const auto beside = [&](const char* name) {
        const std::filesystem::path file = std::filesystem::path(path).parent_path() / name;
        return std::filesystem::exists(file) ? core::read_text_file(file.string()) : std::string();
    };
    const std::string config = beside("tokenizer_config.json"), generation = beside("generation_config.json");
    return make_tokenizer_json(core::read_text_file(path), path, {config, generation});
}

}  // namespace tailor::text
