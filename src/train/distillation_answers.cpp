// Asking a teacher and keeping what it says; see distillation_answers.h.
#include "train/distillation_answers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/error.h"
#include "core/hash.h"
#include "formats/registry.h"
#include "models/registry.h"
#include "train/batch_plan.h"

namespace tailor::train {

using core::ErrorKind;
using core::fail;

static constexpr std::string_view magic = "tailortk";

static std::uint64_t hash_of(std::span<const std::int32_t> window) { return core::hash64(std::as_bytes(window)); }

std::string model_hash(const files::File& file) {
    std::uint64_t hash = core::hash64(file.metadata().text("general.architecture"));
    for (const files::TensorInfo& info : file.tensors()) {
        const core::Tensor tensor = file.read(info);
        hash = core::hash64(std::span<const std::byte>(tensor.data, static_cast<std::size_t>(formats::tensor_bytes(*tensor.format, tensor.shape))), core::hash64(info.name, hash));
    }
    return core::format("{:016x}", hash);
}

/// Writes and hashes.
class AnswersWriter {
  public:
    explicit AnswersWriter(const std::string& path) : file_(path) {}
    void write(const void* data, std::size_t bytes) {
        hash_ = core::hash64(std::span(static_cast<const std::byte*>(data), bytes), hash_);
        file_.write(data, bytes);
    }
    std::uint64_t finish() {
        file_.write(&hash_, sizeof hash_);
        const std::uint64_t bytes = file_.position();
        file_.commit();
        return bytes;
    }

