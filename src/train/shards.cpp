// Cutting, dealing out, and putting together; see shards.h.
#include "train/shards.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace tailor::train {

using optimizers::Parameter;

static std::vector<Shard> cut(std::span<const Parameter> parameters, int owners) {
    std::int64_t total = 0, before = 0;
    for (const Parameter& p : parameters) total += p.numbers();
    std::vector<Shard> shards;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        const std::int64_t numbers = parameters[i].numbers();
        // A chunk is owned by whose part its first number lies in; neighbours of one owner are one shard.
        const auto owner_at = [&](std::int64_t n) { return static_cast<int>((before + n) * owners / total); };
        for (std::int64_t at = 0, end = 0; at < numbers; at = end) {
            for (end = at + optimizers::chunk; end < numbers && owner_at(end) == owner_at(at);) end += optimizers::chunk;
            end = std::min(end, numbers);
            shards.push_back({i, at, end - at, owner_at(at)});
        }
        before += numbers;
    }
    return shards;
}

static std::vector<Shard> deal(std::span<const Parameter> parameters, int owners) {
    std::vector<std::size_t> order(parameters.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return parameters[a].numbers() > parameters[b].numbers(); });
    std::vector<std::int64_t> load(static_cast<std::size_t>(owners));
    std::vector<Shard> shards(parameters.size());
    for (const std::size_t i : order) {
        const auto least = std::min_element(load.begin(), load.end());
        *least += parameters[i].numbers();
        shards[i] = {i, 0, parameters[i].numbers(), static_cast<int>(least - load.begin())};
    }
    return shards;
}

std::vector<Shard> share_out(std::span<const Parameter> parameters, bool by_number, int owners) {
    return by_number && owners > 1 ? cut(parameters, owners) : deal(parameters, owners);
}

// As an optimizer sees the first `count` numbers of a tensor.
static Parameter part_of(const Parameter& tensor, std::int64_t count) { return count == tensor.numbers() ? tensor : Parameter{tensor.name, {count}}; }

static float* numbers_of(const core::Tensor& tensor, const Shard& shard) { return tensor.row_f32(0) + shard.begin; }

Shares::Shares(std::span<const Parameter> parameters, const optimizers::Optimizer& optimizer, Workers& workers)
    : parameters_(parameters.begin(), parameters.end()), optimizer_(optimizer), workers_(workers), shards_(share_out(parameters, optimizer.by_number, workers.count())) {
    for (const Shard& shard : shards_) {
        if (shard.owner != workers.rank()) continue;
        const Parameter part = part_of(parameters_[shard.tensor], shard.count);
        own_.push_back({shard, part, optimizers::State(optimizer.state(part))});
    }
}

std::vector<core::Tensor> Shares::parts(std::span<const core::Tensor> tensors) const {
    std::vector<core::Tensor> views;
    for (const Share& share : own_) {
        core::Tensor view = tensors[share.shard.tensor];
        view.data = reinterpret_cast<std::byte*>(numbers_of(view, share.shard));
        view.shape = share.parameter.shape, view.row_stride_bytes = 4 * view.shape.width();
        views.push_back(view);
    }
    return views;
}

void Shares::sum(std::span<const core::Tensor> gradients) {
    for (const Shard& shard : shards_) workers_.sum_to(shard.owner, {numbers_of(gradients[shard.tensor], shard), static_cast<std::size_t>(shard.count)});
}

void Shares::spread(std::span<const core::Tensor> weights) {
    for (const Shard& shard : shards_)
        workers_.copy_from(shard.owner, std::as_writable_bytes(std::span(numbers_of(weights[shard.tensor], shard), static_cast<std::size_t>(shard.count))));
}

Shares::Share* Shares::own_of(std::size_t tensor) {
    const auto found = std::find_if(own_.begin(), own_.end(), [&](const Share& share) { return share.shard.tensor == tensor; });
    return found == own_.end() ? nullptr : &*found;
}

/// Of the first `count` numbers of a tensor; that is also where the state of the numbers after them begins.
std::size_t Shares::state_bytes(std::size_t tensor, std::int64_t count, std::size_t part) const {
    return count == 0 ? 0 : static_cast<std::size_t>(optimizer_.state(part_of(parameters_[tensor], count))[part].bytes);
}

std::vector<Piece> Shares::pieces(std::size_t tensor) {
    std::vector<Piece> list;
    const std::vector<optimizers::StatePart> parts = optimizer_.state(parameters_[tensor]);
    Share* const own = own_of(tensor);
    for (std::size_t part = 0; part < parts.size(); ++part) {
        Piece piece{.name = parameters_[tensor].name + "/" + std::string(parts[part].name), .bytes = {}};
        if (own) piece.bytes = own->state.bytes(part), piece.offset = state_bytes(tensor, own->shard.begin, part);
        piece.whole = static_cast<std::size_t>(parts[part].bytes);
        if (piece.bytes.size() != piece.whole) piece.gather = [this, tensor, part] { return gather(tensor, part); };
        list.push_back(std::move(piece));
    }
    return list;
}

std::span<const std::byte> Shares::gather(std::size_t tensor, std::size_t part) {
    gathered_.resize(state_bytes(tensor, parameters_[tensor].numbers(), part));
    for (const Shard& shard : shards_) {
        if (shard.tensor != tensor) continue;
        const auto place = std::span(gathered_).subspan(state_bytes(tensor, shard.begin, part), state_bytes(tensor, shard.count, part));
        if (shard.owner == workers_.rank()) std::memcpy(place.data(), own_of(tensor)->state.bytes(part).data(), place.size());
        workers_.send_to_first(shard.owner, place);
    }
    return gathered_;
}

void Shares::send() {
    for (std::size_t tensor = 0; tensor < parameters_.size(); ++tensor) {
        const bool whole = std::none_of(shards_.begin(), shards_.end(), [&](const Shard& s) { return s.tensor == tensor && s.owner != 0; });
        for (std::size_t part = 0; part < optimizer_.state(parameters_[tensor]).size() && !whole; ++part) gather(tensor, part);
    }
}

}  // namespace tailor::train
