// The true divergence of any assignment, measured in memory on the search text.
//
// The reference logits are computed once. An assignment is evaluated by putting the encoded weights in the place of the
// original ones in a running session, so no file is written. Every result is kept in the store under a key made of the
// model, the text and the assignment; a fit that was stopped finds what it had measured.
#pragma once
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "compress/importance.h"
#include "search/fit/choices.h"
#include "search/fit/texts.h"

namespace tailor::search {

class Evaluator {
  public:
    /// All must outlive it. Windows beyond what half a gibibyte of reference logits can hold are left out.
    Evaluator(std::shared_ptr<const run::LanguageModel> model, core::Pool& pool, measure::Store& store, const FitText& text, const FitOptions& options,
              const compress::Importance& importance, const std::vector<Group>& groups);

    /// Mean KL divergence per scored token, in nats, of the model with this assignment; for an encoder the mean cosine distance.
    double divergence(const Assignment& assignment);
    /// True if divergence(assignment) would be answered from the store.
    bool known(const Assignment& assignment) const;
    /// The weight of group `g` in its choice `c`, encoded (or kept from before).
    core::Tensor encoded(std::size_t g, int c);
    /// Seconds one evaluation took, on average; 0 before the first.
    double seconds_each() const { return evaluations_ ? seconds_ / static_cast<double>(evaluations_) : 0; }
    std::int64_t evaluations() const { return evaluations_; }

  private:
    std::string key(const Assignment& assignment) const;
    void put_in_place(const Assignment& assignment);
    void compute_reference();
    double measure();

    std::shared_ptr<const run::LanguageModel> model_;
    core::Pool& pool_;
    measure::Store& store_;
    const FitOptions& options_;
    const compress::Importance& importance_;
    const std::vector<Group>& groups_;
    run::Windows windows_;
    std::string base_key_;
    run::Session session_;
    Assignment current_;                  ///< what the session holds
    std::vector<float> reference_;        ///< answers to all scored tokens
    struct Encoded {
        std::size_t group;
        int choice;
        core::Tensor tensor;
    };
    std::list<Encoded> cache_;            ///< most recently used first
    std::uint64_t cache_bytes_ = 0;
    std::int64_t evaluations_ = 0;
    double seconds_ = 0;
};

/// A fingerprint of a model's weights: names, shapes, formats and the first bytes of every tensor.
std::string model_fingerprint(const run::LanguageModel& model);

}  // namespace tailor::search
