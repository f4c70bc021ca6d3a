// Rewriting a training graph by choices, and choosing; see saving.h.
#include "graph/saving.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/text.h"
#include "formats/format.h"
#include "graph/loss_chunks.h"
#include "graph/memory.h"
#include "graph/passes.h"
#include "graph/policies/registry.h"
#include "graph/schedule.h"

namespace tailor::graph {

using core::ErrorKind;
using core::fail;
using policies::Policy;

TrainingGraph::TrainingGraph(const Graph& given, Value first_back) : graph(given), turn(first_back), back_readers(static_cast<std::size_t>(first_back)) {
    const auto count = static_cast<Value>(graph.nodes().size());
    std::vector<Value> last_forth;
    for (Value i = 0; i < count; ++i) {
        if (i < turn) last_forth.push_back(i);
        for (const Value v : graph.node(i).inputs) {
            if (v == absent || v >= turn) continue;
            if (i < turn) last_forth[static_cast<std::size_t>(v)] = i;
            else if (std::vector<Value>& readers = back_readers[static_cast<std::size_t>(v)]; readers.empty() || readers.back() != i) readers.push_back(i);
        }
    }
    const auto any_runs = [&](Value begin, Value end) {
        for (Value i = begin; i < end; ++i)
            if (graph.node(i).op) return true;
        return false;
    };
    for (Value v = 0; v < turn; ++v) {
        const std::vector<Value>& readers = back_readers[static_cast<std::size_t>(v)];
        if (!graph.node(v).op || readers.empty()) continue;
        const ops::TensorType& type = graph.node(v).type;
        const Value last = last_forth[static_cast<std::size_t>(v)];
        const bool is_output = std::count(graph.outputs().begin(), graph.outputs().end(), v) > 0;
        saved.push_back({v, formats::tensor_bytes(*type.format, type.shape), last, readers[0], !is_output && any_runs(last + 1, readers[0])});
    }
}

namespace {

class Rewriting {
  public:
    Rewriting(const TrainingGraph& training, const Choices& choices, Shelf* shelf)
        : from_(training), choices_(choices), shelf_(shelf), kept_(training.graph.nodes().size(), absent), stored_(kept_), given_back_(kept_) {}

    Graph run() {
        std::vector<std::vector<Value>> ends(static_cast<std::size_t>(from_.turn));
        for (const SavedValue& saved : from_.saved)
            if (const Policy* const policy = choice(saved.value); policy && policy->store) ends[static_cast<std::size_t>(saved.last_forth)].push_back(saved.value);
        for (std::size_t i = 0; i < kept_.size(); ++i) {
            const Node& node = from_.graph.nodes()[i];
            const bool back = static_cast<Value>(i) >= from_.turn;
            kept_[i] = back ? on_the_way_back(node) : target_.keep(node, map(node, [&](Value v) { return kept_[static_cast<std::size_t>(v)]; }));
            if (!back)
                for (const Value v : ends[i]) stored_[static_cast<std::size_t>(v)] = choice(v)->store(target_, kept_[static_cast<std::size_t>(v)], shelf_);
        }
        for (const Value v : from_.graph.outputs()) target_.output(kept_[static_cast<std::size_t>(v)]);
        return std::move(target_);
    }

  private:
    const Policy* choice(Value value) const { return choices_[static_cast<std::size_t>(value)]; }

    template <class Place>
    static std::vector<Value> map(const Node& node, const Place& place) {
        std::vector<Value> inputs;
        for (const Value v : node.inputs) inputs.push_back(v == absent ? absent : place(v));
        return inputs;
    }

    Value on_the_way_back(const Node& node) {
        for (const Value v : node.inputs) {
            const Policy* const policy = v == absent || v >= from_.turn ? nullptr : choice(v);
            if (!policy || !policy->read) continue;
            const std::vector<Value> inputs = map(node, [&](Value w) { return w == v ? absent : given_back(w); });
            if (const Value stands = policy->read(target_, node, inputs, stored_[static_cast<std::size_t>(v)]); stands != absent) return stands;
        }
        const std::vector<Value> inputs = map(node, [&](Value v) { return given_back(v); });
        return target_.keep(node, inputs);
    }

    /// The value as nodes of the way back read it.
    Value given_back(Value value) {
        const auto v = static_cast<std::size_t>(value);
        const Node& node = from_.graph.node(value);
        if (value >= from_.turn || !node.op) return kept_[v];
        const Policy* const policy = choice(value);
        if (policy && policy->load) return loaded(value);
        // What the way back does not read itself is not kept for a value that is computed anew, and of some values only a part is.
        const bool anew = policy ? policy->computes_anew || policy->store : from_.back_readers[v].empty();
        if (!anew || node.op->states) return kept_[v];
        if (given_back_[v] != absent) return given_back_[v];
        const std::vector<Value> inputs = map(node, [&](Value w) { return given_back(w); });
        Node copy = node;
        copy.name.clear();
        return given_back_[v] = target_.keep(copy, inputs);
    }

