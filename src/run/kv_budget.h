// A KV cache that holds fewer entries than the text has tokens.
//
// The softmax of attention is over a set: where an entry stands in the cache does not matter, only which are there, since keys are turned
// by the position of their token before they are stored. So tokens keep their positions, and entries are counted on their own: a row is
// written behind the entries there are, and sees them and itself. When the cache is full, an eighth of it (at most 32 entries) is dropped
// at once, as the policy says (run/evictions/), for each kv head of each layer by itself; the holes are filled with entries from the end.
//
// A policy that weighs gets the attention mass of each entry: the queries of the steps since the last eviction are kept, and their shares
// computed when entries must go, so that steps in between pay only for copying queries. A step takes no more rows than an eviction drops.
//
// Only for attention that does not look at distances by place: windows, chunks, ALiBi and relative biases are refused.
#pragma once
#include <string>
#include <vector>

#include "graph/plan.h"
#include "run/evictions/policy.h"

namespace tailor::run {

struct KvBudgetOptions {
    std::int64_t entries = 0;  ///< most entries of each kv head; 0: one per token of the context
    std::string policy = "heavy-hitters";
};

class KvBudget {
  public:
    /// `graph`: of the model, for one row. Throws Error(usage) for a budget below 16 entries or an unknown policy, Error(unsupported)
    /// naming the node whose attention cannot lose entries.
    KvBudget(const graph::Graph& graph, const KvBudgetOptions& options);

    std::int64_t capacity() const { return capacity_; }
    /// Most rows of a step.
    std::int64_t most_rows() const { return dropped_; }
    /// Where the next row is written.
    std::int64_t entries() const { return entries_; }
    std::int64_t evictions() const { return evictions_; }
    /// True if observe() is wanted.
    bool weighs() const { return policy_->weighs; }

    using States = std::vector<std::pair<std::string, core::Tensor>>;
    /// Drops entries if `rows` more have no room; `states` by their keys, as the session has them.
    void make_room(std::int64_t rows, const States& states, core::Pool& pool, cpu::Isa isa);
    /// Counts the rows of a step that is about to run; the first is token `position` of the text.
    void append(std::int64_t rows, std::int64_t position);
    /// To be called before each node of such a step: keeps the queries of attention.
    void observe(const graph::Node& node, std::span<const core::Tensor> inputs);
    /// Forgets all entries; or the latest `rows`, which must have been appended since the last eviction: false, and nothing changes, if
    /// they were not.
    void reset();
    bool forget(std::int64_t rows);

  private:
    struct Head {
        std::vector<std::int32_t> positions;
        std::vector<float> mass;
    };
    struct Layer {
        std::string name;  ///< of the attention node
        std::int64_t heads, kv_heads;
        float scale;
        std::vector<Head> kv;
        std::vector<float> queries;  ///< [rows since the last eviction][heads * width]
    };
    void evict_from(Layer& layer, std::int64_t kv_head, const core::Tensor& keys, const core::Tensor& values, cpu::Isa isa) const;

    const evictions::EvictionPolicy* policy_;
    std::int64_t capacity_, dropped_, entries_ = 0, unweighed_ = 0, evictions_ = 0;
    std::vector<Layer> layers_;
};

}  // namespace tailor::run
