// Building the plan of a step, and the step; see trainer.h.
#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "core/error.h"
#include "core/hash.h"
#include "files/registry.h"
#include "formats/registry.h"
#include "graph/gradient.h"
#include "graph/passes.h"
#include "ops/support.h"
#include "train/gradient_norm.h"

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
    for (const files::TensorInfo& info : file.tensors())
        if (options_.objective->trains(info.name) && info.format && info.format->weights && info.format->values_per_block == 1) weights_.replace(info.name, in_f32(weights_.find(info.name)));
    const auto rows = static_cast<std::int32_t>(options.batch * options.context);
    for (std::int32_t r = 0; r < rows; ++r) {
        wanted_.push_back(r);
        positions_.push_back(r % static_cast<std::int32_t>(options.context)), sequences_.push_back(r / static_cast<std::int32_t>(options.context));
    }
    build();
}

void Trainer::build() {
    const std::int64_t rows = options_.batch * options_.context;
    const models::Model& family = models::family_of(file_);
    if (family.encodes) fail(ErrorKind::unsupported, "{}: {} is an encoder; only models that predict the next token can be trained", file_.path(), family.name);
    const graph::Graph built = graph::optimize(options_.objective->prepare(models::build(family, weights_, rows, rows, options_.context)));
    // The same nodes without their outputs: what a step gives are the losses and the gradients.
    graph::Graph step;
    std::vector<graph::Value> places;
    for (const graph::Node& node : built.nodes()) {
        std::vector<graph::Value> inputs;
        for (const graph::Value v : node.inputs) inputs.push_back(v == graph::absent ? v : places[static_cast<std::size_t>(v)]);
        places.push_back(step.keep(node, inputs));
    }
    const graph::Value logits = places[static_cast<std::size_t>(built.outputs()[0])], targets = step.input("targets", ops::i32({rows}));
    vocabulary_ = step.node(logits).type.shape.width();
    const graph::Value losses = options_.objective->loss(step, {logits, targets, rows, options_.context});
    std::vector<graph::Value> trained = graph::trainable(step, losses);
    std::erase_if(trained, [&](graph::Value v) { return !options_.objective->trains(step.node(v).name); });
    if (trained.empty()) fail(ErrorKind::unsupported, "{}: no weight can be trained: formats of blocks stay as they are", file_.path());
    seed_ = formats::make_tensor(formats::get("f32"), {rows, 1});
    step.output(losses);
    for (const graph::Value gradient : graph::add_gradients(step, losses, trained, step.constant("loss.seed", seed_))) step.output(gradient);
    for (const graph::Value v : trained) {
        trained_.push_back(step.node(v).constant);
        parameters_.push_back({step.node(v).name, trained_.back().shape});
        remembered_.emplace_back(optimizer_->state(parameters_.back()));
        if (options_.accumulate > 1) sums_.push_back(formats::make_tensor(formats::get("f32"), trained_.back().shape));
    }
    plan_ = std::make_unique<graph::Plan>(step, pool_, graph::PlanOptions{.isa = options_.isa, .state = {options_.context}, .most_error = 1e-4});
    arena_ = formats::make_tensor(formats::get("i32"), {plan_->arena_bytes() / 4 + 1});
    for (const graph::Plan::StateSlot& slot : plan_->state_slots()) {
        core::Shape shape{options_.batch};
        for (int i = 0; i < slot.type.shape.rank(); ++i) shape.append(slot.type.shape[i]);
        states_.push_back(formats::make_tensor(slot.type.format ? *slot.type.format : formats::get("f32"), shape));
    }
    plan_->bind(arena_.data, states_);
}

