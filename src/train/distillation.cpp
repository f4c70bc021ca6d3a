// The teacher in the graph of a step, and the sum of losses; see distillation.h.
#include "train/distillation.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "formats/registry.h"
#include "graph/passes.h"
#include "models/registry.h"
#include "ops/support.h"
#include "train/initial.h"

namespace tailor::train {

using core::ErrorKind;
using core::fail;
using losses::Needs;

/// The layer in a weight's name "blk.<layer>.", or -1.
static std::int64_t layer_of(std::string_view name) {
    if (!name.starts_with("blk.")) return -1;
    std::int64_t layer = 0;
    std::size_t i = 4;
    for (; i < name.size() && name[i] >= '0' && name[i] <= '9' && layer < 1 << 20; ++i) layer = 10 * layer + (name[i] - '0');
    return i > 4 && i < name.size() && name[i] == '.' ? layer : -1;
}

/// For every node: the layer of the weights it is computed from, if from weights alone (rounded, with an adapter); outside of layers -1, else from_input.
constexpr std::int64_t from_input = -2;

static std::vector<std::int64_t> weight_layers(const graph::Graph& graph) {
    std::vector<std::int64_t> of(graph.nodes().size(), from_input);
    for (std::size_t i = 0; i < of.size(); ++i) {
        const graph::Node& node = graph.nodes()[i];
        if (node.is_constant()) of[i] = layer_of(node.name);
        if (!node.op) continue;
        std::int64_t layer = -1;
        bool weights_alone = true;
        for (const graph::Value v : node.inputs)
            if (v != graph::absent) weights_alone &= of[static_cast<std::size_t>(v)] != from_input, layer = std::max(layer, of[static_cast<std::size_t>(v)]);
        if (weights_alone) of[i] = layer;
    }
    return of;
}

std::vector<graph::Value> hidden_states(const graph::Graph& graph, std::int64_t layers) {
    const std::vector<std::int64_t> of = weight_layers(graph);
    std::vector<graph::Value> states(static_cast<std::size_t>(layers) + 1, graph::absent);
    std::size_t last = 0;  // node that reads a weight of a layer
    const auto reads = [&](std::size_t i) {
        std::int64_t layer = from_input;
        for (const graph::Value v : graph.nodes()[i].inputs)
            if (v != graph::absent) layer = std::max(layer, of[static_cast<std::size_t>(v)]);
        return of[i] == from_input ? layer : from_input;
    };
    for (std::size_t i = 0; i < of.size(); ++i) {
        const std::int64_t layer = reads(i);
        if (layer < 0 || layer >= layers) continue;
        if (graph::Value& state = states[static_cast<std::size_t>(layer)]; state == graph::absent) state = graph.nodes()[i].inputs[0];
        last = i;
    }
    for (std::size_t i = last + 1; last > 0 && i < of.size() && states.back() == graph::absent; ++i)
        if (reads(i) == -1) states.back() = graph.nodes()[i].inputs[0];
    for (std::size_t i = states.size() - 1; i-- > 0;)
        if (states[i] == graph::absent) states[i] = states[i + 1];
    for (const graph::Value state : states)
        if (state == graph::absent || of[static_cast<std::size_t>(state)] != from_input || graph.node(state).type.format->name != "f32")
            fail(ErrorKind::unsupported, "the hidden states of this family's layers are not found where their weights 'blk.<layer>.' are read");
    return states;
}

std::vector<std::int64_t> layers_to_match(std::int64_t student_layers, std::int64_t teacher_layers) {
    std::vector<std::int64_t> layers;
    for (std::int64_t i = 0; i <= student_layers; ++i) layers.push_back(student_layers == 0 ? teacher_layers : (2 * i * teacher_layers + student_layers) / (2 * student_layers));
    return layers;
}

static std::int64_t layers_of(const files::File& file) { return file.metadata().integer(std::string(file.metadata().text("general.architecture")) + ".block_count", 0); }

Distillation::Distillation(const files::File& teacher, const files::File& student, DistillationOptions options)
    : teacher_(teacher), student_(student), options_(std::move(options)), weights_(teacher), student_layers_(layers_of(student)), teacher_layers_(layers_of(teacher)) {
    if (options_.losses.empty()) fail(ErrorKind::usage, "distillation needs a loss; there are: {}", losses::names());
    if (!(options_.temperature > 0)) fail(ErrorKind::usage, "the temperature must be above 0, it is {}", options_.temperature);
    for (const losses::Term& term : options_.losses)
        if (options_.answers && (term.loss->needs == Needs::logits || term.loss->needs == Needs::states))
            fail(ErrorKind::usage, "the loss {} needs more of the teacher than {} holds: leave the file out, or use kl", term.loss->name, options_.answers->path());
    if (options_.answers && options_.answers->temperature() != options_.temperature)
        fail(ErrorKind::usage, "{} was made at temperature {}, not {}", options_.answers->path(), options_.answers->temperature(), options_.temperature);
    const std::vector<std::int64_t>& layers = options_.layers;
    if (!layers.empty() && static_cast<std::int64_t>(layers.size()) != student_layers_)
        fail(ErrorKind::usage, "the student {} has {} layers, so as many layers of the teacher are to be named, not {}", student.path(), student_layers_, layers.size());
    for (std::size_t i = 0; i < layers.size(); ++i)
        if (layers[i] < 0 || layers[i] >= teacher_layers_ || (i > 0 && layers[i] <= layers[i - 1]))
            fail(ErrorKind::usage, "layer {} does not come next: the teacher {} has layers 0 to {}, to be named in their order", layers[i], teacher.path(), teacher_layers_ - 1);
}

bool Distillation::needs(Needs what) const {
    return std::any_of(options_.losses.begin(), options_.losses.end(), [&](const losses::Term& term) { return term.loss->needs == what; });
}

graph::Graph Distillation::prepare(graph::Graph built) { return options_.rounding ? options_.rounding->prepare(std::move(built)) : built; }

// Student's state i, before its layer i, beside the state before the teacher's layer it stands for; after the last both are through.
std::vector<std::int64_t> Distillation::matched_layers() const {
    if (options_.layers.empty()) return layers_to_match(student_layers_, teacher_layers_);
    std::vector<std::int64_t> layers = options_.layers;
    layers.push_back(teacher_layers_);
    return layers;
}

/// Adds the nodes and returns the hidden states that the student's are to match.
std::vector<graph::Value> Distillation::add_teacher(graph::Graph& step, const Ends& ends, graph::Value& logits) {
    const models::Model& family = models::family_of(teacher_);
    if (family.encodes) fail(ErrorKind::unsupported, "{}: {} is an encoder; a teacher must predict the next token", teacher_.path(), family.name);
    const graph::Graph built = graph::optimize(models::build(family, weights_, ends.rows, ends.rows, ends.context));
    std::vector<graph::Value> places;
    for (graph::Node node : built.nodes()) {
        std::vector<graph::Value> inputs;
        for (const graph::Value v : node.inputs) inputs.push_back(v == graph::absent ? v : places[static_cast<std::size_t>(v)]);
        graph::Value place = node.is_input() ? step.find(node.name) : graph::absent;
        if (place == graph::absent) {
            if (!node.is_input() && !node.name.empty()) node.name = "teacher." + node.name;
            place = step.keep(node, inputs);
        }
        places.push_back(place);
    }
    logits = places[static_cast<std::size_t>(built.outputs()[0])];
    std::vector<graph::Value> states;
    if (!needs(Needs::states)) return states;
    const std::vector<graph::Value> all = hidden_states(built, teacher_layers_);
    for (const std::int64_t layer : matched_layers()) states.push_back(places[static_cast<std::size_t>(all[static_cast<std::size_t>(layer)])]);
    return states;
}

graph::Value Distillation::projected(graph::Graph& step, std::size_t i, graph::Value state, std::int64_t width) {
    const std::int64_t own = step.node(state).type.shape.width();
    if (own == width) return state;
    const std::string name = core::format("projection.{}", i);
    const core::Tensor matrix = formats::make_tensor(formats::get("f32"), {width, own});
    initialize_weight(name + ".weight", matrix, student_layers_, 1);
    // From deviation 0.02 to one that keeps the size of what passes.
    const auto factor = static_cast<float>(50 / std::sqrt(static_cast<double>(own)));
    for (std::int64_t k = 0; k < matrix.shape.elements(); ++k) matrix.row_f32(0)[k] *= factor;
    projections_.push_back(matrix);
    return step.add("matmul", {state, step.constant(name + ".weight", matrix)}, {}, name);
}

graph::Value Distillation::loss(graph::Graph& step, const Ends& ends) {
    context_ = ends.context;
    losses::Context context{.graph = step, .ends = ends, .temperature = options_.temperature};
    if (needs(Needs::states)) context.student = hidden_states(step, student_layers_);
    const std::int64_t vocabulary = step.node(ends.logits).type.shape.width();
    std::int64_t teacher_vocabulary = vocabulary;
    if (options_.answers) {
        const std::int64_t k = options_.answers->k();
        teacher_vocabulary = options_.answers->vocabulary();
        if (options_.answers->context() != ends.context) fail(ErrorKind::usage, "{} was made for windows of {} tokens, not {}", options_.answers->path(), options_.answers->context(), ends.context);
        top_ = formats::make_tensor(formats::get("f32"), {ends.rows, k + 1}), top_ids_ = formats::make_tensor(formats::get("i32"), {ends.rows, k});
        context.top = step.input("teacher.top", ops::f32({ends.rows, k + 1})), context.top_ids = step.input("teacher.top_ids", ops::i32({ends.rows, k}));
    } else {
        context.teacher = add_teacher(step, ends, context.teacher_logits);
        teacher_vocabulary = step.node(context.teacher_logits).type.shape.width();
    }
    if (teacher_vocabulary != vocabulary)
        fail(ErrorKind::usage, "the teacher {} knows {} tokens, the student {} knows {}: they cannot be compared", teacher_.path(), teacher_vocabulary, student_.path(), vocabulary);
    context.project = [&](std::size_t i, graph::Value state) { return projected(step, i, state, step.node(context.teacher[i]).type.shape.width()); };
    graph::Value total = graph::absent;
    for (const losses::Term& term : options_.losses) {
        graph::Value part = term.loss->add(context);
        if (term.weight != 1) part = step.add("scale", {part}, {{"factor", term.weight}});
        total = total == graph::absent ? part : step.add("add", {total, part});
    }
    evaluation_ = step;
    evaluation_.output(evaluation_.add("cross_entropy", {ends.logits, ends.targets}));
    if (context.teacher_logits != graph::absent) evaluation_.output(evaluation_.add("kl_divergence", {context.teacher_logits, ends.logits, ends.targets}));
    return total;
}

void Distillation::begin_step(std::int64_t steps, core::Pool& pool) {
    if (options_.rounding) options_.rounding->begin_step(steps, pool);
}

void Distillation::set_inputs(graph::Plan& plan, std::span<const std::int32_t> ids) {
    if (!options_.answers || !top_) return;
    const auto context = static_cast<std::size_t>(context_);
    for (std::size_t at = 0; at < ids.size(); at += context) options_.answers->read(ids.subspan(at, context), top_.row_f32(static_cast<std::int64_t>(at)), top_ids_.row_i32(static_cast<std::int64_t>(at)));
    plan.set_input("teacher.top", top_.data);
    plan.set_input("teacher.top_ids", top_ids_.data);
}

std::string Distillation::identity() const {
    std::string text;
    for (const losses::Term& term : options_.losses) text += core::format("{}={} ", term.loss->name, term.weight);
    text += core::format("at temperature {} of the teacher {}", options_.temperature, options_.answers ? options_.answers->teacher() : model_hash(teacher_));
    return options_.rounding ? text + ", " + options_.rounding->identity() : text;
}

std::vector<Piece> Distillation::pieces() { return options_.rounding ? options_.rounding->pieces() : std::vector<Piece>{}; }

}  // namespace tailor::train
