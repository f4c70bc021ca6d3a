// Counting, weighing and dropping entries; see kv_budget.h.
#include "run/kv_budget.h"

#include <algorithm>

#include "core/error.h"
#include "ops/attention/mass.h"
#include "run/evictions/registry.h"

namespace tailor::run {

using ops::attention_kernels::Side;

constexpr std::int64_t least_entries = 16;
// Entries that are dropped at once: a share small enough that the budget is mostly used, and few enough that their queries are few.
constexpr std::int64_t share_dropped = 8, most_dropped = 32;

static bool is_attention(const graph::Node& node) { return node.op && node.op->name == "attention"; }

// What makes a node look at where keys stand.
static std::string_view reason_against(const graph::Node& node) {
    const ops::Attributes& a = node.attributes;
    if (a.integer("window", 0) > 0) return "it has a sliding window of its own";
    if (a.integer("chunk", 0) > 0) return "it sees chunks";
    if (a.real("alibi", 0) > 0 || (node.inputs.size() > 4 && node.inputs[4] != graph::absent)) return "its scores depend on distances";
    return a.integer("causal", 1) == 0 || a.integer("cross", 0) ? "it reads another text" : "";
}

KvBudget::KvBudget(const graph::Graph& graph, const KvBudgetOptions& options)
    : policy_(&evictions::get(options.policy)), capacity_(options.entries), dropped_(std::clamp<std::int64_t>(options.entries / share_dropped, 1, most_dropped)) {
    if (capacity_ < least_entries) core::fail(core::ErrorKind::usage, "a KV cache needs {} entries at least, not {}", least_entries, capacity_);
    for (const graph::Node& node : graph.nodes()) {
        if (!is_attention(node)) continue;
        if (const std::string_view reason = reason_against(node); !reason.empty())
            core::fail(core::ErrorKind::unsupported, "{}: no entries can be dropped from this attention: {}", node.name, reason);
        const std::int64_t kv_heads = node.attributes.integer("kv_heads");
        layers_.push_back({node.name, node.attributes.integer("heads"), kv_heads, static_cast<float>(node.attributes.real("scale")), std::vector<Head>(static_cast<std::size_t>(kv_heads)), {}});
    }
    if (layers_.empty()) core::fail(core::ErrorKind::unsupported, "the model has no attention, so there is no KV cache to limit");
}

void KvBudget::reset() {
    entries_ = unweighed_ = 0;
    for (Layer& layer : layers_) {
        layer.queries.clear();
        for (Head& head : layer.kv) head = {};
    }
}

bool KvBudget::forget(std::int64_t rows) {
    if (rows > unweighed_) return false;
    if (rows == 0) return true;
    for (Layer& layer : layers_) {
        if (weighs()) layer.queries.resize(layer.queries.size() / static_cast<std::size_t>(unweighed_) * static_cast<std::size_t>(unweighed_ - rows));
        for (Head& head : layer.kv) head.positions.resize(static_cast<std::size_t>(entries_ - rows));
    }
    entries_ -= rows, unweighed_ -= rows;
    return true;
}

void KvBudget::append(std::int64_t rows, std::int64_t position) {
    for (Layer& layer : layers_)
        for (Head& head : layer.kv)
            for (std::int64_t r = 0; r < rows; ++r) head.positions.push_back(static_cast<std::int32_t>(position + r));
    entries_ += rows, unweighed_ += rows;
}

void KvBudget::observe(const graph::Node& node, std::span<const core::Tensor> inputs) {
    if (!is_attention(node)) return;
    const auto layer = std::find_if(layers_.begin(), layers_.end(), [&](const Layer& l) { return l.name == node.name; });
    const core::Tensor& q = inputs[0];
    layer->queries.insert(layer->queries.end(), q.row_f32(0), q.row_f32(0) + q.shape.elements());
}

// The choice for one kv head; holes among the first entries that remain are filled with those behind them that stay.
void KvBudget::evict_from(Layer& layer, std::int64_t kv_head, const core::Tensor& keys, const core::Tensor& values, cpu::Isa isa) const {
    Head& head = layer.kv[static_cast<std::size_t>(kv_head)];
    const std::int64_t group = layer.heads / layer.kv_heads, width = keys.shape[3];
    if (weighs()) {
        head.mass.resize(head.positions.size(), 0.0f);
        std::vector<float> scratch;
        // A tool that runs the steps itself sees no queries; such entries weigh nothing.
        if (static_cast<std::int64_t>(layer.queries.size()) == unweighed_ * layer.heads * width)
            ops::attention_kernels::add_mass({keys, kv_head, layer.queries.data() + kv_head * group * width, unweighed_, layer.heads * width, group, entries_ - unweighed_ + 1, layer.scale}, isa, scratch, head.mass.data());
    }
    std::vector<char> stays(head.positions.size(), 0);
    const std::int64_t kept = capacity_ - dropped_;
    policy_->choose({head.positions, head.mass}, kept, stays);
    for (std::int64_t hole = 0, from = kept; hole < kept; ++hole) {
        if (stays[static_cast<std::size_t>(hole)]) continue;
        while (!stays[static_cast<std::size_t>(from)]) ++from;
        move_position(keys, Side::keys, 0, kv_head, from, hole);
        move_position(values, Side::values, 0, kv_head, from, hole);
        head.positions[static_cast<std::size_t>(hole)] = head.positions[static_cast<std::size_t>(from)];
        if (weighs()) head.mass[static_cast<std::size_t>(hole)] = head.mass[static_cast<std::size_t>(from)];
        ++from;
    }
    head.positions.resize(static_cast<std::size_t>(kept));
    if (weighs()) head.mass.resize(static_cast<std::size_t>(kept));
}

void KvBudget::make_room(std::int64_t rows, const States& states, core::Pool& pool, cpu::Isa isa) {
    if (entries_ + rows <= capacity_) return;
    const auto state = [&](const std::string& key) -> const core::Tensor& {
        return std::find_if(states.begin(), states.end(), [&](const auto& s) { return s.first == key; })->second;
    };
    struct Work {
        Layer* layer;
        std::int64_t kv_head;
        const core::Tensor *keys, *values;
    };
    std::vector<Work> work;
    for (Layer& layer : layers_)
        for (std::int64_t h = 0; h < layer.kv_heads; ++h) work.push_back({&layer, h, &state(layer.name + ".k"), &state(layer.name + ".v")});
    // Values of neighbouring heads share no bytes, so heads are independent of each other.
    pool.run(static_cast<std::int64_t>(work.size()), [&](std::int64_t i, int) {
        const Work& w = work[static_cast<std::size_t>(i)];
        evict_from(*w.layer, w.kv_head, *w.keys, *w.values, isa);
    });
    for (Layer& layer : layers_) layer.queries.clear();
    entries_ = capacity_ - dropped_, unweighed_ = 0;
    ++evictions_;
}

}  // namespace tailor::run