    Value loaded(Value value) {
        Value& result = given_back_[static_cast<std::size_t>(value)];
        if (result == absent) result = choice(value)->load(target_, stored_[static_cast<std::size_t>(value)], from_.graph.node(value).type);
        return result;
    }

    const TrainingGraph& from_;
    const Choices& choices_;
    Shelf* shelf_;
    Graph target_;
    std::vector<Value> kept_, stored_, given_back_;
};

ops::Cost cost_of(const Graph& graph, Value value) {
    const Node& node = graph.node(value);
    const std::vector<ops::TensorType> types = graph.input_types(node);
    return node.op->cost ? node.op->cost({node.attributes, types, node.type}) : ops::Cost{};
}

double seconds_of(const Graph& graph, Value value) {
    const ops::Cost cost = cost_of(graph, value);
    return std::max(cost.flops / 1e11, (cost.bytes_read + cost.bytes_written) / 1e10);
}

/// Lowers the peak step by step, each time by the choice that frees most bytes for the time it costs.
class Fitting {
  public:
    Fitting(const TrainingGraph& training, std::vector<const Policy*> candidates) : training_(training), candidates_(std::move(candidates)), choices_(static_cast<std::size_t>(training.turn)) {}

    /// Until the peak is at most `bytes`. False if nothing is left to choose.
    bool lower_to(std::int64_t bytes) {
        while (peak() > bytes)
            if (!lower()) return false;
        return true;
    }
    const Choices& choices() const { return choices_; }
    std::int64_t peak() {
        if (peak_ < 0) peak_ = peak_bytes(with_choices(training_, choices_, nullptr));
        return peak_;
    }

  private:
    struct Offer {
        const SavedValue* saved;
        const Policy* policy;
        double worth;  ///< bytes per second
    };

    /// The seconds of running a value's node again, with all before it that is not at hand.
    double seconds_anew(Value value) const {
        std::vector<Value> open{value};
        std::vector<bool> seen(static_cast<std::size_t>(training_.turn));
        double seconds = 0;
        while (!open.empty()) {
            const Value v = open.back();
            open.pop_back();
            if (seen[static_cast<std::size_t>(v)]) continue;
            seen[static_cast<std::size_t>(v)] = true;
            seconds += seconds_of(training_.graph, v);
            for (const Value input : training_.graph.node(v).inputs) {
                if (input == absent || !training_.graph.node(input).op || training_.graph.node(input).op->states) continue;
                if (training_.back_readers[static_cast<std::size_t>(input)].empty()) open.push_back(input);
            }
        }
        return seconds;
    }

    /// Bytes that stay in memory, and the seconds of putting by and giving back.
    void weigh(const SavedValue& saved, const Policy& policy, double& bytes, double& seconds) const {
        bytes = 0, seconds = policy.computes_anew ? seconds_anew(saved.value) : 0;
        if (!policy.store) return;
        Graph trial;
        Node node = training_.graph.node(saved.value);
        node.op = nullptr, node.inputs.clear();
        const Value value = trial.keep(node, {}), stored = policy.store(trial, value, nullptr);
        bytes = static_cast<double>(formats::tensor_bytes(*trial.node(stored).type.format, trial.node(stored).type.shape));
        if (policy.load) policy.load(trial, stored, node.type);
        seconds = estimated_seconds(trial);
    }

    bool lower() {
        std::vector<Offer> offers;
        for (const SavedValue& saved : training_.saved) {
            if (choices_[static_cast<std::size_t>(saved.value)]) continue;
            for (const Policy* policy : candidates_) {
                if (!takes(*policy, training_, saved) || refused_[{saved.value, policy}]) continue;
                double bytes = 0, seconds = 0;
                weigh(saved, *policy, bytes, seconds);
                offers.push_back({&saved, policy, (static_cast<double>(saved.bytes) - bytes) / std::max(seconds, 1e-9)});
            }
        }
        std::stable_sort(offers.begin(), offers.end(), [](const Offer& a, const Offer& b) { return a.worth > b.worth; });
        for (const Offer& offer : offers) {
            const std::int64_t before = peak();
            choices_[static_cast<std::size_t>(offer.saved->value)] = offer.policy;
            const std::int64_t after = peak_bytes(with_choices(training_, choices_, nullptr));
            if (after < before) return peak_ = after, true;
            choices_[static_cast<std::size_t>(offer.saved->value)] = nullptr;
            refused_[{offer.saved->value, offer.policy}] = true;
        }
        // What did not help alone may help after others were chosen.
        return false;
    }

