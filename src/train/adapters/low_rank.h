// Training adapters: an objective that freezes the model and trains two small matrices beside each of its weights.
//
// Frozen weights stay in the file's format, mapped or packed: there is no copy in f32, and no optimizer keeps anything of them. What a
// step holds beside them are activations, the small matrices, their gradients and moments.
#pragma once
#include <memory>
#include <string>

#include "files/adapter.h"
#include "train/adapters/registry.h"
#include "train/objective.h"

namespace tailor::train::adapters {

struct LowRankOptions {
    const AdapterKind* kind = nullptr;
    std::int64_t rank = 0;         ///< 0: the kind's own
    double alpha = 0;              ///< 0: twice the rank
    std::string targets = "all";   ///< parts of names, "attn,ffn_down"; "all": every matrix of the layers
    std::uint64_t seed = 1;        ///< of A; B begins as zeros
};

class LowRank : public Objective {
  public:
    explicit LowRank(LowRankOptions options);

    /// Only the matrices of the adapter.
    bool trains(std::string_view weight) const override;
    /// Makes a pair for each weight that is meant, and adds their products. Throws Error(usage) naming what there is if none is. Called
    /// again, for another graph of the same model, it adds the same pairs.
    graph::Graph prepare(graph::Graph built) override;
    /// "lora of rank 16, alpha 32, beside all".
    std::string identity() const override;

    /// What has been learned, as it is trained: f32.
    const files::Adapter& adapter() const { return adapter_; }
    /// As it goes into a file or a merged model: `kind` applied.
    files::Adapter finished() const;
    std::int64_t parameters() const;

  private:
    void make_pairs(const graph::Graph& built);
    LowRankOptions options_;
    files::Adapter adapter_;
};

}  // namespace tailor::train::adapters
