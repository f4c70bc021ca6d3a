// A session: a model with the memory of its running sequences.
//
// It owns the states (KV caches) of one or more sequence slots, one arena for intermediate values, and the plans made so
// far, one per number of rows. Each call to evaluate() appends tokens to one sequence. After the first step of a size,
// evaluating allocates nothing.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "graph/plan.h"
#include "run/kv_budget.h"
#include "run/language_model.h"

namespace tailor::run {

struct SessionOptions {
    std::int64_t context = 0;  ///< positions per slot; 0: what the model was made for, at most 4096
    std::int64_t slots = 1;
    std::int64_t batch = 512;  ///< most tokens of one plan; longer prompts are cut into chunks
    std::string kv_format = "f32";
    cpu::Isa isa = cpu::active_isa();
    bool use_reference = false;  ///< every node by its double-precision definition: slow
    bool fast = false;           ///< also kernels that add an error of up to 2 % of the largest value of their result
    bool pack = true;            ///< put weights in panels before the first step; else they run from the file as they are
    KvBudgetOptions kv_budget;   ///< a cache of fewer entries than the context; only with one slot
    /// Changes the graph of each step after the family has built it; empty: as it is. Its constants must outlive the session.
    std::function<graph::Graph(const graph::Graph& graph)> rewrite;
    /// A session of a model whose first layers this one's are: they share the memory of the states that both have, so that what one
    /// has evaluated the other need not. It must have the same context, slots and KV format, have evaluated something, and outlive
    /// this session; see follow().
    const class Session* lender = nullptr;
    graph::Preference preference;  ///< among kernels; empty: as their lists say

    /// What its plans ask of kernels; the memory of states is left open.
    graph::PlanOptions planning() const;
};

class Session {
  public:
    /// The model and the pool must outlive the session. Throws Error(usage) for a context or KV format that cannot be.
    Session(std::shared_ptr<const LanguageModel> model, core::Pool& pool, SessionOptions options);

    const LanguageModel& model() const { return *model_; }
    std::shared_ptr<const LanguageModel> shared_model() const { return model_; }
    const SessionOptions& options() const { return options_; }
    std::int64_t context() const { return options_.context; }
    /// Tokens evaluated in a slot since its last reset.
    std::int64_t past(std::int64_t slot = 0) const { return past_[static_cast<std::size_t>(slot)]; }
    /// Forgets the sequence of a slot.
    void reset(std::int64_t slot = 0);
    /// Forgets what follows the first `tokens` of a slot and returns how many stay: `tokens`, or 0 if the model has a
    /// state that cannot go back (recurrent families keep a summary of all tokens, not the tokens).
    std::int64_t keep(std::int64_t tokens, std::int64_t slot = 0);
    /// True if keep() can keep any number of tokens.
    bool goes_back();

    /// What must be copied to come back to a place in a sequence.
    struct Checkpoint {
        std::int64_t past = 0;
        std::vector<std::byte> bytes;  ///< of the states that cannot go back; empty if all can
    };
    /// Remembers where a slot stands. Until restore() tokens may only be added behind it.
    void save(Checkpoint& checkpoint, std::int64_t slot = 0);
    void restore(const Checkpoint& checkpoint, std::int64_t slot = 0);
    /// For a session with a lender: its states hold the first `tokens` of the lender's slot.
    void follow(std::int64_t tokens, std::int64_t slot = 0);

    /// Reads a text for a family with an encoder (models::Model::build_encoder): what the slot writes from now on depends on it. Forgets
    /// the sequence of the slot. Throws Error(usage) if the text is longer than the context, or the family has no encoder.
    void encode(std::span<const text::TokenId> ids, std::int64_t slot = 0);
    /// The token that such a family begins to write with.
    text::TokenId first_written() const;

    /// Appends tokens in one batch and returns the logits [wanted, vocabulary] of the last `wanted` of them, valid until
    /// the next call. Throws Error(usage) when the context is full or an id is outside the vocabulary.
    const core::Tensor& evaluate(std::span<const text::TokenId> ids, std::int64_t wanted = 1, std::int64_t slot = 0);
    /// Appends one token to each of the first ids.size() slots in one batch; their logits [slots, vocabulary].
    const core::Tensor& evaluate_slots(std::span<const text::TokenId> ids);
    /// Appends any number of tokens in chunks of options().batch; the logits [1, vocabulary] of the last one. Throws Error(usage) before the
    /// first chunk if they do not fit the context, Error(interrupted) between two.
    const core::Tensor& prefill(std::span<const text::TokenId> ids, std::int64_t slot = 0);
    /// Told by prefill() of tokens that are done, of all: 0 before the first chunk, all after the last.
    void set_progress(std::function<void(std::int64_t done, std::int64_t total)> progress) { progress_ = std::move(progress); }

    /// The plan for this many rows, made if it is new; for --explain, --check, timing and swapping weights.
    graph::Plan& plan(std::int64_t rows, std::int64_t wanted);
    /// Puts another tensor in a weight's place in every plan made so far and to come.
    void set_weight(std::string_view name, const core::Tensor& tensor);
    /// For tools that time, check or observe: called instead of Plan::run when it is not empty.
    using Runner = std::function<void(graph::Plan& plan, const ops::Batch& batch)>;
    void set_runner(Runner runner) { runner_ = std::move(runner); }

    /// Times that entries were dropped from the cache since the session was made.
    std::int64_t evictions() const { return budget_ ? budget_->evictions() : 0; }
    /// Bytes of all states; of the arena.
    std::uint64_t state_bytes() const;
    std::uint64_t arena_bytes() const { return static_cast<std::uint64_t>(arena_size_); }

  private:
    struct Planned {
        std::int64_t rows, wanted;  ///< wanted < 0: the encoder's
        std::unique_ptr<graph::Plan> plan;
        std::uint64_t last_used = 0;
    };
    void pack_weights();
    std::vector<core::Tensor> one_way_states(std::int64_t slot);
    core::Tensor state_memory(const std::string& key, const formats::Format& format, const core::Shape& shape) const;
    void require_room(std::int64_t tokens, std::int64_t slot) const;
    void append_row(std::int64_t row, text::TokenId id, std::int64_t slot);
    graph::Graph graph_of(std::int64_t rows, std::int64_t wanted) const;
    const core::Tensor& evaluate_in_budget(std::span<const text::TokenId> ids, std::int64_t wanted);
    const core::Tensor& step(std::int64_t rows, std::int64_t wanted);
    void bind(graph::Plan& plan);
    void grow_arena(std::int64_t bytes);

    std::shared_ptr<const LanguageModel> model_;
    core::Pool& pool_;
    SessionOptions options_;
    models::Weights weights_;
    std::vector<Planned> plans_;
    std::uint64_t uses_ = 0;
    std::vector<std::pair<std::string, core::Tensor>> states_;
    core::Tensor arena_;
    std::int64_t arena_size_ = 0;
    std::vector<std::int64_t> past_;
    std::vector<std::string> one_way_;  ///< keys of states that are no cache with one entry per position
    std::unique_ptr<KvBudget> budget_;  ///< null: a place in the cache for each position
    core::Tensor gathered_;             ///< logits of several steps
    std::vector<std::int32_t> ids_, positions_, places_, sequences_, wanted_rows_;  ///< places: in the cache
    Runner runner_;
    std::function<void(std::int64_t, std::int64_t)> progress_;
};

}  // namespace tailor::run
