// Reading and running the models; see models.h, and text/merge.h, text/unigram.h and text/word_piece.h for how they work.
#include "text/tokenizer_json/models.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>

#include "text/merge_table.h"
#include "text/unicode.h"
#include "text/unigram.h"
#include "text/word_piece.h"

namespace tailor::text::tokenizer_json {

using core::ErrorKind;

static std::vector<std::string_view> views(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

static std::vector<std::string> by_id(std::vector<TokenList::Entry>& entries, const Element& place) {
    std::vector<std::string> texts;
    std::unordered_map<std::string_view, TokenId> last;
    for (const TokenList::Entry& entry : entries) {
        if (entry.id < 0 || static_cast<std::size_t>(entry.id) > 16 * entries.size() + 65536)
            place.fail(entry.id < 0 ? ErrorKind::format : ErrorKind::unsupported,
                       "the token '{}' has the id {}, which does not suit a vocabulary of {} tokens", entry.text, entry.id,
                       entries.size());
        last[entry.text] = entry.id;
        texts.resize(std::max(texts.size(), static_cast<std::size_t>(entry.id) + 1));
    }
    for (const TokenList::Entry& entry : entries)
        if (last[entry.text] == entry.id) texts[static_cast<std::size_t>(entry.id)] = entry.text;
    return texts;
}

TokenList::TokenList(std::vector<Entry> entries, const Element& place)
    : own_(by_id(entries, place)), texts_(views(own_)), table_(texts_) {}

/// What encodes a text that has no token: its bytes, if the file wants that and each has a token, or the unknown token.
class Fallback {
  public:
    Fallback(const Element& element, const TokenList& tokens, bool with_bytes) : place_(element.place()), with_bytes_(with_bytes) {
        for (std::size_t byte = 0; byte < 256 && with_bytes; ++byte) bytes_[byte] = tokens.find(core::format("<0x{:02X}>", byte));
    }
    void set_unknown(TokenId id) { unknown_ = id; }
    TokenId unknown() const { return unknown_; }

    /// Appends the byte tokens of `text`, or returns false if it has not all of them.
    bool spell(std::string_view text, std::vector<TokenId>& ids) const {
        const auto token = [&](char c) { return bytes_[static_cast<unsigned char>(c)]; };
        if (!with_bytes_ || !std::all_of(text.begin(), text.end(), [&](char c) { return token(c) >= 0; })) return false;
        for (const char c : text) ids.push_back(token(c));
        return true;
    }
    /// Appends the unknown token. Throws Error(unsupported) if there is none.
    void add_unknown(std::string_view text, std::vector<TokenId>& ids) const {
        if (unknown_ < 0)
            core::fail(ErrorKind::unsupported, "{}: '{}' has no token, and there is none for unknown words", place_, text);
        ids.push_back(unknown_);
    }

  private:
    std::string place_;
    bool with_bytes_;
    std::array<TokenId, 256> bytes_{};
    TokenId unknown_ = -1;
};

/// The token that member "unk_token" names: -1 if it names none. Throws Error(format) if it is not in the vocabulary.
static TokenId unknown_token(const Element& element, const TokenList& tokens) {
    const Element name = element.member("unk_token");
    if (name.is_null()) return -1;
    const TokenId id = tokens.find(name.text());
    if (id < 0) name.fail(ErrorKind::format, "the token '{}' is not in the vocabulary", name.text());
    return id;
}

class BpeModel : public TokenModel {
  public:
    BpeModel(const Element& element, const TokenList& tokens, const std::vector<bool>& is_hidden)
        : tokens_(tokens), is_hidden_(is_hidden), fallback_(element, tokens, element.flag("byte_fallback", false)),
          prefix_(element.text("continuing_subword_prefix", "")), suffix_(element.text("end_of_word_suffix", "")),
          fuses_unknown_(element.flag("fuse_unk", false)), ignores_merges_(element.flag("ignore_merges", false)) {
        fallback_.set_unknown(unknown_token(element, tokens));
        read_merges(element.member("merges"));
    }

    void encode(std::string_view word, std::vector<TokenId>& ids) const override {
        if (ignores_merges_)
            if (const TokenId id = tokens_.find(word); id >= 0 && !is_hidden_[static_cast<std::size_t>(id)]) return ids.push_back(id);
        Merger merger;
        add_symbols(word, merger);
        merger.run([&](const Symbol& left, const Symbol& right) { return merges_.find(left.id, right.id); });
        merger.each([&](const Symbol& symbol) { ids.push_back(symbol.id); });
    }

  private:
    /// A merge is "left right" or ["left", "right"]; the right part loses the prefix it has as a continuation.
    void read_merges(const Element& merges) {
        if (!merges.json().is_array()) merges.fail(ErrorKind::format, "this must be an array");
        const core::Json::Array& items = merges.json().items();
        if (items.size() > MergeTable::most) merges.fail(ErrorKind::unsupported, "more than {} merges cannot be ranked", MergeTable::most);
        merges_ = MergeTable(items.size());
        for (std::size_t rank = 0; rank < items.size(); ++rank) {
            const auto complain = [&](const std::string& what) {
                merges.fail(ErrorKind::format, "merge {} is {}; it must be two tokens", rank, what);
            };
            const auto [left, right] = parts_of(items[rank]);
            if (left.empty() || right.empty()) complain(items[rank].text(-1));
            const std::string joined = left + (right.size() >= prefix_.size() ? right.substr(prefix_.size()) : "");
            const TokenId left_id = tokens_.find(left), right_id = tokens_.find(right), result = tokens_.find(joined);
            if (left_id < 0 || right_id < 0 || result < 0)
                complain(core::format("'{}' and '{}', but the vocabulary has no '{}'", left, right,
                                      left_id < 0 ? left : right_id < 0 ? right : joined));
            merges_.add(left_id, right_id, rank, result);
        }
    }

    /// Empty parts if the merge is malformed.
    static std::pair<std::string, std::string> parts_of(const core::Json& merge) {
        if (merge.is_array()) {
            const core::Json::Array& parts = merge.items();
            if (parts.size() != 2 || !parts[0].is_string() || !parts[1].is_string()) return {};
            return {parts[0].string(), parts[1].string()};
        }
        const std::string line = merge.is_string() ? merge.string() : "";
        const std::size_t gap = line.find(' ');
        if (gap == std::string::npos || line.find(' ', gap + 1) != std::string::npos) return {};
        return {line.substr(0, gap), line.substr(gap + 1)};
    }

    /// The characters of a word as symbols; unknown ones in a row are one if the file says so.
    void add_symbols(std::string_view word, Merger& merger) const {
        std::uint32_t unknown_bytes = 0;
        const auto flush = [&] {
            if (unknown_bytes) merger.add(unknown_bytes, fallback_.unknown());
            unknown_bytes = 0;
        };
        std::vector<TokenId> bytes;
        std::string name;
        for (std::size_t at = 0; at < word.size();) {
            const std::size_t length = std::max<std::size_t>(1, code_point(word, at).bytes);
            const std::string_view character = word.substr(at, length);
            (name = at ? prefix_ : "") += character;
            if (at + length == word.size()) name += suffix_;
            at += length;
            if (const TokenId id = tokens_.find(name); id >= 0) {
                flush();
                merger.add(static_cast<std::uint32_t>(length), id);
            } else if (bytes.clear(); fallback_.spell(name, bytes)) {
                flush();
                for (const TokenId byte : bytes) merger.add(1, byte);
            } else if (fallback_.unknown() >= 0) {  // without an unknown token they vanish, as in the original
                if (!fuses_unknown_) flush();
                unknown_bytes += static_cast<std::uint32_t>(length);
            }
        }
        flush();
    }

    const TokenList& tokens_;
    const std::vector<bool>& is_hidden_;
    Fallback fallback_;
    std::string prefix_, suffix_;
    bool fuses_unknown_, ignores_merges_;
    MergeTable merges_;
};

class UnigramModel : public TokenModel {
  public:
    UnigramModel(const Element& element, const TokenList& tokens, const std::vector<bool>& is_hidden)
        : fallback_(element, tokens, element.flag("byte_fallback", false)) {
        std::vector<Unigram::Piece> pieces;
        double lowest = 0;
        TokenId id = 0;
        for (const core::Json& item : element.member("vocab").json().items()) {  // model_tokens() has checked its shape
            const core::Json& value = item.items()[1];
            const double score = value.is_number() ? value.number() : NAN;
            if (!std::isfinite(score)) element.fail(ErrorKind::format, "vocab[{}]: the score is {}", id, value.text(-1));
            lowest = id == 0 ? score : std::min(lowest, score);
            if (!is_hidden[static_cast<std::size_t>(id)]) pieces.push_back({tokens.text(id), id, score});
            ++id;
        }
        unigram_ = Unigram(pieces, lowest);
        const std::int64_t unknown = element.integer("unk_id", -1);
        if (unknown >= id) element.fail(ErrorKind::format, "unk_id is {}, but there are {} tokens", unknown, id);
        fallback_.set_unknown(static_cast<TokenId>(std::max<std::int64_t>(-1, unknown)));
    }

    void encode(std::string_view word, std::vector<TokenId>& ids) const override {
        for (const Unigram::Segment& segment : unigram_.segment(word)) {
            const std::string_view part = word.substr(segment.begin, segment.length);
            if (segment.id >= 0) ids.push_back(segment.id);
            else if (!fallback_.spell(part, ids)) fallback_.add_unknown(part, ids);
        }
    }

  private:
    Fallback fallback_;
    Unigram unigram_;
};

class WordPieceModel : public TokenModel {
  public:
    WordPieceModel(const Element& element, const TokenList& tokens, const std::vector<bool>& is_hidden)
        : fallback_(element, tokens, false), most_characters_(element.integer("max_input_chars_per_word", 100)) {
        const std::string prefix = element.text("continuing_subword_prefix", "##");
        std::vector<WordPiece::Piece> starts, insides;
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            const auto id = static_cast<TokenId>(i);
            if (is_hidden[i]) continue;
            starts.push_back({tokens.text(id), id});
            if (tokens.text(id).substr(0, prefix.size()) == prefix) insides.push_back({tokens.text(id).substr(prefix.size()), id});
        }
        word_piece_ = WordPiece(starts, insides);
        fallback_.set_unknown(unknown_token(element, tokens));
    }

    void encode(std::string_view word, std::vector<TokenId>& ids) const override {
        // Bytes that begin a character are all but 10xxxxxx.
        const auto characters = std::count_if(word.begin(), word.end(), [](char c) { return (c & 0xC0) != 0x80; });
        if (characters > most_characters_ || !word_piece_.segment(word, ids)) fallback_.add_unknown(word, ids);
    }

  private:
    Fallback fallback_;
    std::int64_t most_characters_;
    WordPiece word_piece_;
};

class WordLevelModel : public TokenModel {
  public:
    WordLevelModel(const Element& element, const TokenList& tokens, const std::vector<bool>& is_hidden)
        : tokens_(tokens), is_hidden_(is_hidden), fallback_(element, tokens, false) {
        fallback_.set_unknown(tokens.find(element.text("unk_token", "")));
    }

