// The schedule of expert_matmul; see grouped.h.
//
// A pair is a row of x with one of its experts. Pairs are sorted by expert, so that an expert's weights are read once, however
// many rows it serves, and not at all if it serves none. Gale et al., "MegaBlocks", 2022, replace padding by such grouping; here
// each group is an ordinary product by the kernels of matmul, whose every output is the same bits however rows and columns are
// cut. So the cutting is free to follow the threads:
//     an expert with `shared_rows` or more is multiplied by all threads together, one expert after the other;
//     the others side by side, one thread each, and cut into pieces of columns if they are fewer than the threads could use.
// Rows of an expert that stand at equal distances in x and in the result (one token; one head of many tokens) are used where they
// are. Others are gathered before and scattered after by the thread that multiplies them, so that they pass through its cache.
// Pairs are taken `wave_pairs` at a time, which bounds the memory.
#include "ops/expert_matmul/grouped.h"

#include <algorithm>
#include <cstring>

#include "formats/panels.h"
#include "formats/registry.h"
#include "ops/matmul/activations.h"
#include "ops/matmul/kernels.h"
#include "ops/support.h"

namespace tailor::ops::expert_matmul_kernels {

// Pairs gathered together: 4 MB of activations for rows of 2,048 values. An expert between two waves is decoded for each.
constexpr std::int64_t wave_pairs = 512;
// Rows from which one expert keeps all threads busy: 64 rows of a small expert, 768 x 2048, take about 0.3 ms of one core.
constexpr std::int64_t shared_rows = 64;
// Pieces of columns per expert, while there are few pairs; each rounds its rows of x once more, so it should be worth it:
// 256 KB of weights take 15 microseconds to read, rounding 2,048 values two to three.
constexpr std::int64_t most_pieces = 8, pieces_times_pairs = 64, least_piece_bytes = 256 << 10;

static std::int64_t round_up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

// Most scratch per row that a kernel of matmul needs: integers, k floats, or tiles, which come in sixteens of rows and are not used
// for fewer than sixteen.
static std::int64_t kernel_row_bytes(std::int64_t k) {
    return round_up(std::max({matmul_kernels::activation_bytes(1, k), k * 4, (matmul_kernels::tile_scratch_bytes(17, k) + 16) / 17}) + 64, 64);
}

static std::int64_t pieces_for(std::int64_t pairs) { return std::clamp<std::int64_t>(pieces_times_pairs / pairs, 1, most_pieces); }

/// Consecutive pairs of one expert; `first` counts within the wave.
struct Segment {
    std::int64_t expert, first, count;
};

/// Where things are in Call::scratch, in bytes from its start.
struct Places {
    std::int64_t order = 0;  ///< i32 [pairs]: sorted by expert, then as they come
    std::int64_t starts;     ///< i32 [experts + 1]: where each expert's pairs begin in `order`
    std::int64_t x;          ///< f32 [wave][pieces][k]: gathered rows, for each piece of columns its own
    std::int64_t y;          ///< f32 [wave][n]
    std::int64_t kernels;    ///< [wave][pieces][kernel_row_bytes]
    std::int64_t end;
};

static Places places(std::int64_t pairs, std::int64_t experts, std::int64_t n, std::int64_t k) noexcept {
    constexpr std::int64_t slack = 64;  // vector kernels may read past the end of a row
    const std::int64_t wave = std::min(pairs, wave_pairs);
    Places p{};
    p.starts = round_up(pairs * 4, 64);
    p.x = p.starts + round_up((experts + 1) * 4, 64);
    p.y = p.x + round_up(wave * pieces_for(pairs) * k * 4 + slack, 64);
    p.kernels = p.y + round_up(wave * n * 4 + slack, 64);
    p.end = p.kernels + wave * pieces_for(pairs) * kernel_row_bytes(k);
    return p;
}

std::int64_t grouped_scratch_bytes(std::int64_t pairs, std::int64_t experts, std::int64_t n, std::int64_t k) { return places(pairs, experts, n, k).end; }

core::Tensor expert_matrix(const core::Tensor& weight, std::int64_t e, std::int64_t first, std::int64_t count) noexcept {
    const std::int64_t n = weight.shape[1], k = weight.shape[2];
    core::Tensor matrix{.format = weight.format, .shape = {count, k}, .row_stride_bytes = weight.row_stride_bytes, .layout = weight.layout};
    if (weight.layout == core::Layout::rows) matrix.data = weight.row(e * n + first);
    else matrix.data = weight.data + e * formats::panels_bytes(*weight.format, {n, k}) + first / formats::panel_rows * formats::panel_bytes(*weight.format, k);
    return matrix;
}

namespace {

class Grouped {
  public:
    Grouped(const Call& call, const Products& products) noexcept
        : call_(call),
          products_(products),
          experts_(call.inputs[1].shape[0]),
          n_(call.inputs[1].shape[1]),
          k_(call.inputs[1].shape[2]),
          x_(formats::view(*call.inputs[0].format, {call.inputs[0].shape.elements() / k_, k_}, call.inputs[0].data)),
          y_(formats::view(*call.output.format, {call.output.shape.elements() / n_, n_}, call.output.data)),
          pairs_(y_.shape.rows()),
          repeats_(pairs_ / x_.shape.rows()),
          places_(places(pairs_, experts_, n_, k_)),
          order_(reinterpret_cast<std::int32_t*>(call.scratch + places_.order)),
          starts_(reinterpret_cast<std::int32_t*>(call.scratch + places_.starts)),
          gathered_x_(reinterpret_cast<float*>(call.scratch + places_.x)),
          gathered_y_(reinterpret_cast<float*>(call.scratch + places_.y)),
          kernel_scratch_(call.scratch + places_.kernels) {}

