// Optimizers: how a gradient moves the weights.
//
// An optimizer is one file src/train/optimizers/<name>.cpp that defines `extern const Optimizer <name>` in namespace
// tailor::train::optimizers::entries. It is a pure function of what it is given: whatever it remembers from step to step lies in State,
// whose parts it declares, so that memory, checkpoints and reports need not know it. Weights and gradients are f32, every tensor by
// itself, in chunks whose borders do not depend on the number of threads.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/pool.h"
#include "core/tensor.h"
#include "cpu/isa.h"

namespace tailor::train::optimizers {

/// One tensor that is trained.
struct Parameter {
    std::string name;  ///< "blk.0.attn_q.weight"
    core::Shape shape;

    std::int64_t numbers() const { return shape.elements(); }
    /// Norms and biases are not.
    bool is_matrix() const { return shape.rank() >= 2 && shape.rows() > 1 && shape.width() > 1; }
    /// The last two dimensions of a matrix, and how many such matrices lie one after the other (experts).
    std::int64_t rows() const { return shape[shape.rank() - 2]; }
    std::int64_t columns() const { return shape.width(); }
    std::int64_t matrices() const { return numbers() / (rows() * columns()); }
};

/// Memory that an optimizer wants for a tensor; it begins as zeros.
struct StatePart {
    std::string_view name;  ///< "mean"
    std::int64_t bytes = 0;
};

/// What an optimizer remembers of one tensor: a block of bytes per part, in the order of its declaration.
class State {
  public:
    explicit State(std::span<const StatePart> parts);
    /// Part `i` as numbers of type T.
    template <class T>
    T* part(std::size_t i) {
        return reinterpret_cast<T*>(parts_[i].get());
    }
    std::size_t count() const { return parts_.size(); }
    std::string_view name(std::size_t i) const { return names_[i]; }
    std::span<std::byte> bytes(std::size_t i) { return {parts_[i].get(), sizes_[i]}; }

    /// From here on the bytes lie in files without names in `folder` (empty: where such files go), mapped into memory, and rest() takes
    /// them out of memory until they are touched again. Throws Error(io) naming the folder if there is no room.
    void move_to_disk(const std::string& folder);
    void rest();

  private:
    std::vector<std::string_view> names_;
    std::vector<std::shared_ptr<std::byte>> parts_;
    std::vector<std::size_t> sizes_;
    bool on_disk_ = false;
};

/// One tensor at one step.
struct Update {
    const Parameter& parameter;
    float* weights;
    const float* gradient;
    double gradient_scale;  ///< the gradient counts times this (clipping)
    double rate, weight_decay;
    std::int64_t step;  ///< from 1
    State& state;
    core::Pool& pool;
    cpu::Isa isa;
};

struct Optimizer {
    std::string_view name;    ///< "adamw"
    std::string_view doc;     ///< one sentence
    double rate = 0;          ///< a peak of the rate that suits most models
    double weight_decay = 0;  ///< likewise, of matrices
    bool by_number = false;   ///< parts of whole chunks of a tensor may be moved apart from each other, each with a state of its own
    std::vector<StatePart> (*state)(const Parameter& parameter) = nullptr;
    /// Moves the weights; all numbers given are finite. The same bits for any number of threads.
    void (*update)(const Update& update) = nullptr;
};

/// Numbers of a chunk: 64 KB of each stream, few enough that a small tensor keeps two threads busy; a multiple of every block.
inline constexpr std::int64_t chunk = 16384;

/// Calls body(begin, end) for every chunk of `numbers`, in parallel.
template <class Body>
void for_chunks(core::Pool& pool, std::int64_t numbers, const Body& body) {
    pool.run((numbers + chunk - 1) / chunk, [&](std::int64_t c, int) { body(c * chunk, (c + 1) * chunk < numbers ? (c + 1) * chunk : numbers); });
}

}  // namespace tailor::train::optimizers
