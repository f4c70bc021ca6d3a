// Cutting and shuffling; see token_windows.h.
#include "train/token_windows.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <span>

#include "core/error.h"
#include "core/hash.h"

namespace tailor::train {

using core::ErrorKind;
using core::fail;

// Enough stretches for a text of many parts, few enough that they are long.
static constexpr std::int64_t most_stretches = 32;

/// Those of `count` windows that belong to `part`: each stretch lies at the end of its equal share of the text.
static std::vector<std::int64_t> windows_of(std::int64_t count, TokenWindows::Part part, double share) {
    const std::int64_t held_out = share > 0 ? std::max<std::int64_t>(1, std::llround(share * static_cast<double>(count))) : 0;
    const std::int64_t stretches = std::min(most_stretches, held_out);
    std::vector<std::int64_t> windows;
    for (std::int64_t s = 0; s < std::max<std::int64_t>(1, stretches); ++s) {
        const std::int64_t begin = stretches > 0 ? s * count / stretches : 0, end = stretches > 0 ? (s + 1) * count / stretches : count;
        const std::int64_t kept = stretches > 0 ? std::min(end - begin, (s + 1) * held_out / stretches - s * held_out / stretches) : 0;
        const bool learned = part == TokenWindows::Part::learned;
        for (std::int64_t i = learned ? begin : end - kept; i < (learned ? end - kept : end); ++i) windows.push_back(i);
    }
    return windows;
}

TokenWindows::TokenWindows(std::shared_ptr<const Tokens> tokens, std::int64_t length, std::uint64_t seed, Part part, double held_out)
    : tokens_(std::move(tokens)), length_(length), seed_(seed) {
    if (!(held_out >= 0 && held_out < 1)) fail(ErrorKind::usage, "a share of {} of the text cannot be held out; it must be at least 0 and below 1", held_out);
    const std::int64_t count = length < 1 ? 0 : (tokens_->count() - 1) / length;
    if (count < 1) fail(ErrorKind::usage, "training needs {} tokens or more for one window, the text has {}", length + 1, tokens_->count());
    windows_ = windows_of(count, part, held_out);
    if (windows_.empty()) fail(ErrorKind::usage, "holding out {} of {} windows of {} tokens leaves none to learn; give more text", held_out, count, length);
    shuffle();
}

TokenWindows::TokenWindows(std::vector<text::TokenId> tokens, std::int64_t length, std::uint64_t seed)
    : TokenWindows(std::make_shared<ListedTokens>(std::move(tokens)), length, seed) {}

// Fisher and Yates, by hand: std::shuffle may differ from one library to the next.
void TokenWindows::shuffle() {
    order_ = windows_;
    std::mt19937_64 random(seed_ + static_cast<std::uint64_t>(pass_++));
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[static_cast<std::size_t>(random() % i)]);
    at_ = 0;
}

void TokenWindows::next(std::vector<std::int32_t>& ids, std::vector<std::int32_t>& targets, text::TokenId first) {
    if (at_ == count()) shuffle();
    const std::int64_t begin = order_[static_cast<std::size_t>(at_++)] * length_;
    const auto length = static_cast<std::size_t>(length_);
    ids.resize(ids.size() + length), targets.resize(targets.size() + length);
    tokens_->read(begin, length_, ids.data() + ids.size() - length);
    tokens_->read(begin + 1, length_, targets.data() + targets.size() - length);
    if (first >= 0) ids[ids.size() - length] = first;
}

void TokenWindows::seek(std::int64_t windows) {
    pass_ = windows / count();
    shuffle();
    at_ = windows % count();
}

void TokenWindows::each_batch(std::int64_t most, std::int64_t batch, text::TokenId first, const Run& run) {
    seek(0);
    for (std::int64_t at = 0; at < most; at += batch) {
        std::vector<std::int32_t> ids, targets;
        const std::int64_t here = std::min(batch, most - at);
        for (std::int64_t b = 0; b < here; ++b) next(ids, targets, first);
        ids.resize(static_cast<std::size_t>(batch * length_), 0), targets.resize(ids.size(), -1);
        run(ids, targets, here);
    }
}

std::uint64_t TokenWindows::identity() const {
    const std::uint64_t shape[] = {static_cast<std::uint64_t>(length_), seed_, static_cast<std::uint64_t>(count()), tokens_->identity()};
    return core::hash64(std::as_bytes(std::span(shape)));
}

}  // namespace tailor::train
