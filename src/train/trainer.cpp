// Building the plan of a step, and the step; see trainer.h.
#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "core/error.h"
#include "core/hash.h"
#include "files/registry.h"
#include "formats/registry.h"
#include "graph/gradient.h"
#include "graph/loss_chunks.h"
#include "graph/passes.h"
#include "ops/pair_product.h"
#include "ops/support.h"
#include "train/frozen.h"
#include "train/gradient_norm.h"
#include "train/initial.h"

namespace tailor::train {

using core::ErrorKind;
using core::fail;

// Weights of single values are trained as f32, in memory of our own.
static core::Tensor in_f32(const core::Tensor& tensor) {
    core::Tensor copy = formats::make_tensor(formats::get("f32"), tensor.shape);
    for (std::int64_t r = 0; r < tensor.shape.rows(); ++r) tensor.format->decode.functions[0](tensor.row(r), copy.row_f32(r), tensor.shape.width());
    return copy;
}

Trainer::Trainer(const files::File& file, core::Pool& pool, TrainerOptions options) : file_(file), pool_(pool), options_(options), weights_(file) {
    if (options.batch < 1 || options.context < 1 || options.accumulate < 1)
        fail(ErrorKind::usage, "{} batches of {} sequences of {} tokens cannot be trained on", options.accumulate, options.batch, options.context);
    optimizer_ = &optimizers::get(options.optimizer);
    if (!options_.objective) options_.objective = std::make_shared<Objective>();
    if (!options_.workers) options_.workers = std::make_shared<Workers>();
    const int processes = options_.workers->count();
    if (options.batch % processes != 0) fail(ErrorKind::usage, "a batch of {} sequences cannot be shared by {} processes; use a multiple of {}", options.batch, processes, processes);
    options_.batch /= processes;
    for (const files::TensorInfo& info : file.tensors()) {
        if (!options_.objective->trains(info.name) || !info.format || !info.format->weights || info.format->values_per_block != 1) continue;
        weights_.replace(info.name, in_f32(weights_.find(info.name)));
        file.release(info);
    }
    const auto rows = static_cast<std::int32_t>(options_.batch * options.context);
    for (std::int32_t r = 0; r < rows; ++r) {
        wanted_.push_back(r);
        positions_.push_back(r % static_cast<std::int32_t>(options.context)), sequences_.push_back(r / static_cast<std::int32_t>(options.context));
    }
    if (options_.pack) pack_frozen(weights_, options_.context, *options_.objective, pool_);
    build();
}

static graph::PlanOptions plan_options(const TrainerOptions& options) {
    return {.isa = options.isa, .state = {options.context}, .most_error = options.bf16 ? ops::training_error : 1e-4, .bf16 = options.bf16};
}

void Trainer::build() {
    const std::int64_t rows = options_.batch * options_.context;
    const models::Model& family = models::family_of(file_);
    if (family.encodes) fail(ErrorKind::unsupported, "{}: {} is an encoder; only models that predict the next token can be trained", file_.path(), family.name);
    graph::Graph step = graph::optimize(options_.objective->prepare(models::build(family, weights_, rows, rows, options_.context)));
    // What a step gives are the losses and the gradients.
    const graph::Value logits = step.take_outputs()[0], targets = step.input("targets", ops::i32({rows}));
    vocabulary_ = step.node(logits).type.shape.width();
    const graph::Value losses = options_.objective->loss(step, {logits, targets, rows, options_.context});
    std::vector<graph::Value> trained = graph::trainable(step, losses);
    std::erase_if(trained, [&](graph::Value v) { return !options_.objective->trains(step.node(v).name); });
    if (trained.empty()) fail(ErrorKind::unsupported, "{}: no weight can be trained: formats of blocks stay as they are", file_.path());
    seed_ = formats::make_tensor(formats::get("f32"), {rows, 1});
    step.output(losses);
    way_forth_ = step;
    const auto turn = static_cast<graph::Value>(step.nodes().size());
    for (const graph::Value gradient : graph::add_gradients(step, losses, trained, step.constant("loss.seed", seed_))) step.output(gradient);
    for (const graph::Value v : trained) {
        trained_.push_back(step.node(v).constant);
        parameters_.push_back({step.node(v).name, trained_.back().shape});
    }
    shares_ = std::make_unique<Shares>(parameters_, *optimizer_, *options_.workers);
    for (Shares::Share& share : shares_->own())
        if (options_.optimizer_on_disk) share.state.move_to_disk(options_.saving.folder);
    for (const Shares::Share& share : shares_->own())
        if (options_.accumulate > 1) sums_.push_back(formats::make_tensor(formats::get("f32"), share.parameter.shape));
    graph::Saving saving = graph::save_values(step, turn, options_.saving);
    spill_file_ = std::move(saving.file), saving_summary_ = std::move(saving.summary);
    plan_ = std::make_unique<graph::Plan>(saving.graph, pool_, plan_options(options_));
    arena_ = formats::make_tensor(formats::get("i32"), {plan_->arena_bytes() / 4 + 1});
    make_states();
    plan_->bind(arena_.data, states_);
}

// A cache is filled by its operator before it is read, and the way back computes from keys and values themselves, not from caches: all layers
// may use one. Recurrent states begin as zeros, each its own.
void Trainer::make_states() {
    std::map<std::string, core::Tensor> caches;
    for (const graph::Plan::StateSlot& slot : plan_->state_slots()) {
        core::Tensor* const cache = slot.type.format ? nullptr : &caches[std::string(slot.type.name) + slot.type.shape.text()];
        states_.push_back(cache && *cache ? *cache : slot.make(options_.batch));
        if (cache) *cache = states_.back();
    }
}

// The way forth alone needs less memory than a step, and its states are among those of one: it borrows both.
void Trainer::prepare_forward() {
    if (forward_) return;
    forward_ = std::make_unique<graph::Plan>(graph::chunk_loss(way_forth_, options_.saving.loss_rows), pool_, plan_options(options_));
    std::vector<core::Tensor> states;
    for (const graph::Plan::StateSlot& slot : forward_->state_slots())
        for (std::size_t i = 0; i < states_.size(); ++i)
            if (plan_->state_slots()[i].key == slot.key) states.push_back(states_[i]);
    if (forward_->arena_bytes() > plan_->arena_bytes()) arena_ = formats::make_tensor(formats::get("i32"), {forward_->arena_bytes() / 4 + 1}), plan_->bind(arena_.data, states_);
    forward_->bind(arena_.data, states);
}

void Trainer::initialize(std::uint64_t seed) {
    const std::int64_t layers = file_.metadata().integer(std::string(file_.metadata().text("general.architecture")) + ".block_count", 1);
    for (const graph::Node& node : plan_->graph().nodes())
        if (node.is_constant() && !node.name.empty() && node.name != "loss.seed" && node.constant.format->name == "f32") initialize_weight(node.name, node.constant, layers, seed);
}

static std::int64_t count_targets(std::span<const std::int32_t> targets) { return std::count_if(targets.begin(), targets.end(), [](std::int32_t t) { return t >= 0; }); }

// Every loss counts as one of `counted`.
void Trainer::run(graph::Plan& plan, std::span<const std::int32_t> ids, std::span<const std::int32_t> targets, std::int64_t counted) {
    const auto rows = static_cast<std::size_t>(options_.batch * options_.context);
    if (ids.size() != rows || targets.size() != rows) fail(ErrorKind::bug, "a batch of {} rows was given {} tokens and {} targets", rows, ids.size(), targets.size());
    for (const std::span<const std::int32_t>* const tokens : {&ids, &targets})
        for (const std::int32_t id : *tokens)
            if (id >= vocabulary_ || (id < 0 && tokens == &ids)) fail(ErrorKind::usage, "{}: {} is no token; the model has {}", file_.path(), id, vocabulary_);
    for (const core::Tensor& state : states_) std::memset(state.data, 0, static_cast<std::size_t>(formats::tensor_bytes(*state.format, state.shape)));
    std::fill_n(seed_.row_f32(0), rows, 1 / static_cast<float>(std::max<std::int64_t>(1, counted)));
    plan.set_input("token_ids", ids.data());
    plan.set_input("positions", positions_.data());
    plan.set_input("wanted_rows", wanted_.data());
    plan.set_input("targets", targets.data());
    options_.objective->set_inputs(plan, ids);
    plan.run({sequences_, positions_});
}

double Trainer::summed_loss(const graph::Plan& plan) const {
    double total = 0;
    for (std::int64_t r = 0; r < options_.batch * options_.context; ++r) total += static_cast<double>(plan.output(0).row_f32(0)[r]);
    return total;
}

double Trainer::loss(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets) {
    const std::int64_t counted = count_targets(targets);
    prepare_forward();
    run(*forward_, own_rows(ids, 0, 1), own_rows(targets, 0, 1), counted);
    double loss = summed_loss(*forward_) / static_cast<double>(std::max<std::int64_t>(1, counted));
    options_.workers->sum({&loss, 1});
    return loss;
}

/// Of batch `b` of several, what this process works on.
std::span<const std::int32_t> Trainer::own_rows(const std::vector<std::int32_t>& tokens, std::size_t b, std::size_t batches) const {
    const auto rows = static_cast<std::size_t>(options_.batch * options_.context), processes = static_cast<std::size_t>(options_.workers->count());
    if (tokens.size() != batches * processes * rows)
        fail(ErrorKind::bug, "{} batches of {} rows for {} processes were given {} tokens", batches, rows, processes, tokens.size());
    return std::span(tokens).subspan((b * processes + static_cast<std::size_t>(options_.workers->rank())) * rows, rows);
}

std::vector<core::Tensor> Trainer::gradients(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, double& loss) {
    const auto batches = static_cast<std::size_t>(options_.accumulate);
    const std::int64_t counted = count_targets(targets);
    std::vector<core::Tensor> result;
    loss = 0;
    for (std::size_t b = 0; b < batches; ++b) {
        run(*plan_, own_rows(ids, b, batches), own_rows(targets, b, batches), counted);
        loss += summed_loss(*plan_) / static_cast<double>(std::max<std::int64_t>(1, counted));
        std::vector<core::Tensor> whole;
        for (std::size_t i = 0; i < trained_.size(); ++i) whole.push_back(plan_->output(i + 1));
        shares_->sum(whole);
        result = shares_->parts(whole);
        for (std::size_t i = 0; i < result.size() && batches > 1; ++i) {
            const float* const from = result[i].row_f32(0);
            float* const to = sums_[i].row_f32(0);
            optimizers::for_chunks(pool_, result[i].shape.elements(), [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t k = begin; k < end; ++k) to[k] = b == 0 ? from[k] : to[k] + from[k];
            });
        }
    }
    options_.workers->sum({&loss, 1});
    return batches > 1 ? sums_ : result;
}

