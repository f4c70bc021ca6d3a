// Early exit: the first layers of the model, followed by its own output matrix, draft for the whole of it.
//
// No second file, and no second cache: what the first layers computed for a token is the same in both, so the draft writes into the cache
// of the whole model and begins where that stands, without reading the prompt. The whole model then checks all drafted tokens in one step.
// Elhoushi et al., "LayerSkip", 2024, section 4.3; a model not trained for it (their layer dropout and exit loss) drafts worse.
#include <charconv>

#include "core/error.h"
#include "run/drafts/by_model.h"

namespace tailor::run::drafts::early_exit_draft {

class EarlyExit : public Drafter {
  public:
    EarlyExit(std::shared_ptr<const LanguageModel> model, const Setup& setup, const SessionOptions& options)
        : session_(std::move(model), setup.pool, options), sampler_(setup.sampler) {}

    void propose(std::span<const text::TokenId> history, std::int64_t target_past, std::int64_t most, Proposal& proposal) override {
        session_.follow(target_past);
        const core::Tensor& logits = session_.evaluate(history.last(1));
        draw_tokens(session_, sampler_, logits, history, most, proposal);
    }

    bool goes_back() { return session_.goes_back(); }

  private:
    Session session_;
    Sampler sampler_;
};

static std::unique_ptr<Drafter> make(const Setup& setup) {
    std::int64_t layers = 0;
    const char *const begin = setup.argument.data(), *const end = begin + setup.argument.size();
    if (setup.argument.empty() || std::from_chars(begin, end, layers).ptr != end)
        core::fail(core::ErrorKind::usage, "early-exit=LAYERS takes how many layers draft, not '{}'", setup.argument);
    setup.target.plan(1, 1);  // its states are there once it has a plan
    SessionOptions options = setup.target.options();
    options.lender = &setup.target;
    auto exit = std::make_unique<EarlyExit>(LanguageModel::first_layers(setup.target.shared_model(), layers), setup, options);
    if (!exit->goes_back())
        core::fail(core::ErrorKind::usage, "{}: the {} family keeps a summary of all tokens, in which drafted ones cannot be undone for a part of its layers",
                   setup.target.model().file().path(), setup.target.model().family().name);
    return exit;
}

}  // namespace tailor::run::drafts::early_exit_draft

namespace tailor::run::drafts::entries {
extern const DraftKind early_exit = {
    .name = "early-exit",
    .argument = "LAYERS",
    .doc = "the first layers of the model itself, with its own output matrix",
    .make = &early_exit_draft::make,
};
}  // namespace tailor::run::drafts::entries
