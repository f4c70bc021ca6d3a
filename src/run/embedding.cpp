// Pooling; see embedding.h.
#include "run/embedding.h"

#include <cmath>

#include "core/error.h"

namespace tailor::run {

Pooling pooling_of(const LanguageModel& model) {
    const files::Metadata& metadata = model.file().metadata();
    // The numbers of the key in GGUF: 0 none, 1 mean, 2 the first token, 3 the last one.
    switch (metadata.integer(std::string(metadata.text("general.architecture")) + ".pooling_type", 1)) {
        case 0: return Pooling::none;
        case 1: return Pooling::mean;
        case 2: return Pooling::first;
        case 3: return Pooling::last;
        default: core::fail(core::ErrorKind::unsupported, "{}: the pooling_type of this model is not supported; choose one with --pooling", model.file().path());
    }
}

Pooling pooling_named(std::string_view name) {
    constexpr std::pair<std::string_view, Pooling> names[] = {{"none", Pooling::none}, {"mean", Pooling::mean}, {"cls", Pooling::first}, {"first", Pooling::first}, {"last", Pooling::last}};
    for (const auto& [known, pooling] : names)
        if (known == name) return pooling;
    core::fail(core::ErrorKind::usage, "there is no pooling '{}'; there are none, mean, cls and last", name);
}

std::vector<float> embed(Session& session, std::span<const text::TokenId> ids, Pooling pooling) {
    if (!session.model().family().encodes)
        core::fail(core::ErrorKind::usage, "{}: the {} family writes text and gives no embeddings; they come from encoders such as bert", session.model().file().path(), session.model().family().name);
    if (ids.empty()) core::fail(core::ErrorKind::usage, "the text has no tokens");
    session.reset();
    const auto rows = static_cast<std::int64_t>(ids.size());
    const core::Tensor& y = session.evaluate(ids, rows);
    const auto width = static_cast<std::size_t>(y.shape.width());
    if (pooling == Pooling::none) return {y.row_f32(0), y.row_f32(0) + y.shape.elements()};
    if (pooling == Pooling::first) return {y.row_f32(0), y.row_f32(0) + width};
    if (pooling == Pooling::last) return {y.row_f32(rows - 1), y.row_f32(rows - 1) + width};
    std::vector<double> sums(width);
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::size_t i = 0; i < width; ++i) sums[i] += y.row_f32(r)[i];
    std::vector<float> mean;
    for (const double sum : sums) mean.push_back(static_cast<float>(sum / static_cast<double>(rows)));
    return mean;
}

void normalize(std::vector<float>& vector) {
    double square = 0;
    for (const float v : vector) square += static_cast<double>(v) * v;
    if (square == 0) return;
    for (float& v : vector) v = static_cast<float>(v / std::sqrt(square));
}

}  // namespace tailor::run
