// The decode loop; see generate.h.
#include "run/generate.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "text/utf8_stream.h"

namespace tailor::run {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Text on its way out: whole characters only, and nothing that may yet turn out to be the start of a stop string.
class Output {
  public:
    Output(const std::vector<std::string>& stop, const std::function<void(std::string_view)>& stream) : stop_(stop), stream_(stream) {}

    /// True when a stop string is complete.
    bool push(std::string_view piece) {
        pending_ += characters_.push(piece);
        std::size_t end = std::string::npos;
        for (const std::string& s : stop_)
            if (!s.empty()) end = std::min(end, pending_.find(s));
        if (end != std::string::npos) {
            pending_.resize(end);
            release(pending_.size());
            return true;
        }
        std::size_t held = 0;
        for (const std::string& s : stop_)
            for (std::size_t n = std::min(s.size(), pending_.size()); n > held; --n)
                if (pending_.compare(pending_.size() - n, n, s, 0, n) == 0) held = n;
        release(pending_.size() - held);
        return false;
    }
    void finish() {
        pending_ += characters_.flush();
        release(pending_.size());
    }
    std::string text;

  private:
    void release(std::size_t count) {
        if (count && stream_) stream_(std::string_view(pending_).substr(0, count));
        text += pending_.substr(0, count);
        pending_.erase(0, count);
    }
    const std::vector<std::string>& stop_;
    const std::function<void(std::string_view)>& stream_;
    text::Utf8Stream characters_;
    std::string pending_;
};

// The next token under options.mask, if there is one: first of all that fit; only if the text could not end after the one chosen,
// which costs a look at every token, of those after which it can.
text::TokenId choose(Sampler& sampler, std::span<const float> logits, std::span<const text::TokenId> history, text::grammar::TokenMask* mask, std::int64_t left) {
    if (mask->least_tokens() > left) core::fail(core::ErrorKind::usage, "the grammar needs at least {} more tokens, and only {} may be written", mask->least_tokens(), left);
    const auto some = [](std::span<const std::uint64_t> bits) { return std::any_of(bits.begin(), bits.end(), [](std::uint64_t b) { return b != 0; }); };
    std::span<const std::uint64_t> allowed = mask->allowed();
    if (!some(allowed)) core::fail(core::ErrorKind::unsupported, "the vocabulary has no token that the grammar allows here");
    text::TokenId id = sampler.sample(logits, history, allowed);
    if (!mask->leaves_time(id, left)) {
        allowed = mask->allowed(left);
        if (!some(allowed)) core::fail(core::ErrorKind::usage, "with this vocabulary the grammar needs more than the {} tokens that may be written", left);
        id = sampler.sample(logits, history, allowed);
    }
    mask->accept(id);
    return id;
}

// The text so far and what the next token is chosen from.
class Writing {
  public:
    /// `evaluated`: tokens of the history that stand in the session, fewer than all.
    Writing(Session& session, const GenerateOptions& options, std::vector<text::TokenId> history, std::int64_t evaluated)
        : session_(session), options_(options), sampler_(options.sampler), history_(std::move(history)),
          logits_(&session.prefill(std::span(history_).subspan(static_cast<std::size_t>(evaluated)))) {
        if (options.drafter) speculation_.emplace(session, *options.drafter, *logits_);
    }
    /// Tokens of the text that stand in the session.
    std::int64_t past() const { return speculation_ ? speculation_->past() : session_.past(); }

    /// The next token, of `left` at most. A token that was drawn by a drafter is taken or replaced so that the result is the model's own;
    /// under a grammar, and where it was not drawn, it is taken if it is the one that would have been chosen without it.
    text::TokenId choose_next(std::int64_t left) {
        const std::span<const float> logits = speculation_ ? speculation_->logits() : std::span(logits_->row_f32(0), static_cast<std::size_t>(logits_->shape.width()));
        if (options_.mask) return choose(sampler_, logits, history_, options_.mask, left);
        const Distribution* const drawn_from = speculation_ ? speculation_->drawn_from() : nullptr;
        return drawn_from ? sampler_.draw_over(sampler_.distribution(logits, history_), *drawn_from, speculation_->drafted()) : sampler_.sample(logits, history_);
    }
    void append(text::TokenId id) { history_.push_back(id); }
    /// Evaluates the token that was appended last, unless that was done already; at most `left` more will be chosen.
    void go_on(std::int64_t left) {
        if (speculation_) speculation_->advance(history_, left);
        else logits_ = &session_.evaluate({&history_.back(), 1});
    }
    std::optional<SpeculationReport> finish(std::int64_t tokens, double seconds) {
        if (!speculation_) return {};
        speculation_->finish();
        return speculation_->report(tokens, seconds);
    }

  private:
    Session& session_;
    const GenerateOptions& options_;
    Sampler sampler_;
    std::vector<text::TokenId> history_;
    const core::Tensor* logits_;
    std::optional<Speculation> speculation_;
};

}  // namespace

Generated generate(Session& session, const std::vector<text::TokenId>& prompt, const GenerateOptions& options,
                   const std::function<void(std::string_view)>& stream, std::int64_t evaluated) {
    if (prompt.empty()) core::fail(core::ErrorKind::usage, "the prompt has no tokens");
    if (session.model().family().encodes) core::fail(core::ErrorKind::usage, "{}: the {} family writes no text; ask for its vectors with 'tailor embed'", session.model().file().path(), session.model().family().name);
    const text::Tokenizer* const tokenizer = session.model().has_tokenizer() ? &session.model().tokenizer() : nullptr;
    Output output(options.stop, stream);
    Generated result;
    auto start = std::chrono::steady_clock::now();
    if (options.mask && !tokenizer) core::fail(core::ErrorKind::usage, "a grammar needs a model with a tokenizer");
    if (options.mask && options.most_tokens == 0 && options.mask->least_tokens() > 0)
        core::fail(core::ErrorKind::usage, "the grammar needs at least {} more tokens, and none may be written", options.mask->least_tokens());
    const bool reads_first = session.model().family().build_encoder != nullptr;
    if (reads_first) session.encode(prompt);
    Writing writing(session, options, reads_first ? std::vector<text::TokenId>{session.first_written()} : prompt, evaluated);
    result.prompt_seconds = seconds_since(start);
    start = std::chrono::steady_clock::now();
    result.stop_reason = "length";
    while (options.most_tokens < 0 || static_cast<std::int64_t>(result.ids.size()) < options.most_tokens) {
        core::check_interrupt();
        std::int64_t left = session.context() - writing.past() + 1;  // the last one need not be evaluated
        if (options.most_tokens >= 0) left = std::min(left, options.most_tokens - static_cast<std::int64_t>(result.ids.size()));
        const text::TokenId id = writing.choose_next(left);
        if (tokenizer && !options.ignore_end && tokenizer->ends_generation(id)) {
            result.stop_reason = "end";
            break;
        }
        result.ids.push_back(id);
        writing.append(id);
        if (tokenizer && output.push(tokenizer->piece(id))) {
            result.stop_reason = "stop";
            break;
        }
        if (options.mask && options.mask->must_end()) {
            result.stop_reason = "end";
            break;
        }
        if (writing.past() == session.context()) {
            result.stop_reason = "context";
            break;
        }
        if (static_cast<std::int64_t>(result.ids.size()) != options.most_tokens) writing.go_on(left - 1);
    }
    result.decode_seconds = seconds_since(start);
    result.speculation = writing.finish(static_cast<std::int64_t>(result.ids.size()), result.decode_seconds);
    if (result.stop_reason != "stop") output.finish();
    result.text = std::move(output.text);
    return result;
}

}  // namespace tailor::run