    void encode(std::string_view word, std::vector<TokenId>& ids) const override {
        const TokenId id = tokens_.find(word);
        if (id >= 0 && !is_hidden_[static_cast<std::size_t>(id)]) ids.push_back(id);
        else fallback_.add_unknown(word, ids);
    }

  private:
    const TokenList& tokens_;
    const std::vector<bool>& is_hidden_;
    Fallback fallback_;
};

struct ModelType {
    std::string_view type;
    std::unique_ptr<TokenModel> (*make)(const Element&, const TokenList&, const std::vector<bool>&);
};
template <class Model>
static std::unique_ptr<TokenModel> make(const Element& element, const TokenList& tokens, const std::vector<bool>& is_hidden) {
    return std::make_unique<Model>(element, tokens, is_hidden);
}
static constexpr ModelType model_types[] = {
    {"BPE", &make<BpeModel>},
    {"Unigram", &make<UnigramModel>},
    {"WordLevel", &make<WordLevelModel>},
    {"WordPiece", &make<WordPieceModel>},
};

/// Old files do not say which model they hold; their members do. Throws Error(unsupported).
static const ModelType& model_type(const Element& element) {
    std::string type = "WordPiece";
    if (!element.member("type").is_null()) type = element.text("type");
    else if (!element.member("merges").is_null()) type = "BPE";
    else if (element.member("vocab").json().is_array()) type = "Unigram";
    else if (element.member("continuing_subword_prefix").is_null()) type = "WordLevel";
    std::vector<std::string> names;
    for (const ModelType& entry : model_types) {
        if (entry.type == type) return entry;
        names.emplace_back(entry.type);
    }
    element.fail(ErrorKind::unsupported, "the type '{}' is not supported; there are {}", type, core::join(names, ", "));
}

std::vector<TokenList::Entry> model_tokens(const Element& element) {
    const Element vocabulary = element.member("vocab");
    std::vector<TokenList::Entry> entries;
    if (model_type(element).type == "Unigram") {
        if (!vocabulary.json().is_array()) vocabulary.fail(ErrorKind::format, "this must be an array of tokens with their scores");
        for (const core::Json& item : vocabulary.json().items()) {
            if (!item.is_array() || item.items().size() != 2 || !item.items()[0].is_string())
                vocabulary.fail(ErrorKind::format, "item {} is {}, not a text and a score", entries.size(), item.text(-1));
            entries.push_back({item.items()[0].string(), static_cast<TokenId>(entries.size())});
        }
        return entries;
    }
    if (!vocabulary.json().is_object()) vocabulary.fail(ErrorKind::format, "this must be an object of tokens with their ids");
    for (const auto& [text, id] : vocabulary.json().members()) {
        const double number = id.is_number() ? id.number() : NAN;
        if (!(number == std::floor(number) && number >= 0 && number <= INT32_MAX))
            vocabulary.fail(ErrorKind::format, "the id of '{}' is {}", text, id.text(-1));
        entries.push_back({text, static_cast<TokenId>(number)});
    }
    return entries;
}

std::unique_ptr<TokenModel> make_model(const Element& element, const TokenList& tokens, const std::vector<bool>& is_hidden) {
    return model_type(element).make(element, tokens, is_hidden);
}

}  // namespace tailor::text::tokenizer_json
