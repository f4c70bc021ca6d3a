// Policies of eviction: which entries of a KV cache stay when it may hold fewer than the text has tokens.
//
// A policy is one file src/run/evictions/<name>.cpp that defines `extern const EvictionPolicy <name>` in namespace
// tailor::run::evictions::entries. It decides for one kv head of one layer at a time; run/kv_budget.h does the rest. What is gone can
// not be attended to again, so every policy changes what the model writes; how much, `tailor eval --kv-budget` measures.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace tailor::run::evictions {

/// The entries of one kv head, in no order.
struct Entries {
    std::span<const std::int32_t> positions;  ///< of their tokens in the text
    std::span<const float> mass;              ///< attention each has got so far (ops/attention/mass.h); empty if the policy does not weigh
};

struct EvictionPolicy {
    std::string_view name;  ///< "window"
    std::string_view doc;   ///< one sentence
    bool weighs = false;    ///< wants Entries::mass
    /// Sets `stays` (as long as the entries, all 0) to 1 for `kept` of them, fewer than there are.
    void (*choose)(const Entries& entries, std::int64_t kept, std::vector<char>& stays) = nullptr;
};

/// Marks the `count` entries with the largest key(i) among those that do not stay yet; of equals the first.
template <class Key>
void keep_largest(std::int64_t count, std::vector<char>& stays, const Key& key) {
    std::vector<std::int64_t> order;
    for (std::size_t i = 0; i < stays.size(); ++i)
        if (!stays[i]) order.push_back(static_cast<std::int64_t>(i));
    count = std::min(count, static_cast<std::int64_t>(order.size()));
    std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](std::int64_t a, std::int64_t b) { return key(a) > key(b) || (key(a) == key(b) && a < b); });
    for (std::int64_t i = 0; i < count; ++i) stays[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = 1;
}

}  // namespace tailor::run::evictions
