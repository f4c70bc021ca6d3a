// Reading, cutting and writing texts; see texts.h.
#include "search/fit/texts.h"

#include <algorithm>
#include <random>
#include <set>

#include "core/error.h"
#include "core/hash.h"
#include "core/mapped_file.h"
#include "run/sampler.h"

namespace tailor::search {

using core::ErrorKind;
using core::fail;
using run::Windows;

std::int64_t FitText::tokens() const {
    std::int64_t count = 0;
    for (const auto& window : windows) count += static_cast<std::int64_t>(window.size());
    return count;
}

core::Json FitText::json() const {
    return core::Json().set("source", source).set("windows", static_cast<std::int64_t>(windows.size())).set("tokens", tokens()).set("hash", hash);
}

namespace {

std::string hash_of(const Windows& windows) {
    std::string bytes;
    for (const auto& window : windows) bytes.append(reinterpret_cast<const char*>(window.data()), window.size() * sizeof(text::TokenId));
    return core::hash_hex(bytes);
}

FitText made(std::string source, Windows windows) {
    FitText text{std::move(source), hash_of(windows), std::move(windows)};
    return text;
}

// At most `most` windows, spread evenly, so that a long text is seen from beginning to end.
Windows spread(const Windows& windows, std::int64_t most) {
    const auto count = static_cast<std::int64_t>(windows.size());
    if (most <= 0 || count <= most) return windows;
    Windows result;
    for (std::int64_t i = 0; i < most; ++i) result.push_back(windows[static_cast<std::size_t>(i * count / most)]);
    return result;
}

Windows windows_of_file(const run::LanguageModel& model, const std::string& path, std::int64_t window) {
    const text::Tokenizer& tokenizer = model.tokenizer();
    const auto ids = tokenizer.encode(core::read_text_file(path), {.add_special = false});
    return run::cut_windows(ids, window, tokenizer.adds_bos() ? tokenizer.bos() : -1);
}

// Of every `step` windows those from `first` to `end`.
Windows every(const Windows& windows, std::size_t first, std::size_t end, std::size_t step) {
    Windows result;
    for (std::size_t i = 0; i < windows.size(); ++i)
        if (i % step >= first && i % step < end) result.push_back(windows[i]);
    return result;
}

std::string file_name(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

FitTexts from_two_files(const run::LanguageModel& model, const FitOptions& o) {
    const Windows known = windows_of_file(model, o.calibration, o.window), held_out = windows_of_file(model, o.report_text, o.window);
    if (known.size() < 2) fail(ErrorKind::usage, "{} is too short: calibration and search need two windows of {} tokens", o.calibration, o.window);
    return {made(file_name(o.calibration), spread(every(known, 0, 1, 2), o.calibration_windows)),
            made(file_name(o.calibration), spread(every(known, 1, 2, 2), o.search_windows)),
            made(file_name(o.report_text), spread(held_out, o.report_windows))};
}

FitTexts from_one_file(const run::LanguageModel& model, const FitOptions& o, const std::string& path) {
    const Windows all = windows_of_file(model, path, o.window);
    if (all.size() < 4) fail(ErrorKind::usage, "{} is too short: {} windows of {} tokens, at least 4 are needed", path, all.size(), o.window);
    return {made(file_name(path), spread(every(all, 0, 1, 4), o.calibration_windows)), made(file_name(path), spread(every(all, 1, 2, 4), o.search_windows)),
            made(file_name(path), spread(every(all, 2, 4, 4), o.report_windows))};
}

// All windows at once, one sequence slot each: a step reads the weights once for all of them.
Windows write_own(std::shared_ptr<const run::LanguageModel> model, core::Pool& pool, const FitOptions& o, std::int64_t count, const FitCallbacks& callbacks) {
    run::SessionOptions session_options = o.session;
    session_options.context = o.window;
    session_options.slots = count;
    run::Session session(model, pool, session_options);
    std::mt19937_64 random(o.seed);
    Windows windows(static_cast<std::size_t>(count));
    std::vector<run::Sampler> samplers;
    const text::TokenId bos = model->has_tokenizer() ? model->tokenizer().bos() : -1;
    for (auto& window : windows) {
        window.push_back(bos >= 0 ? bos : static_cast<text::TokenId>(random() % static_cast<std::uint64_t>(model->facts().vocabulary)));
        samplers.emplace_back(run::SamplerOptions{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = random()});
    }
    for (std::int64_t position = 1; position < o.window; ++position) {
        core::check_interrupt();
        if (callbacks.progress) callbacks.progress("writing calibration text", position, o.window);
        std::vector<text::TokenId> last;
        for (const auto& window : windows) last.push_back(window.back());
        const core::Tensor& logits = session.evaluate_slots(last);
        for (std::size_t w = 0; w < windows.size(); ++w)
            windows[w].push_back(samplers[w].sample({logits.row_f32(static_cast<std::int64_t>(w)), static_cast<std::size_t>(logits.shape.width())}, windows[w]));
    }
    return windows;
}

// Weights of noise write noise: random ids cost nothing and say as much.
Windows random_windows(const run::LanguageModel& model, const FitOptions& o, std::int64_t count) {
    std::mt19937_64 random(o.seed);
    Windows windows(static_cast<std::size_t>(count), std::vector<text::TokenId>(static_cast<std::size_t>(o.window)));
    for (auto& window : windows)
        for (text::TokenId& id : window) id = static_cast<text::TokenId>(random() % static_cast<std::uint64_t>(model.facts().vocabulary));
    return windows;
}

FitTexts from_model(std::shared_ptr<const run::LanguageModel> model, core::Pool& pool, const FitOptions& o, const FitCallbacks& callbacks) {
    // Own text is slow to write on large models, and smooth: fewer windows do.
    const auto at_most = [](std::int64_t wanted, std::int64_t most) { return wanted > 0 ? std::min(wanted, most) : most; };
    const std::int64_t calibration = at_most(o.calibration_windows, 8), search = at_most(o.search_windows, 8), report = at_most(o.report_windows, 16),
                       count = calibration + search + report;
    const models::Model& family = model->family();
    const bool writes = model->has_tokenizer() && !family.encodes && !family.build_encoder;
    const Windows all = writes ? write_own(model, pool, o, count, callbacks) : random_windows(*model, o, count);
    const auto part = [&](std::int64_t begin, std::int64_t size) { return Windows(all.begin() + begin, all.begin() + begin + size); };
    const char* const reason = !model->has_tokenizer() ? "the model has no tokenizer" : family.encodes ? "an encoder writes no text" : "the model writes only what it is asked for";
    const std::string source = writes ? "written by the model itself" : core::format("random token ids ({})", reason);
    return {made(source, part(0, calibration)), made(source, part(calibration, search)), made(source, part(calibration + search, report))};
}

// The same window in two texts would make the report a test on training data.
void check_disjoint(const FitTexts& texts) {
    std::set<std::vector<text::TokenId>> seen;
    for (const FitText* text : {&texts.calibration, &texts.search}) seen.insert(text->windows.begin(), text->windows.end());
    for (const auto& window : texts.report.windows)
        if (seen.contains(window)) fail(ErrorKind::usage, "the report text {} shares a passage with the calibration text; give a text that is held out", texts.report.source);
    for (const auto& window : texts.search.windows)
        if (std::find(texts.calibration.windows.begin(), texts.calibration.windows.end(), window) != texts.calibration.windows.end())
            fail(ErrorKind::usage, "the text {} repeats itself: calibration and search would share a passage", texts.search.source);
}

}  // namespace

FitTexts prepare_texts(std::shared_ptr<const run::LanguageModel> model, core::Pool& pool, const FitOptions& o, const FitCallbacks& callbacks) {
    FitTexts texts;
    if (!o.calibration.empty() && !o.report_text.empty()) texts = from_two_files(*model, o);
    else if (!o.calibration.empty() || !o.report_text.empty()) texts = from_one_file(*model, o, o.calibration.empty() ? o.report_text : o.calibration);
    else texts = from_model(model, pool, o, callbacks);
    check_disjoint(texts);
    return texts;
}

}  // namespace tailor::search
