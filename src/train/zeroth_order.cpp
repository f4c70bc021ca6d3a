// The plan of a pass forth, and moving weights along a direction that is made as it is needed; see zeroth_order.h.
#include "train/zeroth_order.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/hash.h"
#include "files/registry.h"
#include "formats/registry.h"
#include "graph/passes.h"
#include "models/registry.h"
#include "ops/support.h"
#include "train/frozen.h"

namespace tailor::train {

using core::ErrorKind;
using core::fail;

static bool is_single(const formats::Format* format) { return format && format->weights && (format->name == "f32" || format->name == "f16" || format->name == "bf16"); }

/// The file's tensor in memory that may be written to. Pages of the file go back as they are copied: a large matrix is never there twice.
static core::Tensor own_copy(const files::File& file, const files::TensorInfo& info, core::Tensor from) {
    // Made for us alone, by a file that computes its tensors: held here and by the weights.
    if (from.owner && from.owner.use_count() == 2) return from;
    constexpr std::int64_t held_bytes = 16 << 20;
    const core::Tensor copy = formats::make_tensor(*info.format, info.shape);
    const std::int64_t row_bytes = info.format->row_bytes(info.shape.width());
    std::int64_t since_release = 0;
    for (std::int64_t r = 0; r < info.shape.rows(); ++r) {
        std::memcpy(copy.row(r), from.row(r), static_cast<std::size_t>(row_bytes));
        if ((since_release += row_bytes) < held_bytes) continue;
        file.release(info);
        since_release = 0;
    }
    file.release(info);
    return copy;
}

ZerothOrder::ZerothOrder(const files::File& file, core::Pool& pool, ZerothOrderOptions options) : file_(file), pool_(pool), options_(std::move(options)), weights_(file) {
    if (options_.batch < 1 || options_.context < 1 || options_.accumulate < 1)
        fail(ErrorKind::usage, "{} batches of {} sequences of {} tokens cannot be trained on", options_.accumulate, options_.batch, options_.context);
    if (!(options_.epsilon > 0)) fail(ErrorKind::usage, "epsilon must be above 0, it is {}", options_.epsilon);
    if (!options_.objective) options_.objective = std::make_shared<Objective>();
    for (const files::TensorInfo& info : file.tensors()) {
        if (!options_.objective->trains(info.name) || !is_single(info.format)) continue;
        weights_.replace(info.name, own_copy(file, info, weights_.find(info.name)));
    }
    if (options_.pack) pack_frozen(weights_, options_.context, *options_.objective, pool_);
    build();
}

/// Constants of single values that an operator reads otherwise than as a table.
static std::vector<graph::Value> movable(const graph::Graph& graph) {
    std::vector<bool> read(graph.nodes().size());
    for (const graph::Node& node : graph.nodes())
        for (std::size_t i = 0; node.op && i < node.inputs.size(); ++i)
            if (node.inputs[i] != graph::absent && !(node.op->tables >> i & 1U)) read[static_cast<std::size_t>(node.inputs[i])] = true;
    std::vector<graph::Value> list;
    for (std::size_t v = 0; v < read.size(); ++v) {
        const graph::Node& node = graph.nodes()[v];
        if (read[v] && node.is_constant() && !node.name.empty() && is_single(node.constant.format) && node.constant.layout == core::Layout::rows) list.push_back(static_cast<graph::Value>(v));
    }
    return list;
}

void ZerothOrder::build() {
    const std::int64_t rows = options_.batch * options_.context;
    const models::Model& family = models::family_of(file_);
    if (family.encodes) fail(ErrorKind::unsupported, "{}: {} is an encoder; only models that predict the next token can be trained", file_.path(), family.name);
    graph::Graph step = graph::optimize(options_.objective->prepare(models::build(family, weights_, rows, rows, options_.context)));
    const graph::Value logits = step.take_outputs()[0], targets = step.input("targets", ops::i32({rows}));
    vocabulary_ = step.node(logits).type.shape.width();
    step.output(options_.objective->loss(step, {logits, targets, rows, options_.context}));
    for (const graph::Value v : movable(step)) {
        const graph::Node& node = step.node(v);
        if (options_.objective->trains(node.name)) moved_.push_back({node.name, node.constant, core::hash64(node.name)});
    }
    if (moved_.empty()) fail(ErrorKind::unsupported, "{}: no weight can be moved: formats of blocks stay as they are; train an adapter beside them", file_.path());
    plan_ = std::make_unique<BatchPlan>(step, pool_, options_.batch, options_.context, options_.isa);
}

// The sum over the batch.
double ZerothOrder::batch_loss(std::span<const std::int32_t> ids, std::span<const std::int32_t> targets) {
    for (const std::int32_t id : ids)
        if (id < 0 || id >= vocabulary_) fail(ErrorKind::usage, "{}: {} is no token; the model has {}", file_.path(), id, vocabulary_);
    for (const std::int32_t id : targets)
        if (id >= vocabulary_) fail(ErrorKind::usage, "{}: {} is no token; the model has {}", file_.path(), id, vocabulary_);
    plan_->run(ids, targets);
    double total = 0;
    for (std::int64_t r = 0; r < options_.batch * options_.context; ++r) total += static_cast<double>(plan_->output(0).row_f32(0)[r]);
    return total;
}

// The mean over all batches that were given.
double ZerothOrder::step_loss(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets) {
    const auto rows = static_cast<std::size_t>(options_.batch * options_.context);
    if (ids.empty() || ids.size() % rows != 0 || targets.size() != ids.size()) fail(ErrorKind::bug, "batches of {} rows were given {} tokens and {} targets", rows, ids.size(), targets.size());
    double total = 0;
    for (std::size_t at = 0; at < ids.size(); at += rows) total += batch_loss(std::span(ids).subspan(at, rows), std::span(targets).subspan(at, rows));
    const auto counted = std::count_if(targets.begin(), targets.end(), [](std::int32_t t) { return t >= 0; });
    return total / static_cast<double>(std::max<std::ptrdiff_t>(1, counted));
}

double ZerothOrder::loss(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets) { return step_loss(ids, targets); }

namespace {

// Numbers whose signs one hash gives.
constexpr std::int64_t signs = 64;
// Numbers that a thread takes at once: 256 KB of f32.
constexpr std::int64_t chunk = 65536;

/// A well-mixed word of a counter: Steele et al., "Fast splittable pseudorandom number generators", 2014, figure 16.
std::uint64_t mixed(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/// The distance from one number of this format to the next, near x.
float spacing(float x, float relative, float least) {
    const float power = std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0x7f800000u);
    return std::max(power * relative, least);
}

/// x_k += distance or -distance, by bit k.
void add_signs(float* x, std::int64_t count, std::uint64_t bits, float distance) {
    const auto plain = std::bit_cast<std::uint32_t>(distance);
    for (std::int64_t k = 0; k < count; ++k) x[k] += std::bit_cast<float>(plain ^ (static_cast<std::uint32_t>(bits >> k & 1U) << 31));
}

/// Shifts every number by up to half the distance to its neighbours, so that rounding to the nearest is a draw between both.
void dither(float* x, std::int64_t count, std::uint64_t key, float relative, float least) {
    for (std::int64_t k = 0; k < count; k += 4) {
        const std::uint64_t word = mixed(key + static_cast<std::uint64_t>(k));
        for (std::int64_t j = k; j < std::min(k + 4, count); ++j) {
            const float share = (static_cast<float>(word >> 16 * (j - k) & 0xffff) + 0.5f) * 0x1p-16f - 0.5f;
            x[j] += share * spacing(x[j], relative, least);
        }
    }
}

}  // namespace

// `which` of the moves of a step this is decides how numbers are rounded, not the direction.
void ZerothOrder::move(double distance, int which) {
    const std::uint64_t step_key = mixed(options_.seed ^ mixed(static_cast<std::uint64_t>(steps_)));
    for (const Moved& m : moved_) {
        const std::int64_t numbers = m.tensor.shape.elements();
        const formats::Format& format = *m.tensor.format;
        const bool whole = format.name == "f32", half = format.name == "f16";
        const float relative = half ? 0x1p-10f : 0x1p-7f, least = half ? 0x1p-24f : 0x1p-133f;
        const std::uint64_t key = m.key ^ step_key, rounding = mixed(key + static_cast<std::uint64_t>(which));
        pool_.run((numbers + chunk - 1) / chunk, [&](std::int64_t c, int) {
            for (std::int64_t i = c * chunk; i < std::min(numbers, (c + 1) * chunk); i += signs) {
                const std::int64_t count = std::min(signs, numbers - i);
                const std::uint64_t bits = mixed(key + static_cast<std::uint64_t>(i / signs));
                float worked[signs];
                float* const x = whole ? reinterpret_cast<float*>(m.tensor.data) + i : worked;
                std::byte* const stored = m.tensor.data + 2 * i;
                if (!whole) format.decode.at(options_.isa)(stored, x, count);
                add_signs(x, count, bits, static_cast<float>(distance));
                if (!whole) dither(x, count, rounding + static_cast<std::uint64_t>(i), relative, least), format.encode(x, nullptr, stored, count);
            }
        });
    }
}

Step ZerothOrder::step(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets, double rate) {
    const double epsilon = options_.epsilon;
    double there = 0, back = 0;
    int place = 0;  // in units of epsilon, where the weights stand on the line
    try {
        move(epsilon, 0), place = 1;
        there = step_loss(ids, targets);
        move(-2 * epsilon, 1), place = -1;
        back = step_loss(ids, targets);
    } catch (const core::Error&) {
        move(-place * epsilon, 2);
        throw;
    }
    const double slope = (there - back) / (2 * epsilon);
    if (!std::isfinite(slope)) {
        move(epsilon, 2);
        fail(ErrorKind::numeric, "{}: step {}: the losses to both sides are {} and {}; a smaller rate or epsilon may help", file_.path(), steps_ + 1, there, back);
    }
    move(epsilon - rate * slope, 2);
    ++steps_;
    return {(there + back) / 2, std::fabs(slope)};
}

std::vector<Piece> ZerothOrder::pieces() {
    std::vector<Piece> list;
    for (const Moved& m : moved_)
        list.push_back({.name = m.name, .bytes = {m.tensor.data, static_cast<std::size_t>(formats::tensor_bytes(*m.tensor.format, m.tensor.shape))}});
    return list;
}

std::uint64_t ZerothOrder::save(const std::string& path, const core::Json& settings) {
    core::Json about;
    about.set("step", steps_).set("method", "zeroth-order").set("seed", options_.seed).set("epsilon", options_.epsilon);
    about.set("frozen", core::format("{:016x}", frozen_hash(file_, *options_.objective))).set("settings", settings);
    return write_checkpoint(path, about, pieces());
}

void ZerothOrder::restore(const Checkpoint& checkpoint) {
    const core::Json& about = checkpoint.about();
    if (!about.find("method")) fail(ErrorKind::usage, "{}: the checkpoint was made with gradients, not without", checkpoint.path());
    if (about.at("frozen").string() != core::format("{:016x}", frozen_hash(file_, *options_.objective)))
        fail(ErrorKind::usage, "{}: the checkpoint is of another model than {}: the weights that are not trained differ", checkpoint.path(), file_.path());
    if (about.at("seed").integer() != static_cast<std::int64_t>(options_.seed) || about.at("epsilon").number() != options_.epsilon)
        fail(ErrorKind::usage, "{}: the checkpoint was made with seed {} and epsilon {}", checkpoint.path(), about.at("seed").integer(), about.at("epsilon").number());
    checkpoint.restore(pieces());
    steps_ = about.at("step").integer();
}

std::int64_t ZerothOrder::parameters() const {
    std::int64_t count = 0;
    for (const Moved& m : moved_) count += m.tensor.shape.elements();
    return count;
}

core::Tensor ZerothOrder::weight(std::string_view name) const {
    for (const Moved& m : moved_)
        if (m.name == name) return m.tensor;
    return {};
}

std::uint64_t ZerothOrder::write(const std::string& path) const {
    files::WritePlan plan{.metadata = file_.metadata(), .tensors = {}};
    for (const files::TensorInfo& info : file_.tensors()) plan.tensors.push_back({info.name, info.format, info.shape});
    return files::kind_for(path).write(path, plan, [&](std::size_t index) {
        const core::Tensor held = weights_.find(plan.tensors[index].name);
        return held.layout == core::Layout::rows ? held : file_.read(*file_.find(plan.tensors[index].name));
    });
}

}  // namespace tailor::train
