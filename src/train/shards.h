// Who moves which weights where several processes train one model, and what each of them remembers.
//
// Every process holds all weights, but remembers, and adds up gradients of, its own share alone: of n processes each keeps an n-th of what the
// optimizer needs, and the step is worked on by all of them (Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training
// Trillion Parameter Models", 2020, sections 5.1 and 5.2, stages 1 and 2). An optimizer that works number by number has its tensors laid
// end to end and cut into n parts of equal size, at borders of chunks, so that blocks stay whole; one that needs whole matrices (Muon,
// Adafactor) has whole tensors dealt out, the largest first, each to whom has least: at most 4/3 of the best balance (Graham,
// "Bounds on Multiprocessing Timing Anomalies", 1969, theorem 2). A checkpoint holds the tensors' states whole, as one process writes them,
// so that any number of processes can go on from it.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "train/checkpoint.h"
#include "train/optimizers/optimizer.h"
#include "train/workers.h"

namespace tailor::train {

/// A range of one tensor's numbers, and the process that moves it.
struct Shard {
    std::size_t tensor = 0;
    std::int64_t begin = 0, count = 0;
    int owner = 0;
};

/// Shards of all tensors, in the order of tensors and of their numbers; an owner has at most one of a tensor.
std::vector<Shard> share_out(std::span<const optimizers::Parameter> parameters, bool by_number, int owners);

class Shares {
  public:
    /// What this process moves and remembers of one tensor.
    struct Share {
        Shard shard;
        optimizers::Parameter parameter;  ///< as the optimizer sees it: the tensor itself where the shard is all of it
        optimizers::State state;
    };

    /// `workers` must outlive this.
    Shares(std::span<const optimizers::Parameter> parameters, const optimizers::Optimizer& optimizer, Workers& workers);
    std::span<Share> own() { return own_; }

    /// The own shards of f32 tensors, as views, in the order of own().
    std::vector<core::Tensor> parts(std::span<const core::Tensor> tensors) const;
    /// The own shards of `gradients` become the sums over all processes; their other numbers are lost.
    void sum(std::span<const core::Tensor> gradients);
    /// All weights become those of their owners.
    void spread(std::span<const core::Tensor> weights);

    /// What is remembered of a tensor, one piece per part of its state: the own bytes to restore(), and for the first process a way to
    /// gather all of them while a checkpoint is written, in the order of pieces. The others must call send() meanwhile.
    std::vector<Piece> pieces(std::size_t tensor);
    void send();

  private:
    Share* own_of(std::size_t tensor);
    std::size_t state_bytes(std::size_t tensor, std::int64_t count, std::size_t part) const;
    std::span<const std::byte> gather(std::size_t tensor, std::size_t part);

    std::vector<optimizers::Parameter> parameters_;
    const optimizers::Optimizer& optimizer_;
    Workers& workers_;
    std::vector<Shard> shards_;  ///< of all processes
    std::vector<Share> own_;
    std::vector<std::byte> gathered_;  ///< one part of a tensor's state
};

}  // namespace tailor::train