    const TrainingGraph& training_;
    std::vector<const Policy*> candidates_;
    Choices choices_;
    std::map<std::pair<Value, const Policy*>, bool> refused_;
    std::int64_t peak_ = -1;
};

std::vector<const Policy*> named(const std::string& list) {
    std::vector<const Policy*> found;
    for (std::size_t begin = 0; begin <= list.size();) {
        const std::size_t end = std::min(list.find(',', begin), list.size());
        found.push_back(&policies::get(list.substr(begin, end - begin)));
        begin = end + 1;
    }
    return found;
}

void choose_all(const TrainingGraph& training, const Policy& policy, Choices& choices) {
    if (policy.choose) return policy.choose(training, policy, choices);
    for (const SavedValue& saved : training.saved)
        if (Policy const*& choice = choices[static_cast<std::size_t>(saved.value)]; !choice && takes(policy, training, saved)) choice = &policy;
}

std::string summary_of(const TrainingGraph& training, const Choices& choices) {
    std::map<std::string, std::pair<std::int64_t, std::int64_t>> by_policy;  // values, bytes
    for (const SavedValue& saved : training.saved) {
        const Policy* const policy = choices[static_cast<std::size_t>(saved.value)];
        auto& [values, bytes] = by_policy[policy ? std::string(policy->name) : "keep"];
        ++values, bytes += saved.bytes;
    }
    std::vector<std::string> parts;
    for (const auto& [name, sum] : by_policy) parts.push_back(core::format("{} {} ({})", sum.first, name, core::human_bytes(static_cast<double>(sum.second))));
    return core::format("{} values that the way back reads: {}", training.saved.size(), core::join(parts, ", "));
}

}  // namespace

Graph with_choices(const TrainingGraph& training, const Choices& choices, Shelf* shelf) {
    return in_frugal_order(remove_dead(Rewriting(training, choices, shelf).run()));
}

std::int64_t peak_bytes(const Graph& graph) { return peak_of(buffers_of(graph).lifetimes).bytes; }

double estimated_seconds(const Graph& graph) {
    double seconds = 0;
    for (std::size_t i = 0; i < graph.nodes().size(); ++i)
        if (graph.nodes()[i].op) seconds += seconds_of(graph, static_cast<Value>(i));
    return seconds;
}

// Placing costs a few percent more than the peak of live bytes (memory.h), which is known only afterwards: the aim is lowered by what was too much.
static Choices fitted(const TrainingGraph& training, std::vector<const Policy*> candidates, std::int64_t budget) {
    candidates.erase(std::remove(candidates.begin(), candidates.end(), &policies::get("keep")), candidates.end());
    if (candidates.empty()) candidates.push_back(&policies::get("recompute"));
    Fitting fitting(training, candidates);
    for (std::int64_t aim = budget;;) {
        const bool reached = fitting.lower_to(aim);
        const std::int64_t placed = lay_out(buffers_of(with_choices(training, fitting.choices(), nullptr)).lifetimes).bytes;
        if (placed <= budget) return fitting.choices();
        if (!reached) {
            // Value by value is a dead end where several must go at once; what the policies choose on their own accord may be better.
            Choices choices(static_cast<std::size_t>(training.turn));
            for (const Policy* policy : candidates) choose_all(training, *policy, choices);
            const std::int64_t least = lay_out(buffers_of(with_choices(training, choices, nullptr)).lifetimes).bytes;
            if (least <= budget) return choices;
            fail(ErrorKind::usage, "a step does not fit into {}; these policies come down to {}", core::human_bytes(static_cast<double>(budget)),
                 core::human_bytes(static_cast<double>(std::min(least, placed))));
        }
        aim -= placed - budget;
    }
}

Saving save_values(const Graph& graph, Value turn, const SavingOptions& options) {
    const Graph chunked = chunk_loss(graph, options.loss_rows, &turn);
    const TrainingGraph training(chunked, turn);
    const std::vector<const Policy*> list = named(options.policies);
    Choices choices(static_cast<std::size_t>(turn));
    if (options.budget_bytes > 0) choices = fitted(training, list, options.budget_bytes);
    else
        for (const Policy* policy : list) choose_all(training, *policy, choices);
    Shelf shelf{options.folder, nullptr};
    Saving saving{.graph = with_choices(training, choices, &shelf), .file = nullptr, .summary = summary_of(training, choices)};
    saving.file = shelf.file;
    return saving;
}

}  // namespace tailor::graph
