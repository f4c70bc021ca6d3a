// Swapping, evaluating and remembering; see evaluator.h.
#include "search/fit/evaluator.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "compress/registry.h"
#include "core/error.h"
#include "core/hash.h"
#include "run/divergence.h"

namespace tailor::search {

constexpr std::size_t most_reference_bytes = std::size_t{512} << 20;
// Encoded weights kept for the next evaluation: encoding costs about as much as a short evaluation.
constexpr std::uint64_t most_cache_bytes = std::uint64_t{1} << 30;
// Raised when an encoder or the evaluation changes, so that stored divergences of older ones are not found.
constexpr int evaluation_version = 2;

std::string model_fingerprint(const run::LanguageModel& model) {
    std::uint64_t hash = 0;
    for (const files::TensorInfo& info : model.file().tensors()) {
        const core::Tensor tensor = model.weights().find(info.name);
        hash = core::hash64(info.name + info.type_name + info.shape.text(), hash);
        hash = core::hash64(std::span<const std::byte>(tensor.data, std::min<std::size_t>(info.bytes, 1u << 16)), hash);
    }
    return core::format("{:016x}", hash);
}

Evaluator::Evaluator(std::shared_ptr<const run::LanguageModel> model, core::Pool& pool, measure::Store& store, const FitText& text, const FitOptions& options,
                     const compress::Importance& importance, const std::vector<Group>& groups)
    : model_(std::move(model)), pool_(pool), store_(store), options_(options), importance_(importance), groups_(groups), windows_(text.windows),
      session_(model_, pool, window_session(options)) {
    const auto scored = static_cast<std::size_t>(options.window - run::first_scored(options.window));
    const std::size_t bytes_per_window = scored * static_cast<std::size_t>(model_->facts().vocabulary) * sizeof(float);
    windows_.resize(std::min(windows_.size(), std::max<std::size_t>(1, most_reference_bytes / bytes_per_window)));
    current_ = original_assignment(groups_);
    std::string ids;
    for (const auto& window : windows_) ids.append(reinterpret_cast<const char*>(window.data()), window.size() * sizeof(text::TokenId));
    base_key_ = core::format("{} {} {} {} {}", evaluation_version, model_fingerprint(*model_), core::hash_hex(ids), cpu::name(options.session.isa), options.method);
    // Weights are rounded with their importance, so the calibration text is a part of the key.
    std::uint64_t importance_hash = 0;
    for (const Group& group : groups_) importance_hash = core::hash64(std::as_bytes(importance_.of(group.name)), importance_hash);
    base_key_ += core::format(" {:016x}", importance_hash);
}

std::string Evaluator::key(const Assignment& assignment) const {
    std::string text = base_key_;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
        const formats::Format* const format = groups_[g].choices[static_cast<std::size_t>(assignment[g])].format;
        if (format != groups_[g].source) text += " " + groups_[g].name + "=" + std::string(format->name);
    }
    return core::hash_hex(text);
}

core::Tensor Evaluator::encoded(std::size_t g, int c) {
    const FormatChoice& choice = groups_[g].choices[static_cast<std::size_t>(c)];
    const core::Tensor source = model_->weights().find(groups_[g].name);
    if (choice.format == groups_[g].source) return source;
    for (auto it = cache_.begin(); it != cache_.end(); ++it)
        if (it->group == g && it->choice == c) {
            cache_.splice(cache_.begin(), cache_, it);
            return cache_.front().tensor;
        }
    core::Tensor tensor = compress::get(options_.method).apply({source, *choice.format, importance_.of(groups_[g].name), pool_});
    cache_.push_front({g, c, tensor});
    cache_bytes_ += choice.bytes;
    while (cache_bytes_ > most_cache_bytes && cache_.size() > 1) {
        cache_bytes_ -= groups_[cache_.back().group].choices[static_cast<std::size_t>(cache_.back().choice)].bytes;
        cache_.pop_back();
    }
    return tensor;
}

void Evaluator::put_in_place(const Assignment& assignment) {
    for (std::size_t g = 0; g < groups_.size(); ++g)
        if (assignment[g] != current_[g]) {
            session_.set_weight(groups_[g].name, encoded(g, assignment[g]));
            current_[g] = assignment[g];
        }
}

void Evaluator::compute_reference() {
    put_in_place(original_assignment(groups_));
    const std::int64_t wanted = options_.window - run::first_scored(options_.window);
    for (const auto& window : windows_) {
        core::check_interrupt();
        const core::Tensor& answers = run::answer(session_, window, wanted);
        reference_.insert(reference_.end(), answers.row_f32(0), answers.row_f32(0) + answers.shape.elements());
    }
}

double Evaluator::measure() {
    const std::int64_t wanted = options_.window - run::first_scored(options_.window);
    double total = 0;
    std::int64_t row = 0, scored = 0;
    std::vector<double> rows(static_cast<std::size_t>(wanted));
    for (const auto& window : windows_) {
        core::check_interrupt();
        const core::Tensor& answers = run::answer(session_, window, wanted);
        const std::int64_t width = answers.shape.width();
        pool_.run(wanted - 1, [&](std::int64_t i, int) {
            rows[static_cast<std::size_t>(i)] =
                run::distance_of_answers(model_->family(), reference_.data() + (row + i) * width, answers.row_f32(i), width, options_.session.isa);
        });
        for (std::int64_t i = 0; i + 1 < wanted; ++i) total += rows[static_cast<std::size_t>(i)];
        row += wanted, scored += wanted - 1;
    }
    const double mean = total / static_cast<double>(scored);
    // A format too coarse for a weight may overflow the network: worse than anything that can be measured.
    return std::isfinite(mean) ? mean : 1e3;
}

bool Evaluator::known(const Assignment& assignment) const { return store_.find_json("divergence", key(assignment)).has_value(); }

double Evaluator::divergence(const Assignment& assignment) {
    const std::string k = key(assignment);
    if (const auto stored = store_.find_json("divergence", k)) return stored->number();
    const auto start = std::chrono::steady_clock::now();
    if (reference_.empty()) compute_reference();
    put_in_place(assignment);
    const double value = measure();
    store_.put_json("divergence", k, value);
    ++evaluations_;
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return value;
}

}  // namespace tailor::search