  private:
    core::AtomicFile file_;
    std::uint64_t hash_ = 0;
};

/// The k largest of a row by ascending token, and the logit of the others together.
static void choose(const float* logits, std::int64_t width, std::int64_t k, double temperature, float* top, std::int32_t* ids) {
    std::vector<std::int32_t> order(static_cast<std::size_t>(width));
    std::iota(order.begin(), order.end(), 0);
    // Of equal logits the lower token goes first, so that the choice is the same everywhere.
    std::nth_element(order.begin(), order.begin() + (k - 1), order.end(), [&](std::int32_t a, std::int32_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
    std::sort(order.begin(), order.begin() + k);
    std::copy_n(order.begin(), k, ids);
    for (std::int64_t i = 0; i < k; ++i) top[i] = logits[ids[i]];
    double most = -INFINITY, total = 0;
    for (auto i = static_cast<std::size_t>(k); i < order.size(); ++i) most = std::max(most, static_cast<double>(logits[order[i]]));
    for (auto i = static_cast<std::size_t>(k); i < order.size(); ++i) total += std::exp((static_cast<double>(logits[order[i]]) - most) / temperature);
    top[k] = k == width ? -INFINITY : static_cast<float>(most + temperature * std::log(total));
}

static graph::Graph teacher_graph(const files::File& teacher, const models::Weights& weights, std::int64_t rows, std::int64_t context) {
    const models::Model& family = models::family_of(teacher);
    if (family.encodes) fail(ErrorKind::unsupported, "{}: {} is an encoder; a teacher must predict the next token", teacher.path(), family.name);
    return models::build(family, weights, rows, rows, context);
}

std::uint64_t write_answers(const std::string& path, const files::File& teacher, core::Pool& pool, const AnswersOptions& options, std::int64_t batch,
                            const std::vector<std::vector<std::int32_t>>& windows, const std::function<void(std::int64_t, std::int64_t)>& progress) {
    const models::Weights weights(teacher);
    BatchPlan plan(teacher_graph(teacher, weights, batch * options.context, options.context), pool, batch, options.context);
    std::map<std::uint64_t, const std::vector<std::int32_t>*> once;
    for (const std::vector<std::int32_t>& window : windows) once.emplace(hash_of(window), &window);
    const std::int64_t vocabulary = plan.output(0).shape.width(), k = std::min(options.k, vocabulary), all = static_cast<std::int64_t>(once.size());
    if (k < 1) fail(ErrorKind::usage, "{} tokens of each position cannot be kept", options.k);
    core::Json about;
    about.set("k", k).set("temperature", options.temperature).set("vocabulary", vocabulary).set("context", options.context).set("windows", all).set("teacher", model_hash(teacher));
    const std::string text = about.text(-1);
    const std::uint64_t length = text.size();
    AnswersWriter out(path);
    out.write(magic.data(), magic.size()), out.write(&length, sizeof length), out.write(text.data(), text.size());
    std::vector<float> top(static_cast<std::size_t>(batch * options.context * (k + 1)));
    std::vector<std::int32_t> ids(static_cast<std::size_t>(batch * options.context * k));
    std::int64_t done = 0;
    for (auto it = once.begin(); it != once.end();) {
        std::vector<std::int32_t> tokens;
        std::vector<std::uint64_t> hashes;
        for (; it != once.end() && static_cast<std::int64_t>(hashes.size()) < batch; ++it) tokens.insert(tokens.end(), it->second->begin(), it->second->end()), hashes.push_back(it->first);
        tokens.resize(static_cast<std::size_t>(batch * options.context), 0);
        plan.run(tokens);
        pool.run(static_cast<std::int64_t>(hashes.size()) * options.context, [&](std::int64_t r, int) {
            choose(plan.output(0).row_f32(r), vocabulary, k, options.temperature, top.data() + r * (k + 1), ids.data() + r * k);
        });
        for (std::size_t w = 0; w < hashes.size(); ++w) {
            const std::int64_t first = static_cast<std::int64_t>(w) * options.context;
            out.write(&hashes[w], sizeof hashes[w]);
            out.write(top.data() + first * (k + 1), static_cast<std::size_t>(4 * options.context * (k + 1)));
            out.write(ids.data() + first * k, static_cast<std::size_t>(4 * options.context * k));
        }
        done += static_cast<std::int64_t>(hashes.size());
        if (progress) progress(done, all);
    }
    return out.finish();
}

TeacherAnswers::TeacherAnswers(const std::string& path) : path_(path), file_(path) {
    const std::span<const std::byte> bytes = file_.bytes();
    const auto damaged = [&](std::string_view what) { fail(ErrorKind::format, "{}: no file of a teacher's answers, or a damaged one: {}; delete it to make it anew", path, what); };
    std::uint64_t length = 0;
    if (bytes.size() < magic.size() + 16 || std::memcmp(bytes.data(), magic.data(), magic.size()) != 0) damaged("it does not begin as one");
    std::memcpy(&length, bytes.data() + magic.size(), sizeof length);
    const std::size_t begin = magic.size() + 8;
    if (length > bytes.size() - begin - 8) damaged("it ends within its first part");
    const core::Json about = core::Json::parse(std::string_view(reinterpret_cast<const char*>(bytes.data()) + begin, length), path);
    k_ = about.at("k").integer(), context_ = about.at("context").integer(), vocabulary_ = about.at("vocabulary").integer();
    temperature_ = about.at("temperature").number(), teacher_ = about.at("teacher").string();
    const std::int64_t windows = about.at("windows").integer();
    if (k_ < 1 || k_ > 1 << 24 || context_ < 1 || context_ > 1 << 24 || windows < 0 || windows > 1LL << 40) damaged("its sizes make no sense");
    const auto top = static_cast<std::size_t>(4 * context_ * (k_ + 1)), ids = static_cast<std::size_t>(4 * context_ * k_), record = 8 + top + ids;
    if ((bytes.size() - begin - length - 8) / record != static_cast<std::size_t>(windows) || (bytes.size() - begin - length - 8) % record != 0) damaged("it has another length than it says");
    std::uint64_t hash = core::hash64(bytes.subspan(0, magic.size()));
    hash = core::hash64(bytes.subspan(magic.size(), 8), hash), hash = core::hash64(bytes.subspan(begin, length), hash);
    std::size_t at = begin + length;
    for (std::int64_t w = 0; w < windows; ++w, at += record) {
        std::uint64_t tokens = 0;
        std::memcpy(&tokens, bytes.data() + at, sizeof tokens);
        records_[tokens] = at + 8;
        hash = core::hash64(bytes.subspan(at, 8), hash), hash = core::hash64(bytes.subspan(at + 8, top), hash), hash = core::hash64(bytes.subspan(at + 8 + top, ids), hash);
    }
    if (std::memcmp(bytes.data() + at, &hash, sizeof hash) != 0) damaged("its hash is another");
}

bool TeacherAnswers::has(std::span<const std::int32_t> window) const { return records_.find(hash_of(window)) != records_.end(); }

void TeacherAnswers::read(std::span<const std::int32_t> window, float* top, std::int32_t* ids) const {
    const auto it = records_.find(hash_of(window));
    if (it == records_.end()) fail(ErrorKind::usage, "{} has no answers for a window of this text; it was made of another text, context or number of steps: delete it to make it anew", path_);
    const auto count = static_cast<std::size_t>(4 * context_ * (k_ + 1));
    std::memcpy(top, file_.bytes().data() + it->second, count);
    std::memcpy(ids, file_.bytes().data() + it->second + count, static_cast<std::size_t>(4 * context_ * k_));
}

}  // namespace tailor::train