/// The first weight with a number that is not finite, or nothing.
std::string Trainer::infinite_weight() const {
    for (std::size_t i = 0; i < trained_.size(); ++i)
        if (has_not_finite(trained_[i], pool_)) return parameters_[i].name;
    return {};
}

void Trainer::check_finite(const Step& result, const std::vector<core::Tensor>& gradients) const {
    if (std::isfinite(result.loss) && std::isfinite(result.gradient_norm)) return;
    std::string name = infinite_weight(), where = " has a number";
    if (name.empty()) {
        std::size_t first = parameters_.size();
        for (std::size_t i = gradients.size(); i-- > 0;)
            if (has_not_finite(gradients[i], pool_)) first = shares_->own()[i].shard.tensor;
        first = static_cast<std::size_t>(options_.workers->least(static_cast<std::int64_t>(first)));
        if (first < parameters_.size()) name = parameters_[first].name, where = " has a gradient";
    }
    const std::string tensor = name.empty() ? "no weight and no gradient is to blame" : core::format("{}{} that is not finite", name, where);
    fail(ErrorKind::numeric, "{}: step {}: the loss is {} and the norm of the gradients {}; {}; a smaller rate may help", file_.path(), steps_ + 1, result.loss,
         result.gradient_norm, tensor);
}

/// Whoever trains together must train the same: checked once, and the weights of the first are everyone's, whatever libraries made them.
void Trainer::agree() {
    std::uint64_t hash = core::hash64(core::format("{} {} {} {}", options_.batch, options_.accumulate, options_.context, optimizer_->name));
    for (const optimizers::Parameter& parameter : parameters_) hash = core::hash64(parameter.name + parameter.shape.text(), hash);
    options_.workers->check_same("model or batch", hash);
    options_.workers->check_same("number of steps behind it", static_cast<std::uint64_t>(steps_));
    for (const core::Tensor& weight : trained_) options_.workers->copy_from(0, {weight.data, static_cast<std::size_t>(4 * weight.shape.elements())});
    agreed_ = true;
}

