// Perplexity of a model on text, and its divergence from a reference model, streamed window by window.
//
// The text is tokenized whole and cut into windows of `context` tokens; the first token of each is replaced by BOS (if the
// model has one), and the second half of each window is scored, so that every scored token has at least half a window
// before it. With a reference, both models see each window and only a few numbers per token are kept: no logits file.
// A family that reads a text before it writes another reads the first half and writes the second. An encoder writes none:
// what can be known is how far its vectors of the second half's tokens are from those of a reference.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/json.h"
#include "run/session.h"

namespace tailor::run {

using Progress = std::function<void(std::int64_t done, std::int64_t total)>;

/// A figure with its standard error.
struct Figure {
    double value = 0, standard_error = 0;
    core::Json json() const;
};

using Windows = std::vector<std::vector<text::TokenId>>;

/// Full windows of `context` tokens, at most `most` of them (0: all). Throws Error(usage) if there is not one.
Windows cut_windows(const std::vector<text::TokenId>& ids, std::int64_t context, text::TokenId bos, std::int64_t most = 0);
/// First scored position of a window of this length.
inline std::int64_t first_scored(std::int64_t context) { return context / 2; }

/// Runs one window in a session, which is reset, and returns what the model says to its last `wanted` tokens, valid until the session's
/// next step: logits, or an encoder's vectors. A family that reads first says something to the second half only.
const core::Tensor& answer(Session& session, std::span<const text::TokenId> window, std::int64_t wanted);

/// How far two rows of answers are apart: the KL divergence of two rows of logits, the cosine distance of two vectors.
double distance_of_answers(const models::Model& family, const float* reference, const float* other, std::int64_t width, cpu::Isa isa);

struct Evaluation {
    std::int64_t tokens = 0;       ///< scored
    bool of_vectors = false;       ///< of an encoder: divergences are cosine distances, and there are no perplexities and no likely tokens
    Figure perplexity;
    bool has_reference = false;
    Figure reference_perplexity;
    Figure mean, median, percentile_99, percentile_99_9, maximum;  ///< of the KL divergence per token, nats; or the cosine distance
    Figure top1_agreement;         ///< share of tokens where both models' most likely token is the same
    core::Json json() const;
};

/// Evaluates `model` on the windows, against `reference` if it is not null. Both sessions need a context of a window.
/// Throws Error(numeric) if a logit is not finite, Error(usage) for an encoder without a reference.
Evaluation evaluate(Session& model, Session* reference, const Windows& windows, const Progress& progress = {});

/// Mean divergence between two evaluations of the same model that differ only in the order of floating-point additions
/// (another instruction-set level, or other chunks): what a divergence of zero looks like here.
double numerical_noise(std::shared_ptr<const LanguageModel> model, core::Pool& pool, const SessionOptions& options, const Windows& windows);

}  // namespace tailor::run
