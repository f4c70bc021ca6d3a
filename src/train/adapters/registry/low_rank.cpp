// Choosing weights, making their pairs, and reading them off; see low_rank.h.
#include "train/adapters/low_rank.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "core/error.h"
#include "core/hash.h"
#include "formats/registry.h"
#include "models/adapter.h"

namespace tailor::train::adapters {

using core::ErrorKind;
using core::fail;

const AdapterKind* find(std::string_view name) {
    for (const AdapterKind* kind : all())
        if (kind->name == name) return kind;
    return nullptr;
}

std::string names() {
    std::vector<std::string> list;
    for (const AdapterKind* kind : all()) list.emplace_back(kind->name);
    return core::join(list, ", ");
}

const AdapterKind& get(std::string_view name) {
    if (const AdapterKind* const kind = find(name)) return *kind;
    fail(ErrorKind::usage, "there is no kind of adapter '{}'; there are: {}", name, names());
}

LowRank::LowRank(LowRankOptions options) : options_(std::move(options)) {
    if (options_.rank == 0) options_.rank = options_.kind->rank;
    if (options_.alpha == 0) options_.alpha = 2 * static_cast<double>(options_.rank);
    if (options_.rank < 1 || options_.rank > 4096) fail(ErrorKind::usage, "a rank of {} cannot be; it is 1 to 4096", options_.rank);
    if (!(options_.alpha > 0)) fail(ErrorKind::usage, "alpha must be above 0, it is {}", options_.alpha);
    adapter_.alpha = options_.alpha;
}

bool LowRank::trains(std::string_view weight) const { return weight.ends_with(files::adapter_a) || weight.ends_with(files::adapter_b); }

/// "attn,ffn_down" against "blk.0.attn_q.weight".
static bool is_meant(const std::string& name, const std::string& targets) {
    if (targets == "all") return name.starts_with("blk.");
    for (std::size_t begin = 0; begin <= targets.size();) {
        const std::size_t end = std::min(targets.find(',', begin), targets.size());
        if (end > begin && name.find(targets.substr(begin, end - begin)) != std::string::npos) return true;
        begin = end + 1;
    }
    return false;
}

void LowRank::make_pairs(const graph::Graph& built) {
    std::vector<std::string> there;
    for (const models::AdaptableWeight& weight : models::adaptable_weights(built)) {
        there.push_back(weight.name);
        if (!is_meant(weight.name, options_.targets)) continue;
        files::Adapter::Pair pair{weight.name, formats::make_tensor(formats::get("f32"), {options_.rank, weight.inputs}), formats::make_tensor(formats::get("f32"), {weight.outputs, options_.rank})};
        // Numbers of the deviation 1 / sqrt(inputs) keep x A^T the size of x, whatever the rank.
        std::mt19937_64 random(options_.seed ^ core::hash64(weight.name));
        const auto uniform = [&] { return (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53; };
        const double deviation = 1 / std::sqrt(static_cast<double>(weight.inputs));
        for (std::int64_t i = 0; i < pair.a.shape.elements(); ++i)
            pair.a.row_f32(0)[i] = static_cast<float>(deviation * std::sqrt(-2 * std::log(uniform())) * std::cos(2 * M_PI * uniform()));
        adapter_.pairs.push_back(std::move(pair));
    }
    if (!adapter_.pairs.empty()) return;
    if (there.size() > 12) there.resize(12), there.emplace_back("...");
    fail(ErrorKind::usage, "--targets {}: no weight that can have an adapter has this in its name; there are: {}", options_.targets, core::join(there, ", "));
}

graph::Graph LowRank::prepare(graph::Graph built) {
    if (adapter_.pairs.empty()) make_pairs(built);
    return models::add_adapter(built, adapter_, options_.kind->form);
}

std::string LowRank::identity() const { return core::format("{} of rank {}, alpha {}, beside {}", options_.kind->name, options_.rank, options_.alpha, options_.targets); }

files::Adapter LowRank::finished() const {
    files::Adapter result = adapter_;
    if (options_.kind->written)
        for (files::Adapter::Pair& pair : result.pairs) pair.a = options_.kind->written(pair.a), pair.b = options_.kind->written(pair.b);
    return result;
}

std::int64_t LowRank::parameters() const {
    std::int64_t count = 0;
    for (const files::Adapter::Pair& pair : adapter_.pairs) count += pair.a.shape.elements() + pair.b.shape.elements();
    return count;
}

}  // namespace tailor::train::adapters
