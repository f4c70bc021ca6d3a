// Cutting and shuffling; see token_windows.h.
#include "train/token_windows.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <span>

#include "core/error.h"
#include "core/hash.h"

namespace tailor::train {

TokenWindows::TokenWindows(std::vector<text::TokenId> tokens, std::int64_t length, std::uint64_t seed)
    : tokens_(std::move(tokens)), length_(length), count_((static_cast<std::int64_t>(tokens_.size()) - 1) / std::max<std::int64_t>(1, length)), seed_(seed) {
    if (length < 1 || count_ < 1) core::fail(core::ErrorKind::usage, "training needs {} tokens or more for one window, the text has {}", length + 1, tokens_.size());
    order_.resize(static_cast<std::size_t>(count_));
    shuffle();
}

// Fisher and Yates, by hand: std::shuffle may differ from one library to the next.
void TokenWindows::shuffle() {
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
    std::mt19937_64 random(seed_ + static_cast<std::uint64_t>(pass_++));
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[static_cast<std::size_t>(random() % i)]);
    at_ = 0;
}

void TokenWindows::next(std::vector<std::int32_t>& ids, std::vector<std::int32_t>& targets, text::TokenId first) {
    if (at_ == count_) shuffle();
    const auto begin = tokens_.begin() + order_[static_cast<std::size_t>(at_++)] * length_;
    ids.insert(ids.end(), begin, begin + length_);
    targets.insert(targets.end(), begin + 1, begin + 1 + length_);
    if (first >= 0) ids[ids.size() - static_cast<std::size_t>(length_)] = first;
}

void TokenWindows::seek(std::int64_t windows) {
    pass_ = windows / count_;
    shuffle();
    at_ = windows % count_;
}

std::uint64_t TokenWindows::identity() const {
    const std::uint64_t shape[] = {static_cast<std::uint64_t>(length_), seed_};
    return core::hash64(std::as_bytes(std::span(tokens_)), core::hash64(std::as_bytes(std::span(shape))));
}

}  // namespace tailor::train