Step Trainer::step(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, double rate) {
    Step result;
    if (!agreed_) agree();
    options_.objective->begin_step(steps_, pool_);
    const std::vector<core::Tensor> gradients = this->gradients(ids, targets, result.loss);
    result.gradient_norm = sum_of_squares(gradients, pool_);
    options_.workers->sum({&result.gradient_norm, 1});
    result.gradient_norm = std::sqrt(result.gradient_norm);
    check_finite(result, gradients);
    const double scale = options_.clip > 0 && result.gradient_norm > options_.clip ? options_.clip / result.gradient_norm : 1;
    ++steps_;
    const std::vector<core::Tensor> weights = shares_->parts(trained_);
    for (std::size_t i = 0; i < weights.size(); ++i) {
        Shares::Share& share = shares_->own()[i];
        const double decay = parameters_[share.shard.tensor].is_matrix() ? options_.weight_decay : 0;
        optimizer_->update({share.parameter, weights[i].row_f32(0), gradients[i].row_f32(0), scale, rate, decay, steps_, share.state, pool_, options_.isa});
        share.state.rest();
    }
    shares_->spread(trained_);
    return result;
}

std::vector<Piece> Trainer::pieces() {
    std::vector<Piece> list;
    for (std::size_t i = 0; i < trained_.size(); ++i) {
        list.push_back({.name = parameters_[i].name, .bytes = {trained_[i].data, static_cast<std::size_t>(4 * parameters_[i].numbers())}});
        for (Piece& piece : shares_->pieces(i)) list.push_back(std::move(piece));
    }
    for (Piece& piece : options_.objective->pieces()) list.push_back(std::move(piece));
    return list;
}

