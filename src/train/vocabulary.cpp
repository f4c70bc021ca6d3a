// The only file that includes SentencePiece; see vocabulary.h.
#include "train/vocabulary.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include "core/error.h"
#include "core/mapped_file.h"
#include "text/gguf_vocabulary.h"
#include "text/vocabulary.h"

namespace tailor::train {

using core::ErrorKind;
using core::fail;
using text::TokenType;

namespace {

// SentencePiece leaves out longer sentences (4192 bytes), and a text may be one line.
constexpr std::size_t most_line_bytes = 4096;
// A vocabulary of tens of thousands of tokens settles on less; the trainer holds about ten times its text in memory.
constexpr std::uint64_t most_text_bytes = 100'000'000;

/// The lines of texts, long ones cut at spaces; of large texts every n-th line.
class Lines : public sentencepiece::SentenceIterator {
  public:
    explicit Lines(const std::vector<std::string>& files) {
        std::uint64_t bytes = 0;
        for (const std::string& path : files) texts_.push_back(core::read_text_file(path)), bytes += texts_.back().size();
        every_ = bytes / most_text_bytes + 1;
        advance();
    }
    bool done() const override { return done_; }
    void Next() override {
        for (std::uint64_t i = 0; i < every_ && !done_; ++i) advance();
    }
    const std::string& value() const override { return line_; }
    sentencepiece::util::Status status() const override { return {}; }

  private:
    void advance() {
        line_.clear();
        while (line_.empty() && text_ < texts_.size()) {
            const std::string& text = texts_[text_];
            std::size_t end = std::min(text.find('\n', at_), text.size());
            if (end - at_ > most_line_bytes) {
                const std::size_t space = text.rfind(' ', at_ + most_line_bytes);
                end = space == std::string::npos || space <= at_ ? at_ + most_line_bytes : space;
            }
            line_ = text.substr(at_, end - at_);
            at_ = end + (end < text.size() && text[end] == '\n');
            if (at_ >= text.size()) ++text_, at_ = 0;
        }
        done_ = line_.empty();
    }

    std::vector<std::string> texts_;
    std::size_t text_ = 0, at_ = 0;
    std::uint64_t every_ = 1;
    std::string line_;
    bool done_ = false;
};

TokenType type_of(const sentencepiece::SentencePieceProcessor& pieces, int id) {
    if (pieces.IsUnknown(id)) return TokenType::unknown;
    if (pieces.IsControl(id)) return TokenType::control;
    if (pieces.IsByte(id)) return TokenType::byte;
    return pieces.IsUnused(id) ? TokenType::unused : TokenType::normal;
}

}  // namespace

std::string train_pieces(const std::vector<std::string>& files, std::string_view kind, std::int64_t size) {
    if (kind != "bpe" && kind != "unigram") fail(ErrorKind::usage, "a vocabulary of the kind '{}' cannot be trained; there are bpe and unigram", kind);
    Lines lines(files);
    if (lines.done()) fail(ErrorKind::usage, "there is no text to train a vocabulary on");
    std::string model;
    const sentencepiece::util::Status status = sentencepiece::SentencePieceTrainer::Train(
        {{"model_type", std::string(kind)}, {"vocab_size", std::to_string(size)}, {"byte_fallback", "true"}, {"normalization_rule_name", "identity"},
         {"remove_extra_whitespaces", "false"}, {"split_digits", "true"}, {"unk_id", "0"}, {"bos_id", "1"}, {"eos_id", "2"}, {"pad_id", "-1"},
         // Sums are made per thread: a fixed number, for the same vocabulary on every machine.
         {"num_threads", "4"}, {"minloglevel", "3"}},
        &lines, &model);
    // The message begins with a place in SentencePiece's source and a condition in brackets.
    if (const std::string message(status.message()); !status.ok()) {
        const std::size_t end = message.rfind("] ");
        fail(ErrorKind::usage, "no vocabulary of {} tokens ({}) can be trained on this text: {}", size, kind, end == std::string::npos ? message : message.substr(end + 2));
    }
    return model;
}

files::Metadata vocabulary_of_pieces(const std::string& model, std::string_view kind) {
    sentencepiece::SentencePieceProcessor pieces;
    if (const auto status = pieces.LoadFromSerializedProto(model); !status.ok()) fail(ErrorKind::format, "this is no vocabulary of SentencePiece: {}", std::string(status.message()));
    std::vector<std::string> tokens;
    std::vector<double> scores;
    std::vector<std::int64_t> types;
    for (int id = 0; id < pieces.GetPieceSize(); ++id) {
        tokens.push_back(pieces.IdToPiece(id));
        scores.push_back(static_cast<double>(pieces.GetScore(id)));
        types.push_back(static_cast<std::int64_t>(type_of(pieces, id)));
    }
    files::Metadata metadata;
    metadata.set_text("tokenizer.ggml.model", kind == "bpe" ? "llama" : "t5");
    metadata.set_text("tokenizer.ggml.pre", "default");
    metadata.set_texts("tokenizer.ggml.tokens", tokens);
    metadata.set_reals("tokenizer.ggml.scores", std::move(scores));
    metadata.set_integers("tokenizer.ggml.token_type", std::move(types));
    metadata.set_integer("tokenizer.ggml.unknown_token_id", pieces.unk_id());
    metadata.set_integer("tokenizer.ggml.bos_token_id", pieces.bos_id());
    metadata.set_integer("tokenizer.ggml.eos_token_id", pieces.eos_id());
    metadata.set_boolean("tokenizer.ggml.add_bos_token", true);
    metadata.set_boolean("tokenizer.ggml.add_eos_token", false);
    metadata.set_boolean("tokenizer.ggml.add_space_prefix", true);
    if (kind == "unigram") metadata.set_boolean("tokenizer.ggml.remove_extra_whitespaces", false);
    return metadata;
}

static void copy_vocabulary(const files::Metadata& from, files::Metadata& to) {
    for (const auto& [key, value] : from.entries()) {
        if (!key.starts_with("tokenizer.")) continue;
        if (value.type == files::MetaType::string) to.set_text(key, std::string(value.text));
        else if (value.type == files::MetaType::array && value.item_type == files::MetaType::string) to.set_texts(key, {value.texts.begin(), value.texts.end()});
        else to.set(key, value);
    }
}

files::Metadata copied_vocabulary(const files::File& file) {
    if (!text::has_tokenizer(file.metadata())) fail(ErrorKind::unsupported, "{}: the file has no vocabulary that a new model could have", file.path());
    files::Metadata metadata;
    copy_vocabulary(file.metadata().find("tokenizer.ggml.model") ? file.metadata() : text::gguf_vocabulary(file.metadata()), metadata);
    return metadata;
}

}  // namespace tailor::train
