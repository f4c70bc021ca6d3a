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
    if (options.batch < 1 || options.context < 1) fail(ErrorKind::usage, "a batch of {} sequences of {} tokens cannot be trained on", options.batch, options.context);
    for (const files::TensorInfo& info : file.tensors())
        if (info.format && info.format->weights && info.format->values_per_block == 1) weights_.replace(info.name, in_f32(weights_.find(info.name)));
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
    const graph::Graph built = graph::optimize(models::build(family, weights_, rows, rows, options_.context));
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
    const graph::Value losses = step.add("cross_entropy", {logits, targets}, {}, "loss");
    const std::vector<graph::Value> trained = graph::trainable(step, losses);
    if (trained.empty()) fail(ErrorKind::unsupported, "{}: no weight can be trained: formats of blocks stay as they are", file_.path());
    seed_ = formats::make_tensor(formats::get("f32"), {rows, 1});
    step.output(losses);
    for (const graph::Value gradient : graph::add_gradients(step, losses, trained, step.constant("loss.seed", seed_))) step.output(gradient);
    for (const graph::Value v : trained) {
        trained_.push_back(step.node(v).constant);
        moments_.emplace_back(trained_.back().shape.elements());
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

void Trainer::run(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets) {
    const auto rows = static_cast<std::size_t>(options_.batch * options_.context);
    if (ids.size() != rows || targets.size() != rows) fail(ErrorKind::bug, "a step of {} rows was given {} tokens and {} targets", rows, ids.size(), targets.size());
    for (const std::vector<std::int32_t>* const tokens : {&ids, &targets})
        for (const std::int32_t id : *tokens)
            if (id >= vocabulary_ || (id < 0 && tokens == &ids)) fail(ErrorKind::usage, "{}: {} is no token; the model has {}", file_.path(), id, vocabulary_);
    for (const core::Tensor& state : states_) std::memset(state.data, 0, static_cast<std::size_t>(formats::tensor_bytes(*state.format, state.shape)));
    const auto counted = std::count_if(targets.begin(), targets.end(), [](std::int32_t t) { return t >= 0; });
    std::fill_n(seed_.row_f32(0), rows, 1 / static_cast<float>(std::max<std::ptrdiff_t>(1, counted)));
    for (const auto& [name, data] : {std::pair<const char*, const std::vector<std::int32_t>*>{"token_ids", &ids}, {"positions", &positions_}, {"wanted_rows", &wanted_}, {"targets", &targets}})
        plan_->set_input(name, data->data());
    plan_->run({sequences_, positions_});
}

double Trainer::mean_loss(const std::vector<std::int32_t>& targets) const {
    double total = 0, counted = 0;
    for (std::size_t r = 0; r < targets.size(); ++r) total += static_cast<double>(plan_->output(0).row_f32(0)[r]), counted += targets[r] >= 0;
    return total / std::max(1.0, counted);
}

double Trainer::loss(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets) {
    run(ids, targets);
    return mean_loss(targets);
}

Step Trainer::step(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, double rate) {
    run(ids, targets);
    std::vector<core::Tensor> gradients;
    for (std::size_t i = 0; i < trained_.size(); ++i) gradients.push_back(plan_->output(i + 1));
    const Step result{mean_loss(targets), global_norm(gradients, pool_)};
    if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm))
        fail(ErrorKind::numeric, "{}: the loss is {} and the gradient's norm {} at step {}; a smaller rate may help", file_.path(), result.loss, result.gradient_norm, steps_ + 1);
    const double scale = options_.clip > 0 && result.gradient_norm > options_.clip ? options_.clip / result.gradient_norm : 1;
    ++steps_;
    for (std::size_t i = 0; i < trained_.size(); ++i) {
        AdamWOptions adamw = options_.adamw;
        // Vectors (norms, biases) are not pulled towards zero.
        if (trained_[i].shape.rank() < 2 || trained_[i].shape.rows() == 1) adamw.weight_decay = 0;
        moments_[i].update(trained_[i].row_f32(0), gradients[i].row_f32(0), scale, rate, steps_, adamw, pool_);
    }
    return result;
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
