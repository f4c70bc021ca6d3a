// Drawing drafts; see by_model.h.
#include "run/drafts/by_model.h"

namespace tailor::run::drafts {

void draw_tokens(Session& session, Sampler& sampler, const core::Tensor& first, std::span<const text::TokenId> history, std::int64_t most, Proposal& proposal) {
    std::vector<text::TokenId> text(history.begin(), history.end());
    for (const core::Tensor* logits = &first;;) {
        const Distribution& distribution = sampler.distribution({logits->row_f32(0), static_cast<std::size_t>(logits->shape.width())}, text);
        const text::TokenId id = sampler.draw(distribution);
        proposal.ids.push_back(id);
        proposal.drawn_from.push_back(distribution);
        text.push_back(id);
        if (static_cast<std::int64_t>(proposal.ids.size()) == most || session.past() == session.context()) return;
        logits = &session.evaluate({&id, 1});
    }
}

}  // namespace tailor::run::drafts
