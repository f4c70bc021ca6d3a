// A model of any family that has not been trained yet: metadata from a few sizes, tensors by asking the family.
//
// The sizes answer every key that families read. The family is then built once with weights that are made as they are asked for, each
// with the shape it was asked with (Weights::make_missing), so a family says nothing more for its models to be made than it says to be
// run. Numbers are zeros: the training gives them their first values (train/initial.h).
#pragma once
#include <map>
#include <memory>
#include <string>

#include "files/file.h"

namespace tailor::models {

/// What a model is made of. A 0 takes the value that follows from the others.
struct Sizes {
    std::int64_t vocabulary = 0;         ///< tokens; must be stated
    std::int64_t context = 256;          ///< positions that the model is made for
    std::int64_t layers = 8, width = 256;
    std::int64_t heads = 0;              ///< of attention or linear attention; width / 32
    std::int64_t kv_heads = 0;           ///< half of the heads
    std::int64_t ffn = 0;                ///< three times the width
    std::int64_t experts = 0;            ///< 8 in families whose name holds "moe" and in gpt-oss, otherwise none
    std::int64_t experts_used = 0;       ///< 2
    std::int64_t expert_ffn = 0;         ///< ffn / experts_used: as many operations per token as without experts
    std::int64_t state = 16;             ///< numbers of state per column of a state space, of Mamba: Gu and Dao, 2023, section 4.2
    std::int64_t inner = 0;              ///< columns of a state space; twice the width
    std::int64_t taps = 4;               ///< rows that a short convolution sees
    std::int64_t step_rank = 0;          ///< rank of a state space's step, or its heads; width / 16, at least 1
    double rope_base = 10000;
    double epsilon = 1e-5;               ///< of the norms
    bool tied = false;                   ///< the output matrix is the embedding
};

/// The sizes with every 0 replaced. Throws Error(usage) naming the first that cannot be.
Sizes completed(const std::string& architecture, Sizes sizes);

/// Metadata of a model of this architecture, all keys that families read from sizes, whether this one does or not.
files::Metadata describe(const std::string& architecture, const Sizes& sizes);

/// A model in memory whose tensors are what its family asks for.
class NewModel : public files::File {
  public:
    using Shapes = std::map<std::string, core::Shape>;

    /// `metadata` as describe() gives it, with whatever keys the caller adds; of its keys of the architecture those stay that the family reads. `beforehand`: tensors by which a family sees what it is to be, such as routers. Throws what the family says of sizes that it cannot have, Error(unsupported) listing the
    /// known architectures for an unknown one.
    NewModel(std::string path, files::Metadata metadata, const Sizes& sizes, const Shapes& beforehand);

    /// f32 zeros, one memory for all calls until release().
    core::Tensor read(const files::TensorInfo& tensor) const override;
    void release(const files::TensorInfo& tensor) const override { data_.erase(tensor.name); }
    std::uint64_t bytes() const override;

  private:
    void build_once();
    core::Tensor make(const std::string& name, const core::Shape& shape, bool optional);
    core::Tensor add(const std::string& name, const core::Shape& shape);

    Sizes sizes_;
    mutable std::map<std::string, core::Tensor> data_;  ///< made when first read
};

/// A new model whose metadata is describe()'s and `more`: keys as they are, or of the architecture ("attention.sliding_window"). Throws
/// Error(usage) naming a key of the architecture that its family does not read.
std::unique_ptr<NewModel> make_new_model(const std::string& architecture, const Sizes& sizes, const files::Metadata& more = {});

}  // namespace tailor::models
