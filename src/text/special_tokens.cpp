// Narrowing and choosing; see special_tokens.h.
#include "text/special_tokens.h"

#include <algorithm>

namespace tailor::text {

static unsigned byte_at(std::string_view text, std::size_t i) { return static_cast<unsigned char>(text[i]); }

SpecialTokens::SpecialTokens(std::vector<Entry> entries) : entries_(std::move(entries)) {
    entries_.erase(std::remove_if(entries_.begin(), entries_.end(), [](const Entry& e) { return e.text.empty(); }),
                   entries_.end());
    std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.text < b.text; });
    for (const Entry& entry : entries_) ++first_byte_[byte_at(entry.text, 0) + 1];
    for (std::size_t b = 1; b < first_byte_.size(); ++b) first_byte_[b] += first_byte_[b - 1];
}

template <class Visit>
void SpecialTokens::each_at(std::string_view text, std::size_t begin, bool with_control, const Visit& visit) const {
    const unsigned first = byte_at(text, begin);
    auto low = entries_.begin() + first_byte_[first], high = entries_.begin() + first_byte_[first + 1];
    // Invariant: the entries in [low, high) agree with the text in their first `depth` bytes; a shorter one sorts first.
    for (std::size_t depth = 1; low != high; ++depth) {
        while (low != high && low->text.size() == depth) {
            if (with_control || !low->control) visit(*low);
            ++low;
        }
        if (low == high || begin + depth == text.size()) return;
        const unsigned byte = byte_at(text, begin + depth);
        low = std::partition_point(low, high, [&](const Entry& e) { return byte_at(e.text, depth) < byte; });
        high = std::partition_point(low, high, [&](const Entry& e) { return byte_at(e.text, depth) == byte; });
    }
}

std::vector<SpecialTokens::Hit> SpecialTokens::chosen(std::string_view text, bool with_control) const {
    std::vector<std::size_t> begins, lengths;
    for (std::size_t i = 0; i < text.size() && !entries_.empty(); ++i)
        each_at(text, i, with_control, [&](const Entry& entry) {
            if (begins.empty() || begins.back() != i) begins.push_back(i);
            const auto place = std::lower_bound(lengths.begin(), lengths.end(), entry.text.size());
            if (place == lengths.end() || *place != entry.text.size()) lengths.insert(place, entry.text.size());
        });
    std::vector<Hit> hits;
    std::vector<bool> taken(begins.empty() ? 0 : text.size(), false);
    std::reverse(lengths.begin(), lengths.end());
    for (const std::size_t length : lengths)
        for (const std::size_t begin : begins) {
            // What is taken already is at least as long, so an overlap covers one of the two ends.
            if (begin + length > text.size() || taken[begin] || taken[begin + length - 1]) continue;
            const Entry* found = nullptr;
            each_at(text.substr(0, begin + length), begin, with_control,
                    [&](const Entry& e) { found = e.text.size() == length ? &e : found; });
            if (!found) continue;
            std::fill_n(taken.begin() + static_cast<std::ptrdiff_t>(begin), length, true);
            hits.push_back({begin, found});
        }
    std::sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) { return a.begin < b.begin; });
    return hits;
}

std::vector<Fragment> SpecialTokens::split(std::string_view text, bool with_control) const {
    std::vector<Fragment> fragments;
    std::size_t at = 0;
    const auto plain = [&](std::size_t end) {
        if (end > at) fragments.push_back({{at, end - at}, -1});
    };
    for (const Hit& hit : chosen(text, with_control)) {
        plain(hit.begin);
        at = std::max(at, hit.begin + hit.entry->text.size());
        fragments.push_back({{hit.begin, hit.entry->text.size()}, hit.entry->id});
        if (hit.entry->strips_right)
            while (at < text.size() && std::string_view(" \t\n\v\f\r").find(text[at]) != std::string_view::npos) ++at;
    }
    plain(text.size());
    return fragments;
}

}  // namespace tailor::text
