// A draft model: a smaller model of the same vocabulary writes ahead.
//
// It draws each token from its own distribution, filtered as the target's is, so that the rule of speculative sampling takes a token with
// probability min(1, p / q). Its session keeps what it has evaluated as long as the history begins with it; what was rejected is
// forgotten. Leviathan et al., 2023; Chen et al., 2023.
#include <algorithm>

#include "core/error.h"
#include "run/drafts/by_model.h"

namespace tailor::run::drafts::draft_model_draft {

class DraftModel : public Drafter {
  public:
    DraftModel(std::shared_ptr<const LanguageModel> model, const Setup& setup, const SessionOptions& options)
        : session_(std::move(model), setup.pool, options), sampler_(setup.sampler), goes_back_(session_.goes_back()) {}

    void propose(std::span<const text::TokenId> history, std::int64_t, std::int64_t most, Proposal& proposal) override {
        if (static_cast<std::int64_t>(history.size()) > session_.context()) return;
        return_to(history);
        const core::Tensor& logits = session_.prefill(history.subspan(evaluated_.size()));
        evaluated_.assign(history.begin(), history.end());
        if (!goes_back_) session_.save(checkpoint_);
        draw_tokens(session_, sampler_, logits, history, most, proposal);
        if (goes_back_) evaluated_.insert(evaluated_.end(), proposal.ids.begin(), proposal.ids.end() - 1);
    }

  private:
    // Forgets whatever does not begin the history; its last token is evaluated in any case, for its logits.
    void return_to(std::span<const text::TokenId> history) {
        const auto same = std::mismatch(evaluated_.begin(), evaluated_.end(), history.begin(), history.end() - 1).first - evaluated_.begin();
        if (goes_back_) evaluated_.resize(static_cast<std::size_t>(session_.keep(same)));
        else if (same == static_cast<std::ptrdiff_t>(evaluated_.size()) && same > 0) session_.restore(checkpoint_);
        else session_.reset(), evaluated_.clear();
    }

    Session session_;
    Sampler sampler_;
    bool goes_back_;
    Session::Checkpoint checkpoint_;           ///< where all of evaluated_ is; only for models that cannot go back
    std::vector<text::TokenId> evaluated_;
};

// A drafted id must mean the same token to both.
static void require_same_vocabulary(const LanguageModel& draft, const LanguageModel& target) {
    const std::string advice = "a draft model must share the vocabulary of the model that checks it";
    if (draft.facts().vocabulary != target.facts().vocabulary)
        core::fail(core::ErrorKind::usage, "{} has a vocabulary of {} tokens, {} one of {}: {}", draft.file().path(), draft.facts().vocabulary,
                   target.file().path(), target.facts().vocabulary, advice);
    if (!draft.has_tokenizer() || !target.has_tokenizer()) return;
    const text::Tokenizer &ours = draft.tokenizer(), &theirs = target.tokenizer();
    for (text::TokenId id = 0; id < std::min(ours.size(), theirs.size()); ++id)
        if (const std::string a = ours.piece(id, true), b = theirs.piece(id, true); a != b)
            core::fail(core::ErrorKind::usage, "token {} is '{}' in {} and '{}' in {}: {}", id, a, draft.file().path(), b, target.file().path(), advice);
}

static std::unique_ptr<Drafter> make(const Setup& setup) {
    if (setup.argument.empty()) core::fail(core::ErrorKind::usage, "draft=FILE needs the file of a model that drafts");
    const LanguageModel& target = setup.target.model();
    auto model = LanguageModel::open(setup.argument);
    if (model->family().encodes || model->family().build_encoder || target.family().build_encoder)
        core::fail(core::ErrorKind::usage, "{} cannot draft for {}: both must be models that continue a text", model->file().path(), target.file().path());
    require_same_vocabulary(*model, target);
    SessionOptions options = setup.target.options();
    options.slots = 1, options.kv_format = "f32", options.kv_budget = {}, options.rewrite = {};
    return std::make_unique<DraftModel>(std::move(model), setup, options);
}

}  // namespace tailor::run::drafts::draft_model_draft

namespace tailor::run::drafts::entries {
extern const DraftKind draft_model = {
    .name = "draft",
    .argument = "FILE",
    .doc = "a smaller model of the same vocabulary",
    .make = &draft_model_draft::make,
};
}  // namespace tailor::run::drafts::entries
