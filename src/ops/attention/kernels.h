// What the kernels of attention share: which keys a row sees and what is done to scores.
#pragma once
#include <algorithm>
#include <cmath>

#include "formats/format.h"
#include "ops/op.h"

namespace tailor::ops::attention_kernels {

/// The widest head, of keys or of values: bounds every buffer on the stack.
inline constexpr std::int64_t most_head_dim = 576;

/// Rows up to which `split_kernel` is used; see attention.cpp.
inline constexpr std::int64_t few_rows = 4;

/// The definition, for all of these kernels.
void reference(const Call& call);
/// For prompts: blocks of queries against tiles of keys.
extern const cpu::PerIsa<Run> tiled_kernel;
/// For a few rows per sequence: each row against parts of its context, merged afterwards.
extern const cpu::PerIsa<Run> split_kernel;

/// Positions [begin, end) of keys.
struct Keys {
    std::int64_t begin, end;
};

/// Which keys rows see, from the node's attributes:
///   causal   1 (default): none after the row; 0: all of the row's sequence, as encoders do;
///   window   w > 0: of those at most w, the row's own included (Beltagy et al., "Longformer", 2020);
///   chunk    c > 0: of those the ones in the row's own chunk of c positions (Llama 4);
///   cross    1: all that an encoder left for the row's sequence, as many as state 2 says; the call brings none.
class Mask {
  public:
    explicit Mask(const Call& call) : causal_(call.attributes.integer("causal", 1) != 0), window_(call.attributes.integer("window", 0)), chunk_(call.attributes.integer("chunk", 0)) {
        if (call.attributes.integer("cross", 0)) lengths_ = call.states[2].row_f32(0);
    }

    /// What row `row` of the call sees. Keys that the call itself brings are in the cache by then.
    Keys of(const Batch& batch, std::int64_t row) const {
        const std::int64_t position = batch.positions[static_cast<std::size_t>(row)];
        if (lengths_) return {0, static_cast<std::int64_t>(lengths_[batch.sequences[static_cast<std::size_t>(row)]])};
        Keys keys{0, position + 1};
        if (!causal_)
            for (std::size_t r = 0; r < batch.positions.size(); ++r)
                if (batch.sequences[r] == batch.sequences[static_cast<std::size_t>(row)]) keys.end = std::max<std::int64_t>(keys.end, batch.positions[r] + 1);
        if (window_ > 0) keys.begin = std::max<std::int64_t>(keys.begin, position + 1 - window_);
        if (chunk_ > 0) keys.begin = std::max<std::int64_t>(keys.begin, position / chunk_ * chunk_);
        return keys;
    }

  private:
    bool causal_;
    std::int64_t window_, chunk_;
    const float* lengths_ = nullptr;  ///< per sequence
};

/// What is done to a score between the product of query and key and the softmax, in this order:
///   softcap   c > 0: s becomes c tanh(s / c) (Gemma 2);
///   alibi     m > 0: slope(h) (j - p) is added for a key at j and a row at p (Press et al., 2022), where the slopes are the powers
///             of 2^(-m / n), n the largest power of two within the heads, then the odd powers of its square root;
///   bias      input 4, f32 [heads, 2 d + 1]: bias[h][clamp(j - p, -d, d) + d] is added (T5's relative positions, by distance).
/// Input 3, f32 [heads], are sinks: one more score per head that takes part in the softmax and has no value (gpt-oss).
struct Scoring {
    float softcap, alibi;
    std::int64_t heads, most_distance = 0;
    const float *sinks = nullptr, *bias = nullptr;

    explicit Scoring(const Call& call)
        : softcap(static_cast<float>(call.attributes.real("softcap", 0))), alibi(static_cast<float>(call.attributes.real("alibi", 0))), heads(call.attributes.integer("heads")) {
        if (const core::Tensor* const tensor = call.input(3)) sinks = tensor->row_f32(0);
        if (const core::Tensor* const tensor = call.input(4)) bias = tensor->row_f32(0), most_distance = tensor->shape.width() / 2;
    }
    bool changes_scores() const { return softcap > 0 || alibi > 0 || bias; }
    float slope(std::int64_t head) const {
        if (!(alibi > 0)) return 0;
        const auto n = static_cast<std::int64_t>(1) << static_cast<int>(std::floor(std::log2(static_cast<double>(heads))));
        const double exponent = head < n ? static_cast<double>(head + 1) : (static_cast<double>(head - n) + 0.5);
        return static_cast<float>(std::exp2(-static_cast<double>(alibi) / static_cast<double>(n) * exponent));
    }
    float bias_at(std::int64_t head, std::int64_t distance) const {
        return bias[head * (2 * most_distance + 1) + std::clamp(distance, -most_distance, most_distance) + most_distance];
    }
};

}  // namespace tailor::ops::attention_kernels