    void run() noexcept {
        sort();
        for (std::int64_t first = 0, expert = 0; first < pairs_; first += wave_pairs) {
            const std::int64_t end = std::min(pairs_, first + wave_pairs);
            segments_ = 0;
            for (; expert < experts_ && starts_[expert] < end; ++expert) {
                const std::int64_t begin = std::max<std::int64_t>(first, starts_[expert]), stop = std::min<std::int64_t>(end, starts_[expert + 1]);
                if (begin < stop) list_[segments_++] = {expert, begin - first, stop - begin};
                if (stop == end) break;  // the next wave may begin within this expert
            }
            wave_ = order_ + first;
            multiply_wave();
        }
    }

  private:
    std::int64_t expert_of(std::int64_t pair) const noexcept { return call_.input(2) ? call_.inputs[2].row_i32(0)[pair] : pair % experts_; }
    std::int64_t source_of(std::int64_t pair) const noexcept { return pair / repeats_; }

    // By counting: order is stable, so each expert meets its rows as they come.
    void sort() noexcept {
        std::fill(starts_, starts_ + experts_ + 1, 0);
        for (std::int64_t p = 0; p < pairs_; ++p) ++starts_[expert_of(p) + 1];
        for (std::int64_t e = 0; e < experts_; ++e) starts_[e + 1] += starts_[e];
        for (std::int64_t p = 0; p < pairs_; ++p) order_[starts_[expert_of(p)]++] = static_cast<std::int32_t>(p);
        for (std::int64_t e = experts_; e > 0; --e) starts_[e] = starts_[e - 1];
        starts_[0] = 0;
    }

    bool equally_spaced(const Segment& s) const noexcept {
        const std::int32_t* const pairs = wave_ + s.first;
        for (std::int64_t i = 2; i < s.count; ++i)
            if (pairs[i] - pairs[i - 1] != pairs[1] - pairs[0] || source_of(pairs[i]) - source_of(pairs[i - 1]) != source_of(pairs[1]) - source_of(pairs[0]))
                return false;
        return true;
    }

    // Rows of `tensor` that stand `step` rows apart.
    static core::Tensor spaced(const core::Tensor& tensor, std::int64_t first, std::int64_t step, std::int64_t count) noexcept {
        return {.format = tensor.format, .shape = {count, tensor.shape.width()}, .data = tensor.row(first), .row_stride_bytes = tensor.row_stride_bytes * step};
    }
    core::Tensor buffer(float* values, std::int64_t count, std::int64_t width, std::int64_t stride) const noexcept {
        return {.format = y_.format, .shape = {count, width}, .data = reinterpret_cast<std::byte*>(values), .row_stride_bytes = stride * 4};
    }

    // Moves rows of `width` values: move(pair, i) for pair number i of the segment.
    template <class Move>
    void for_each_pair(const Segment& s, std::int64_t width, core::Pool& pool, const Move& move) const noexcept {
        const std::int64_t chunk = rows_per_chunk(width);
        pool.run((s.count + chunk - 1) / chunk, [&](std::int64_t c, int) {
            for (std::int64_t i = c * chunk; i < std::min(s.count, (c + 1) * chunk); ++i) move(wave_[s.first + i], i);
        });
    }