void Trainer::initialize(std::uint64_t seed) {
    const double layers = static_cast<double>(file_.metadata().integer(std::string(file_.metadata().text("general.architecture")) + ".block_count", 1));
    const graph::Graph& graph = plan_->graph();
    for (const graph::Node& node : graph.nodes()) {
        if (!node.is_constant() || node.name.empty() || node.name == "loss.seed") continue;
        const core::Tensor& weight = node.constant;
        if (weight.format->name != "f32") continue;
        float* const numbers = weight.row_f32(0);
        const std::int64_t count = weight.shape.elements();
        if (node.name.ends_with("norm.weight")) std::fill_n(numbers, count, 1.0f);
        else if (node.name.ends_with(".bias")) std::fill_n(numbers, count, 0.0f);
        if (weight.shape.rank() < 2 || weight.shape.rows() < 2) continue;
        const bool to_residual = node.name.ends_with("attn_output.weight") || node.name.ends_with("ffn_down.weight");
        const double deviation = 0.02 / (to_residual ? std::sqrt(2 * layers) : 1.0);
        std::mt19937_64 random(seed ^ core::hash64(node.name));
        // Box and Muller, since the library's normal numbers may differ from one to the next.
        const auto uniform = [&] { return (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53; };
        for (std::int64_t i = 0; i < count; ++i) {
            const double radius = std::sqrt(-2 * std::log(uniform())), angle = 2 * M_PI * uniform();
            numbers[i] = static_cast<float>(deviation * radius * std::cos(angle));
        }
    }
}

static std::int64_t count_targets(std::span<const std::int32_t> targets) { return std::count_if(targets.begin(), targets.end(), [](std::int32_t t) { return t >= 0; }); }

// Every loss counts as one of `counted`.
void Trainer::run(std::span<const std::int32_t> ids, std::span<const std::int32_t> targets, std::int64_t counted) {
    const auto rows = static_cast<std::size_t>(options_.batch * options_.context);
    if (ids.size() != rows || targets.size() != rows) fail(ErrorKind::bug, "a batch of {} rows was given {} tokens and {} targets", rows, ids.size(), targets.size());
    for (const std::span<const std::int32_t>* const tokens : {&ids, &targets})
        for (const std::int32_t id : *tokens)
            if (id >= vocabulary_ || (id < 0 && tokens == &ids)) fail(ErrorKind::usage, "{}: {} is no token; the model has {}", file_.path(), id, vocabulary_);
    for (const core::Tensor& state : states_) std::memset(state.data, 0, static_cast<std::size_t>(formats::tensor_bytes(*state.format, state.shape)));
    std::fill_n(seed_.row_f32(0), rows, 1 / static_cast<float>(std::max<std::int64_t>(1, counted)));
    plan_->set_input("token_ids", ids.data());
    plan_->set_input("positions", positions_.data());
    plan_->set_input("wanted_rows", wanted_.data());
    plan_->set_input("targets", targets.data());
    plan_->run({sequences_, positions_});
}

double Trainer::summed_loss() const {
    double total = 0;
    for (std::int64_t r = 0; r < options_.batch * options_.context; ++r) total += static_cast<double>(plan_->output(0).row_f32(0)[r]);
    return total;
}

double Trainer::loss(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets) {
    const std::int64_t counted = count_targets(targets);
    run(ids, targets, counted);
    return summed_loss() / static_cast<double>(std::max<std::int64_t>(1, counted));
}

std::vector<core::Tensor> Trainer::gradients(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, double& loss) {
    const auto rows = static_cast<std::size_t>(options_.batch * options_.context), batches = static_cast<std::size_t>(options_.accumulate);
    if (ids.size() != batches * rows || targets.size() != ids.size())
        fail(ErrorKind::bug, "a step of {} batches of {} rows was given {} tokens and {} targets", batches, rows, ids.size(), targets.size());
    const std::int64_t counted = count_targets(targets);
    std::vector<core::Tensor> result;
    loss = 0;
    for (std::size_t b = 0; b < batches; ++b) {
        run(std::span(ids).subspan(b * rows, rows), std::span(targets).subspan(b * rows, rows), counted);
        loss += summed_loss() / static_cast<double>(std::max<std::int64_t>(1, counted));
        for (std::size_t i = 0; i < trained_.size() && batches > 1; ++i) {
            const float* const from = plan_->output(i + 1).row_f32(0);
            float* const to = sums_[i].row_f32(0);
            optimizers::for_chunks(pool_, parameters_[i].numbers(), [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t k = begin; k < end; ++k) to[k] = b == 0 ? from[k] : to[k] + from[k];
            });
        }
    }
    for (std::size_t i = 0; i < trained_.size(); ++i) result.push_back(batches > 1 ? sums_[i] : plan_->output(i + 1));
    return result;
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
    for (std::size_t i = 0; i < gradients.size() && name.empty(); ++i)
        if (has_not_finite(gradients[i], pool_)) name = parameters_[i].name, where = " has a gradient";
    const std::string tensor = name.empty() ? "no weight and no gradient is to blame" : core::format("{}{} that is not finite", name, where);
    fail(ErrorKind::numeric, "{}: step {}: the loss is {} and the norm of the gradients {}; {}; a smaller rate may help", file_.path(), steps_ + 1, result.loss,
         result.gradient_norm, tensor);
}