/// Of the weights that are not trained, which a checkpoint does not hold; they are read once.
std::uint64_t Trainer::frozen_hash() const {
    if (frozen_hash_) return *frozen_hash_;
    std::uint64_t hash = 0;
    for (const files::TensorInfo& info : file_.tensors()) {
        const core::Tensor tensor = weights_.find(info.name);
        const auto bytes = tensor ? static_cast<std::size_t>(formats::tensor_bytes(*tensor.format, tensor.shape)) : 0;
        // By memory, not by name: a graph may hold a weight as a part of a file's tensor or in another shape.
        const auto within = [&](const core::Tensor& t) { return t.data < tensor.data + bytes && tensor.data < t.data + 4 * t.shape.elements(); };
        if (std::any_of(trained_.begin(), trained_.end(), within)) continue;
        // As the file has it: in memory it may lie in panels.
        const core::Tensor stored = file_.read(info);
        hash = core::hash64(std::span(static_cast<const std::byte*>(stored.data), static_cast<std::size_t>(info.bytes)), core::hash64(info.name, hash));
        if (tensor.layout == core::Layout::panels) file_.release(info);
    }
    frozen_hash_ = hash;
    return hash;
}

std::uint64_t Trainer::save(const std::string& path, const core::Json& settings) {
    if (const std::string name = infinite_weight(); !name.empty())
        fail(ErrorKind::numeric, "{}: step {} left numbers in {} that are not finite; a smaller rate may help", file_.path(), steps_, name);
    if (!options_.workers->first()) return shares_->send(), 0;
    core::Json about;
    about.set("objective", options_.objective->identity()).set("step", steps_).set("optimizer", optimizer_->name).set("frozen", core::format("{:016x}", frozen_hash())).set("settings", settings);
    return write_checkpoint(path, about, pieces());
}

void Trainer::restore(const Checkpoint& checkpoint) {
    const std::string& optimizer = checkpoint.about().at("optimizer").string();
    if (optimizer != optimizer_->name) fail(ErrorKind::usage, "{}: the checkpoint was made with the optimizer {}, not {}", checkpoint.path(), optimizer, optimizer_->name);
    if (checkpoint.about().at("frozen").string() != core::format("{:016x}", frozen_hash()))
        fail(ErrorKind::usage, "{}: the checkpoint is of another model than {}: the weights that are not trained differ", checkpoint.path(), file_.path());
    const core::Json* const objective = checkpoint.about().find("objective");
    if (const std::string was = objective ? objective->string() : std::string(), is = options_.objective->identity(); was != is)
        fail(ErrorKind::usage, "{}: the checkpoint was trained for '{}', this run is for '{}'", checkpoint.path(), was, is);
    checkpoint.restore(pieces());
    steps_ = checkpoint.about().at("step").integer();
}

core::Tensor Trainer::weight(std::string_view name) const {
    for (std::size_t i = 0; i < trained_.size(); ++i)
        if (parameters_[i].name == name) return trained_[i];
    return {};
}

std::int64_t Trainer::parameters() const {
    std::int64_t count = 0;
    for (const core::Tensor& weight : trained_) count += weight.shape.elements();
    return count;
}

std::uint64_t Trainer::write(const std::string& path) const {
    if (!options_.workers->first()) return 0;
    files::WritePlan plan{.metadata = file_.metadata(), .tensors = {}};
    for (const files::TensorInfo& info : file_.tensors()) plan.tensors.push_back({info.name, weights_.find(info.name).format, info.shape});
    // The number of "all f32"; what stayed packed says so itself.
    plan.metadata.set_integer("general.file_type", formats::get("f32").gguf_file_type);
    return files::kind_for(path).write(path, plan, [&](std::size_t index) {
        const core::Tensor held = weights_.find(plan.tensors[index].name);
        return held.layout == core::Layout::rows ? held : file_.read(*file_.find(plan.tensors[index].name));
    });
}

}  // namespace tailor::train
