// Model families: what turns metadata and weights into a graph.
//
// A family is one file src/models/<name>.cpp that defines `extern const Model <name>` in namespace
// tailor::models::entries. Its build function reads the configuration from metadata and adds nodes through a Builder, so
// that it reads like the paper. Weights are asked for by their names in GGUF with the shape the family expects; a tensor
// of the file that no family line asked for is an error, because a weight that is ignored means a wrong model.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "files/adapter.h"
#include "files/file.h"
#include "graph/graph.h"

namespace tailor::models {

using graph::Value;

/// The weights of a model by name: views into a file, or tensors put in their place.
class Weights {
  public:
    /// All tensors of `file`, which must outlive them; they are read when first asked for.
    explicit Weights(const files::File& file);
    /// An empty tensor when there is none of this name, and none that make_missing()'s maker gives for a rank of 0.
    core::Tensor find(std::string_view name) const;
    /// Puts another tensor in the place of one of the same shape.
    void replace(std::string_view name, core::Tensor tensor);
    /// Drops a tensor that was read, and the pages of the file behind it; the next find() reads it again.
    void forget(std::string_view name) const;
    /// Has build() add this adapter to every graph of these weights (models/adapter.h); find() then knows its matrices by name.
    void adapt(std::shared_ptr<const files::Adapter> adapter) { adapter_ = std::move(adapter); }
    const std::shared_ptr<const files::Adapter>& adapter() const { return adapter_; }
    const files::File& file() const { return *file_; }

    /// Answers for weights that the file lacks: their name, the shape that the family wants (of rank 0 where that is the weight's to say) and
    /// whether the family can do without. An empty tensor: there is none.
    using Maker = std::function<core::Tensor(const std::string& name, const core::Shape& shape, bool optional)>;
    /// Asks `make` for what is missing from now on.
    void make_missing(Maker make) { make_ = std::move(make); }
    /// Collects the metadata keys that families read from now on in `keys`; null: no longer.
    void note_keys(std::set<std::string>* keys) { noted_ = keys; }
    void note_key(const std::string& key) const {
        if (noted_) noted_->insert(key);
    }
    /// As find(); if there is none, what make_missing() was given makes.
    core::Tensor find_or_make(const std::string& name, const core::Shape& shape, bool optional) const;

  private:
    const files::File* file_;
    Maker make_;
    std::set<std::string>* noted_ = nullptr;
    mutable std::map<std::string, core::Tensor, std::less<>> tensors_;
    std::shared_ptr<const files::Adapter> adapter_;
};

/// What a family builds with. `rows` tokens go in; logits for `wanted_rows` of them come out.
class Builder {
  public:
    /// `context`: positions a sequence may hold, where that changes a model (long rope factors); 0: what it was made for.
    Builder(const Weights& weights, std::int64_t rows, std::int64_t wanted_rows, std::int64_t context = 0);

    graph::Graph graph;
    Value token_ids;    ///< i32 [rows], input "token_ids"
    Value positions;    ///< i32 [rows], input "positions"
    Value wanted;       ///< i32 [wanted_rows], input "wanted_rows": indices of rows
    const files::Metadata& metadata;
    std::int64_t context;  ///< positions a sequence may hold

    /// "<architecture>.<key>" of the metadata, as Metadata::integer and real.
    std::int64_t integer(std::string_view key) const;
    std::int64_t integer(std::string_view key, std::int64_t fallback) const;
    double real(std::string_view key) const;
    double real(std::string_view key, double fallback) const;
    std::string_view word(std::string_view key, std::string_view fallback) const;
    bool boolean(std::string_view key, bool fallback) const;
    /// One integer (or truth value) per layer: an array of `layers` items, or one number that holds for all; `fallback` for
    /// all if the key is missing. Error(format) for an array of another length.
    std::vector<std::int64_t> integers(std::string_view key, std::int64_t layers, std::int64_t fallback) const;
    bool is_array(std::string_view key) const;

    /// The weight `name`; Error(format) if it is missing or has another shape.
    Value weight(const std::string& name, core::Shape shape);
    /// graph::absent if it is missing.
    Value optional_weight(const std::string& name, core::Shape shape);
    /// The weight `name` seen in another shape of as many values: files hold vectors as [n], [n, 1] or [1, 1, n].
    Value weight_as(const std::string& name, core::Shape shape);
    /// Part `index` of the `parts` equal ones of a weight that holds several in a row, each of `shape`.
    Value weight_part(const std::string& name, std::int64_t parts, std::int64_t index, core::Shape shape);
    bool has(const std::string& name) const { return static_cast<bool>(weights_.find(name)); }
    /// Rows of the matrix `name`; Error(format) if it is missing.
    std::int64_t rows_of(const std::string& name) const;
    /// x W^T s + b with `name`.weight [outputs, width of x] and, if the file has them, `name`.scale [1] and `name`.bias [outputs].
    Value linear(Value x, const std::string& name, std::int64_t outputs);
    /// RMSNorm of x, or of each group of `group` columns (a head), with `name`.weight: [width of x], or for groups [group]
    /// shared by all of them or [groups, group].
    Value rms_norm(Value x, const std::string& name, double epsilon, std::int64_t group = 0);
    /// The same with the mean taken off first, and `name`.bias if the file has it.
    Value layer_norm(Value x, const std::string& name, double epsilon, std::int64_t group = 0);

    /// Says that the tensors whose names begin so are known and have no part in the network that is built.
    void leave_out(std::string_view prefix);

    /// Throws Error(unsupported) naming the first tensor of the file that was never asked for.
    void require_all_used() const;

  private:
    std::string key(std::string_view name) const;
    Value checked(const std::string& name, const core::Tensor& tensor, const core::Shape& shape);
    core::Tensor reshaped(const std::string& name, std::int64_t parts, std::int64_t index, core::Shape shape);
    Value norm(std::string_view op, Value x, const std::string& name, double epsilon, std::int64_t group);
    const Weights& weights_;
    std::string architecture_;
    std::set<std::string, std::less<>> used_;
};

struct Model {
    std::string_view name;
    std::span<const std::string_view> architectures;  ///< values of general.architecture
    std::string_view doc;
    /// Adds the whole network and returns the logits [wanted_rows, vocabulary].
    Value (*build)(Builder& builder);
    /// An encoder: build() returns a vector per row instead of logits, and all rows of a text come in one step.
    bool encodes = false;
    /// Of a family that reads a text before it writes another: adds the network that reads token_ids, with the nodes "remember" that it
    /// ends in as outputs. Null for all others.
    void (*build_encoder)(Builder& builder) = nullptr;
};

}  // namespace tailor::models