Step Trainer::step(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, double rate) {
    Step result;
    const std::vector<core::Tensor> gradients = this->gradients(ids, targets, result.loss);
    result.gradient_norm = gradient_norm(gradients, pool_);
    check_finite(result, gradients);
    const double scale = options_.clip > 0 && result.gradient_norm > options_.clip ? options_.clip / result.gradient_norm : 1;
    ++steps_;
    for (std::size_t i = 0; i < trained_.size(); ++i) {
        const double decay = parameters_[i].is_matrix() ? options_.weight_decay : 0;
        optimizer_->update({parameters_[i], trained_[i].row_f32(0), gradients[i].row_f32(0), scale, rate, decay, steps_, remembered_[i], pool_, options_.isa});
    }
    return result;
}

std::vector<Piece> Trainer::pieces() {
    std::vector<Piece> list;
    for (std::size_t i = 0; i < trained_.size(); ++i) {
        list.push_back({parameters_[i].name, {trained_[i].data, static_cast<std::size_t>(4 * parameters_[i].numbers())}});
        for (std::size_t part = 0; part < remembered_[i].count(); ++part)
            list.push_back({parameters_[i].name + "/" + std::string(remembered_[i].name(part)), remembered_[i].bytes(part)});
    }
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
        hash = core::hash64(std::span(static_cast<const std::byte*>(tensor.data), bytes), core::hash64(info.name, hash));
    }
    frozen_hash_ = hash;
    return hash;
}

std::uint64_t Trainer::save(const std::string& path, const core::Json& settings) {
    if (const std::string name = infinite_weight(); !name.empty())
        fail(ErrorKind::numeric, "{}: step {} left numbers in {} that are not finite; a smaller rate may help", file_.path(), steps_, name);
    core::Json about;
    about.set("step", steps_).set("optimizer", optimizer_->name).set("frozen", frozen_hash()).set("settings", settings);
    return write_checkpoint(path, about, pieces());
}

void Trainer::restore(const Checkpoint& checkpoint) {
    const std::string& optimizer = checkpoint.about().at("optimizer").string();
    if (optimizer != optimizer_->name) fail(ErrorKind::usage, "{}: the checkpoint was made with the optimizer {}, not {}", checkpoint.path(), optimizer, optimizer_->name);
    if (checkpoint.about().at("frozen").integer() != static_cast<std::int64_t>(frozen_hash()))
        fail(ErrorKind::usage, "{}: the checkpoint is of another model than {}: the weights that are not trained differ", checkpoint.path(), file_.path());
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
    files::WritePlan plan{.metadata = file_.metadata(), .tensors = {}};
    for (const files::TensorInfo& info : file_.tensors()) plan.tensors.push_back({info.name, weights_.find(info.name).format, info.shape});
    // The number of "all f32"; what stayed packed says so itself.
    plan.metadata.set_integer("general.file_type", formats::get("f32").gguf_file_type);
    return files::kind_for(path).write(path, plan, [&](std::size_t index) { return weights_.find(plan.tensors[index].name); });
}

}  // namespace tailor::train
