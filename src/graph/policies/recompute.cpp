// Recompute: only values at the borders of segments stay, the rest is computed anew, one segment at a time.
//
// With n nodes in k segments some k + n / k values are in memory at once, at the price of one more way forth: Chen et al., "Training Deep
// Nets with Sublinear Memory Cost", 2016, section 4.1. Where a network may be cut is not told by anyone: a border lies where the fewest bytes
// cross from the nodes before to those after it, which between two layers is the residual stream. Several numbers of segments are
// tried on the graph, and the one with the least peak is taken. The results of operators with a memory (attention, recurrences) stay: run
// again they would find the memory as it is at the end, and they are the dearest to run. The last segment stays if it costs nothing:
// the way back begins with it.
#include <algorithm>

#include "formats/format.h"
#include "graph/policies/policy.h"

namespace tailor::graph::policies {

namespace {

std::int64_t bytes_of(const Graph& graph, Value value) {
    const ops::TensorType& type = graph.node(value).type;
    return formats::tensor_bytes(*type.format, type.shape);
}

/// For every node of the way forth, the last node of it that reads its result; itself if there is none.
std::vector<Value> last_readers(const TrainingGraph& training) {
    std::vector<Value> last;
    for (Value i = 0; i < training.turn; ++i) {
        last.push_back(i);
        for (const Value v : training.graph.node(i).inputs)
            if (v != absent) last[static_cast<std::size_t>(v)] = i;
    }
    return last;
}

/// Bytes that cross from node i or earlier to later nodes of the way forth.
std::vector<std::int64_t> crossing_bytes(const TrainingGraph& training, const std::vector<Value>& last) {
    std::vector<std::int64_t> crossing(static_cast<std::size_t>(training.turn) + 1);
    for (Value i = 0; i < training.turn; ++i) {
        if (!training.graph.node(i).op) continue;
        const std::int64_t bytes = bytes_of(training.graph, i);
        crossing[static_cast<std::size_t>(i)] += bytes, crossing[static_cast<std::size_t>(last[static_cast<std::size_t>(i)])] -= bytes;
    }
    for (std::size_t i = 1; i < crossing.size(); ++i) crossing[i] += crossing[i - 1];
    return crossing;
}

/// Nodes after which segments end: about as many bytes in each, and where the fewest cross.
std::vector<Value> borders(const TrainingGraph& training, const std::vector<std::int64_t>& crossing, std::int64_t segments) {
    std::vector<std::int64_t> before(static_cast<std::size_t>(training.turn) + 1);
    for (Value i = 0; i < training.turn; ++i) before[static_cast<std::size_t>(i) + 1] = before[static_cast<std::size_t>(i)] + (training.graph.node(i).op ? bytes_of(training.graph, i) : 0);
    std::vector<Value> found;
    for (std::int64_t s = 1; s < segments; ++s) {
        // Half a segment to either side is open to a better border.
        const auto at = [&](std::int64_t halves) {
            return static_cast<Value>(std::lower_bound(before.begin(), before.end(), before.back() * halves / (2 * segments)) - before.begin());
        };
        Value best = absent;
        for (Value i = std::max<Value>(1, at(2 * s - 1)); i < std::min(training.turn, at(2 * s + 1)); ++i)
            if (training.graph.node(i).op && (best == absent || crossing[static_cast<std::size_t>(i)] < crossing[static_cast<std::size_t>(best)])) best = i;
        if (best != absent && (found.empty() || best > found.back())) found.push_back(best);
    }
    return found;
}

/// Marks what is computed anew with `self`: all up to node `end` but what crosses a border.
Choices chosen(const TrainingGraph& training, const Policy& self, const Choices& before, const std::vector<Value>& last, const std::vector<Value>& cuts, Value end) {
    Choices choices = before;
    for (const SavedValue& saved : training.saved) {
        const auto v = static_cast<std::size_t>(saved.value);
        const auto cut = std::lower_bound(cuts.begin(), cuts.end(), saved.value);
        const bool crosses = cut != cuts.end() && *cut < last[v];
        if (!choices[v] && saved.value < end && !crosses && takes(self, training, saved)) choices[v] = &self;
    }
    return choices;
}

/// Value by value the other way round, where that lowers the peak, or spares computing at the same peak.
void refine(const TrainingGraph& training, const Policy& self, const Choices& before, Choices& choices, std::int64_t least) {
    constexpr std::size_t most_values = 400;  // a trial takes milliseconds, more for larger graphs
    if (training.saved.size() > most_values) return;
    for (const bool sparing : {false, false, true})
        for (const SavedValue& saved : training.saved) {
            const Policy*& choice = choices[static_cast<std::size_t>(saved.value)];
            const Policy* const was = choice;
            if (before[static_cast<std::size_t>(saved.value)] || !takes(self, training, saved) || (sparing && !was)) continue;
            choice = was ? nullptr : &self;
            const std::int64_t peak = peak_bytes(with_choices(training, choices, nullptr));
            if (peak < least || (sparing && peak == least)) least = peak;
            else choice = was;
        }
}

void choose(const TrainingGraph& training, const Policy& self, Choices& choices) {
    const std::vector<Value> last = last_readers(training);
    const std::vector<std::int64_t> crossing = crossing_bytes(training, last);
    const Choices before = choices;
    std::int64_t least = peak_bytes(with_choices(training, before, nullptr));
    for (const std::int64_t segments : {1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 36, 40, 48, 56, 64, 80, 96, 128}) {
        if (segments > training.turn) break;
        const std::vector<Value> cuts = borders(training, crossing, segments);
        for (const Value end : {training.turn, cuts.empty() ? training.turn : cuts.back()}) {
            Choices tried = chosen(training, self, before, last, cuts, end);
            const std::int64_t peak = peak_bytes(with_choices(training, tried, nullptr));
            // The same peak with less to compute is better: `end` comes second.
            if (peak < least || (peak == least && end != training.turn)) least = peak, choices = std::move(tried);
        }
    }
    refine(training, self, before, choices, least);
}

bool takes_value(const TrainingGraph& training, const SavedValue& saved) { return !training.graph.node(saved.value).op->states; }

}  // namespace

namespace entries {
extern const Policy recompute = {
    .name = "recompute",
    .doc = "values between the borders of segments are computed anew on the way back, a segment at a time",
    .exact = true,
    .computes_anew = true,
    .takes = &takes_value,
    .choose = &choose,
};
}  // namespace entries

}  // namespace tailor::graph::policies
