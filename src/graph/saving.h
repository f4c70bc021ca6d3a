// What a training step keeps of the way forth for the way back.
//
// A graph with its gradients is one list of nodes: those before `turn` are the way forth, the rest the way back, and a value that both
// read lies in memory in between, which is most of what a training holds. Here that is a choice for every such value, made by policies
// (policies/policy.h): leave it, compute it anew (Griewank and Walther, "Revolve", 2000; Chen et al., "Training Deep Nets with Sublinear
// Memory Cost", 2016), or put it by in another form. The result is a graph again, so that the plan that places its values says what was
// gained. What is computed anew stands right before its first reader, and is shared by all of them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace tailor::graph {

namespace policies {
struct Policy;
}

/// A value of the way forth that the way back reads.
struct SavedValue {
    Value value = absent;
    std::int64_t bytes = 0;
    Value last_forth = absent;  ///< the last node of the way forth that reads it; the value itself if there is none
    Value first_back = absent;  ///< the first node of the way back that reads it
    bool idle = false;          ///< other nodes run between these two: memory can be gained
};

/// A graph and its gradients, which begin at node `turn`, with what lies between them.
struct TrainingGraph {
    TrainingGraph(const Graph& graph, Value turn);

    const Graph& graph;
    Value turn;
    std::vector<SavedValue> saved;
    /// The nodes of the way back that read a value.
    std::vector<std::vector<Value>> back_readers;
};

/// The policy of each value of the way forth; null where none was chosen: the value is kept if the way back reads it.
using Choices = std::vector<const policies::Policy*>;

/// A file without a name for values that do not stay in memory; it is gone when the last owner is, however the process ends.
class SpillFile {
  public:
    /// In `folder`, or the system's folder for such files if it is empty. Throws Error(io) naming the folder.
    explicit SpillFile(const std::string& folder);
    ~SpillFile();
    SpillFile(const SpillFile&) = delete;
    SpillFile& operator=(const SpillFile&) = delete;

    int descriptor() const { return descriptor_; }
    /// Room for `bytes` more; the space is taken on the disk at once, so that no write can run out of it. Throws Error(io) when it is full.
    std::int64_t reserve(std::int64_t bytes);
    std::int64_t bytes() const { return bytes_; }

  private:
    std::string folder_;
    int descriptor_ = -1;
    std::int64_t bytes_ = 0;
};

/// Where policies put values: the file is made when the first one asks.
struct Shelf {
    std::string folder;
    std::shared_ptr<SpillFile> file;
};

/// The graph in which every value comes to the way back as chosen. A `shelf` of nullptr is for estimates: such a graph must not run.
Graph with_choices(const TrainingGraph& training, const Choices& choices, Shelf* shelf);

/// Bytes that the nodes of a graph want at once, where they want most.
std::int64_t peak_bytes(const Graph& graph);
/// Seconds that a machine of a hundred GFLOP/s and ten GB/s wants for a graph: only good for comparing.
double estimated_seconds(const Graph& graph);

struct SavingOptions {
    std::string policies = "keep";   ///< names, separated by commas: a value goes to the first that takes it, or is kept
    std::int64_t budget_bytes = 0;   ///< above 0: no more of this than needed to stay below so many bytes; with "keep", recompute is meant
    std::int64_t loss_rows = 0;      ///< above 0: the output matrix and the loss so many rows at a time (loss_chunks.h)
    std::string folder;              ///< for values on disk
};

/// A training graph ready to plan, and what was chosen.
struct Saving {
    Graph graph;
    std::shared_ptr<SpillFile> file;
    std::string summary;  ///< "52 values, 310 MiB: 40 int8, 12 keep"
};

/// Chooses for all values. Throws Error(usage) for a policy that is not there, or a budget that no choice keeps, naming the least that one does.
Saving save_values(const Graph& graph, Value turn, const SavingOptions& options);

}  // namespace tailor::graph
