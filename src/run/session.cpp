// Plans, states and steps of running sequences; see session.h.
#include "run/session.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "formats/panels.h"
#include "formats/registry.h"
#include "graph/passes.h"

namespace tailor::run {

using core::ErrorKind;
using core::fail;

// Plans are small (views and offsets, no weights); a prompt's odd rest makes one that is rarely needed again.
constexpr std::size_t most_plans = 16;
// What kernels may add to a result by design (ops::Kernel::error). The usual limit admits bf16 tiles, which are offered only to weights
// whose own error dwarfs theirs; the reference data allow a faster path 2e-2 of the largest logit, of which they take 1.7e-2 at most.
constexpr double usual_error = 6e-3, fast_error = 2e-2;

graph::PlanOptions SessionOptions::planning() const {
    return {.isa = isa, .use_reference = use_reference, .most_error = fast ? fast_error : usual_error, .preference = preference};
}

Session::Session(std::shared_ptr<const LanguageModel> model, core::Pool& pool, SessionOptions options)
    : model_(std::move(model)), pool_(pool), options_(options), weights_(model_->weights()) {
    if (options_.context == 0) options_.context = std::min<std::int64_t>(model_->facts().context, 4096);
    if (options_.context < 1 || options_.context > 10'000'000) fail(ErrorKind::usage, "a context of {} tokens cannot be", options_.context);
    if (options_.batch < 1) fail(ErrorKind::usage, "the batch must be at least 1 token");
    options_.batch = std::min(options_.batch, options_.context);
    formats::get(options_.kv_format);
    if (options_.kv_budget.entries > 0) {
        if (options_.slots != 1 || options_.lender) fail(ErrorKind::usage, "a limited KV cache is for one sequence alone, and is shared with no other session");
        if (model_->family().build_encoder || model_->family().encodes) fail(ErrorKind::usage, "{}: the KV cache of the {} family cannot be limited", model_->file().path(), model_->family().name);
        budget_ = std::make_unique<KvBudget>(graph_of(1, 1), options_.kv_budget);
        options_.batch = std::min(options_.batch, budget_->most_rows());
    }
    past_.assign(static_cast<std::size_t>(options_.slots), 0);
    const auto most_rows = static_cast<std::size_t>(std::max(options_.context, options_.slots));
    if (options_.pack && !options_.use_reference) pack_weights();
    ids_.resize(most_rows), positions_.resize(most_rows), places_.resize(most_rows), sequences_.resize(most_rows), wanted_rows_.resize(most_rows);
}

void Session::pack_weights() {
    std::vector<std::string> names = graph::weights_for_panels(graph_of(1, 1));
    if (model_->family().build_encoder)
        for (const std::string& name : graph::weights_for_panels(graph_of(1, -1)))
            if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    for (const std::string& name : names) {
        weights_.replace(name, model_->weight_in_panels(name, pool_));
        core::check_interrupt();
    }
}

void Session::reset(std::int64_t slot) {
    past_[static_cast<std::size_t>(slot)] = 0;
    if (budget_) budget_->reset();
    for (auto& [key, state] : states_) {
        const std::int64_t bytes = formats::tensor_bytes(*state.format, state.shape) / state.shape[0];
        std::memset(state.data + slot * bytes, 0, static_cast<std::size_t>(bytes));
    }
}

// A state in the session's KV format has one entry per position, and what lies beyond `past` is never read.
std::int64_t Session::keep(std::int64_t tokens, std::int64_t slot) {
    std::int64_t& past = past_[static_cast<std::size_t>(slot)];
    if (tokens >= past) return past;
    if (tokens <= 0 || !one_way_.empty() || (budget_ && !budget_->forget(past - tokens))) reset(slot);
    else past = tokens;
    return past;
}

bool Session::goes_back() {
    plan(1, 1);  // states are known once there is a plan
    return one_way_.empty();
}

// The part of each state that cannot go back which belongs to a slot.
std::vector<core::Tensor> Session::one_way_states(std::int64_t slot) {
    plan(1, 1);
    std::vector<core::Tensor> parts;
    for (const auto& [key, state] : states_) {
        if (std::find(one_way_.begin(), one_way_.end(), key) == one_way_.end()) continue;
        core::Tensor part = state;
        part.shape[0] = 1;
        part.data += slot * formats::tensor_bytes(*part.format, part.shape);
        parts.push_back(part);
    }
    return parts;
}

void Session::save(Checkpoint& checkpoint, std::int64_t slot) {
    checkpoint.past = past(slot);
    checkpoint.bytes.clear();
    for (const core::Tensor& part : one_way_states(slot)) checkpoint.bytes.insert(checkpoint.bytes.end(), part.data, part.data + formats::tensor_bytes(*part.format, part.shape));
}

void Session::restore(const Checkpoint& checkpoint, std::int64_t slot) {
    if (budget_ && !budget_->forget(past(slot) - checkpoint.past)) fail(ErrorKind::bug, "entries were dropped since the checkpoint at {} tokens", checkpoint.past);
    past_[static_cast<std::size_t>(slot)] = checkpoint.past;
    const std::byte* from = checkpoint.bytes.data();
    for (const core::Tensor& part : one_way_states(slot)) {
        const auto bytes = static_cast<std::size_t>(formats::tensor_bytes(*part.format, part.shape));
        std::memcpy(part.data, from, bytes);
        from += bytes;
    }
}

void Session::follow(std::int64_t tokens, std::int64_t slot) { past_[static_cast<std::size_t>(slot)] = tokens; }

// The lender's memory for a state, or memory of its own.
core::Tensor Session::state_memory(const std::string& key, const formats::Format& format, const core::Shape& shape) const {
    if (!options_.lender) return formats::make_tensor(format, shape);
    const auto& lent = options_.lender->states_;
    const auto it = std::find_if(lent.begin(), lent.end(), [&](const auto& s) { return s.first == key; });
    if (it == lent.end() || it->second.format != &format || !(it->second.shape == shape))
        fail(ErrorKind::bug, "state '{}' cannot be shared with a session that has none like it", key);
    return it->second;
}

void Session::grow_arena(std::int64_t bytes) {
    if (bytes <= arena_size_) return;
    arena_ = formats::make_tensor(formats::get("i32"), {(bytes + 3) / 4});
    arena_size_ = bytes;
    for (Planned& planned : plans_) bind(*planned.plan);
}

void Session::bind(graph::Plan& plan) {
    std::vector<core::Tensor> states;
    for (const graph::Plan::StateSlot& slot : plan.state_slots()) {
        auto it = std::find_if(states_.begin(), states_.end(), [&](const auto& s) { return s.first == slot.key; });
        if (it == states_.end()) {
            if (slot.type.format) one_way_.push_back(slot.key);
            const formats::Format& format = slot.type.format ? *slot.type.format : formats::get(options_.kv_format);
            const core::Shape shape = slot.shape(options_.slots);
            if (!format.holds(shape.width()))
                fail(ErrorKind::usage, "a KV cache in {} needs heads of a multiple of {} values; this model has {}", format.name, format.values_per_block, shape.width());
            states_.emplace_back(slot.key, state_memory(slot.key, format, shape));
            it = states_.end() - 1;
        }
        states.push_back(it->second);
    }
    plan.set_input("token_ids", ids_.data());
    plan.set_input("positions", positions_.data());
    plan.set_input("wanted_rows", wanted_rows_.data());
    plan.bind(arena_.data, states);
}

graph::Graph Session::graph_of(std::int64_t rows, std::int64_t wanted) const {
    if (wanted < 0) return models::build_encoder(model_->family(), weights_, rows, options_.context);
    graph::Graph graph = models::build(model_->family(), weights_, rows, wanted, options_.context);
    return options_.rewrite ? options_.rewrite(graph) : graph;
}

graph::Plan& Session::plan(std::int64_t rows, std::int64_t wanted) {
    for (Planned& planned : plans_)
        if (planned.rows == rows && planned.wanted == wanted) {
            planned.last_used = ++uses_;
            return *planned.plan;
        }
    if (plans_.size() == most_plans)
        plans_.erase(std::min_element(plans_.begin(), plans_.end(), [](const Planned& a, const Planned& b) { return a.last_used < b.last_used; }));
    graph::PlanOptions planning = options_.planning();
    planning.state.context = budget_ ? budget_->capacity() : options_.context;
    auto made = std::make_unique<graph::Plan>(graph_of(rows, wanted), pool_, std::move(planning));
    grow_arena(made->arena_bytes());
    bind(*made);
    plans_.push_back({rows, wanted, std::move(made), ++uses_});
    return *plans_.back().plan;
}

// Row `row` of the coming step is the next token of `slot`.
void Session::append_row(std::int64_t row, text::TokenId id, std::int64_t slot) {
    std::int64_t& past = past_[static_cast<std::size_t>(slot)];
    if (id < 0 || id >= model_->facts().vocabulary)
        fail(ErrorKind::usage, "token id {} is outside the vocabulary of {}", id, model_->facts().vocabulary);
    const auto i = static_cast<std::size_t>(row);
    ids_[i] = id;
    places_[i] = static_cast<std::int32_t>(budget_ ? budget_->entries() + row : past);
    positions_[i] = static_cast<std::int32_t>(past++);
    sequences_[i] = static_cast<std::int32_t>(slot);
}

void Session::encode(std::span<const text::TokenId> ids, std::int64_t slot) {
    if (!model_->family().build_encoder) fail(ErrorKind::usage, "{}: the {} family has no encoder", model_->file().path(), model_->family().name);
    const auto rows = static_cast<std::int64_t>(ids.size());
    if (rows < 1 || rows > options_.context) fail(ErrorKind::usage, "a text of {} tokens does not fit the context of {}; ask for a larger one with -c", rows, options_.context);
    reset(slot);
    for (std::int64_t r = 0; r < rows; ++r) append_row(r, ids[static_cast<std::size_t>(r)], slot);
    past_[static_cast<std::size_t>(slot)] = 0;  // the encoder's positions are its own
    step(rows, -1);
}

text::TokenId Session::first_written() const {
    const files::Metadata& metadata = model_->file().metadata();
    return static_cast<text::TokenId>(metadata.integer(std::string(metadata.text("general.architecture")) + ".decoder_start_token_id", 0));
}

// Runs the rows that were appended; logits of the last `wanted` of them.
const core::Tensor& Session::step(std::int64_t rows, std::int64_t wanted) {
    for (std::int64_t i = 0; i < wanted; ++i) wanted_rows_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(rows - wanted + i);
    graph::Plan& p = plan(rows, wanted);
    const auto count = static_cast<std::size_t>(rows);
    const ops::Batch batch{{sequences_.data(), count}, {places_.data(), count}};
    if (runner_) runner_(p, batch);
    else if (budget_ && budget_->weighs()) p.run_observed(batch, [this](const graph::Node& node, std::span<const core::Tensor> inputs) { budget_->observe(node, inputs); });
    else p.run(batch);
    return p.output();
}

void Session::require_room(std::int64_t tokens, std::int64_t slot) const {
    if (past(slot) + tokens <= options_.context) return;
    const std::string behind = past(slot) > 0 ? core::format(" behind the {} that stand there", past(slot)) : "";
    fail(ErrorKind::usage, "{} tokens{} do not fit the context of {}; ask for a larger one with -c", tokens, behind, options_.context);
}

const core::Tensor& Session::evaluate(std::span<const text::TokenId> ids, std::int64_t wanted, std::int64_t slot) {
    const auto rows = static_cast<std::int64_t>(ids.size());
    if (rows < 1 || wanted < 0 || wanted > rows) fail(ErrorKind::bug, "{} logits of {} tokens cannot be", wanted, rows);
    require_room(rows, slot);
    if (budget_) return evaluate_in_budget(ids, wanted);
    for (std::int64_t r = 0; r < rows; ++r) append_row(r, ids[static_cast<std::size_t>(r)], slot);
    return step(rows, wanted);
}

// In steps of as many rows as an eviction makes room for; the logits of several steps are brought together.
const core::Tensor& Session::evaluate_in_budget(std::span<const text::TokenId> ids, std::int64_t wanted) {
    const auto rows = static_cast<std::int64_t>(ids.size());
    for (std::int64_t done = 0, gathered = 0; done < rows;) {
        const std::int64_t count = std::min(budget_->most_rows(), rows - done), logits = std::clamp<std::int64_t>(done + count - (rows - wanted), 0, count);
        budget_->make_room(count, states_, pool_, options_.isa);
        const std::int64_t position = past(0);
        for (std::int64_t r = 0; r < count; ++r) append_row(r, ids[static_cast<std::size_t>(done + r)], 0);
        budget_->append(count, position);
        const core::Tensor& answer = step(count, logits);
        done += count;
        if (done == rows && logits == wanted) return answer;
        if (!gathered_ || gathered_.shape.rows() < wanted) gathered_ = formats::make_tensor(formats::get("f32"), {wanted, model_->facts().vocabulary});
        if (logits > 0) std::memcpy(gathered_.row_f32(gathered), answer.row_f32(0), static_cast<std::size_t>(logits * answer.shape.width()) * sizeof(float));
        gathered += logits;
    }
    return gathered_;
}

const core::Tensor& Session::evaluate_slots(std::span<const text::TokenId> ids) {
    const auto rows = static_cast<std::int64_t>(ids.size());
    if (rows < 1 || rows > options_.slots) fail(ErrorKind::bug, "{} tokens for {} slots", rows, options_.slots);
    if (budget_) return evaluate(ids);
    for (std::int64_t slot = 0; slot < rows; ++slot) {
        if (past(slot) == options_.context) fail(ErrorKind::usage, "the context of {} tokens is full", options_.context);
        append_row(slot, ids[static_cast<std::size_t>(slot)], slot);
    }
    return step(rows, rows);
}

const core::Tensor& Session::prefill(std::span<const text::TokenId> ids, std::int64_t slot) {
    const auto total = static_cast<std::int64_t>(ids.size());
    require_room(total, slot);
    const auto tell = [&](std::int64_t done) {
        if (progress_) progress_(done, total);
    };
    std::int64_t done = 0;
    tell(0);
    for (; total - done > options_.batch; tell(done)) {
        evaluate(ids.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(options_.batch)), 0, slot);
        done += options_.batch;
        core::check_interrupt();
    }
    const core::Tensor& logits = evaluate(ids.subspan(static_cast<std::size_t>(done)), 1, slot);
    tell(total);
    return logits;
}

void Session::set_weight(std::string_view name, const core::Tensor& given) {
    const bool panels = weights_.find(name).layout == core::Layout::panels && given.layout == core::Layout::rows && formats::has_panels(*given.format);
    const core::Tensor tensor = panels ? formats::make_panels(given, &pool_) : given;
    weights_.replace(name, tensor);
    for (Planned& planned : plans_)
        if (planned.plan->has_constant(name)) planned.plan->set_constant(name, tensor);
}

std::uint64_t Session::state_bytes() const {
    std::uint64_t total = 0;
    for (const auto& [key, state] : states_) total += static_cast<std::uint64_t>(formats::tensor_bytes(*state.format, state.shape));
    return total;
}

}  // namespace tailor::run