    // Columns [begin, end) of one expert's product; `place` counts rows of scratch that are this product's alone.
    void multiply(const Segment& s, std::int64_t begin, std::int64_t end, core::Pool& pool, std::int64_t place) const noexcept {
        const std::int64_t width = end - begin;
        std::byte* const kernel_scratch = kernel_scratch_ + place * kernel_row_bytes(k_);
        if (equally_spaced(s)) {
            const std::int32_t* const pairs = wave_ + s.first;
            const std::int64_t next = s.count > 1 ? pairs[1] - pairs[0] : 1, next_source = s.count > 1 ? source_of(pairs[1]) - source_of(pairs[0]) : 1;
            core::Tensor y = spaced(y_, pairs[0], next, s.count);
            y.data += begin * 4, y.shape = {s.count, width};
            return multiply(s.expert, spaced(x_, source_of(pairs[0]), next_source, s.count), y, begin, pool, kernel_scratch);
        }
        const core::Tensor x = buffer(gathered_x_ + place * k_, s.count, k_, k_), y = buffer(gathered_y_ + s.first * n_ + begin, s.count, width, n_);
        for_each_pair(s, k_, pool, [&](std::int64_t pair, std::int64_t i) { std::memcpy(x.row(i), x_.row(source_of(pair)), static_cast<std::size_t>(k_) * 4); });
        multiply(s.expert, x, y, begin, pool, kernel_scratch);
        for_each_pair(s, width, pool, [&](std::int64_t pair, std::int64_t i) { std::memcpy(y_.row_f32(pair) + begin, y.row(i), static_cast<std::size_t>(width) * 4); });
    }

    // y = scale x W^T + bias with the matrix of one expert, from row `first` of it on.
    void multiply(std::int64_t expert, const core::Tensor& x, const core::Tensor& y, std::int64_t first, core::Pool& pool, std::byte* scratch) const noexcept {
        const std::int64_t rows = x.shape.rows(), width = y.shape.width();
        const core::Tensor *const biases = call_.input(3), *const scales = call_.input(4);
        float* const bias = biases ? biases->row_f32(expert) + first : nullptr;
        core::Tensor inputs[3] = {x, expert_matrix(call_.inputs[1], expert, first, width), {}};
        if (bias && !scales) inputs[2] = buffer(bias, 1, width, width);
        const Run product = (rows >= products_.many_from ? products_.many : products_.few)->at(call_.isa);
        product({call_.attributes, inputs, y, {}, call_.batch, &pool, call_.isa, scratch});
        if (!scales) return;
        for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t j = 0; j < width; ++j) y.row_f32(r)[j] = y.row_f32(r)[j] * scales->row_f32(0)[expert] + (bias ? bias[j] : 0.0f);
    }

    void multiply_wave() noexcept {
        std::int64_t small = 0;
        for (std::int64_t s = 0; s < segments_; ++s) {
            if (list_[s].count >= shared_rows) multiply(list_[s], 0, n_, *call_.pool, list_[s].first);
            else list_[small++] = list_[s];
        }
        multiply_side_by_side(small);
    }

    void multiply_side_by_side(std::int64_t count) const noexcept {
        if (count == 0) return;
        // Four units of work per thread even out experts of different size.
        const std::int64_t wanted = (4 * call_.pool->threads() + count - 1) / count, worth = n_ * call_.inputs[1].format->row_bytes(k_) / least_piece_bytes;
        const std::int64_t pieces = std::clamp<std::int64_t>(std::min(wanted, worth), 1, pieces_for(pairs_));
        const std::int64_t width = round_up((n_ + pieces - 1) / pieces, formats::panel_rows);
        call_.pool->run(count * pieces, [&](std::int64_t c, int) {
            const Segment& s = list_[c / pieces];
            const std::int64_t piece = c % pieces, begin = piece * width, end = std::min(n_, begin + width);
            if (begin < end) multiply(s, begin, end, core::Pool::serial(), s.first * pieces + piece * s.count);
        });
    }

    const Call& call_;
    const Products& products_;
    const std::int64_t experts_, n_, k_;
    const core::Tensor x_, y_;  // [pairs or rows][k] and [pairs][n]
    const std::int64_t pairs_, repeats_;
    const Places places_;
    std::int32_t *const order_, *const starts_;
    float *const gathered_x_, *const gathered_y_;
    std::byte* const kernel_scratch_;
    // The wave at hand.
    const std::int32_t* wave_ = nullptr;
    std::int64_t segments_ = 0;
    Segment list_[wave_pairs];
};

}  // namespace

void run_grouped(const Call& call, const Products& products) noexcept { Grouped(call, products).run(); }

}  // namespace tailor::ops::expert_matmul_kernels
