// Running with an adapter: sessions with packed weights, of several sizes and for the first layers, against the merged model.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "core/error.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "run/session.h"

namespace tailor::run {
namespace {

/// Reads what it is made of anew; for merged files, which refer to others.
class Kept : public files::File {
  public:
    Kept(std::unique_ptr<files::File> base, files::Adapter adapter) : base_(std::move(base)), adapter_(std::move(adapter)), merged_(files::merged(*base_, adapter_)) {
        path_ = merged_->path(), metadata_ = merged_->metadata(), tensors_ = merged_->tensors();
    }
    core::Tensor read(const files::TensorInfo& info) const override { return merged_->read(info); }
    std::uint64_t bytes() const override { return merged_->bytes(); }

  private:
    std::unique_ptr<files::File> base_;
    files::Adapter adapter_;
    std::unique_ptr<files::File> merged_;
};

std::unique_ptr<files::File> base() { return files::make_synthetic("llama-tiny", formats::get("f16")); }

files::Adapter adapter() {
    files::Adapter made;
    made.alpha = 8;
    const auto file = base();
    for (const char* const name : {"blk.0.attn_q.weight", "blk.0.ffn_down.weight", "blk.1.attn_v.weight", "output.weight"}) {
        const files::TensorInfo* const info = file->find(name);
        files::Adapter::Pair pair{name, formats::make_tensor(formats::get("f32"), {4, info->shape[1]}), formats::make_tensor(formats::get("f32"), {info->shape[0], 4})};
        for (std::int64_t i = 0; i < pair.a.shape.elements(); ++i) pair.a.row_f32(0)[i] = static_cast<float>((i * 29) % 31 - 15) / 128;
        for (std::int64_t i = 0; i < pair.b.shape.elements(); ++i) pair.b.row_f32(0)[i] = static_cast<float>((i * 17) % 23 - 11) / 128;
        made.pairs.push_back(std::move(pair));
    }
    return made;
}

std::vector<float> logits(std::shared_ptr<LanguageModel> model, core::Pool& pool, SessionOptions options, std::size_t tokens) {
    Session session(std::move(model), pool, options);
    std::vector<text::TokenId> ids;
    for (std::size_t i = 0; i < tokens; ++i) ids.push_back(static_cast<text::TokenId>(i * 37 % 500));
    session.evaluate(std::span(ids).first(tokens - 1));
    const core::Tensor& found = session.evaluate(std::span(ids).last(1));
    return {found.row_f32(0), found.row_f32(0) + found.shape.elements()};
}

TEST(Adapter, AKeptOneRunsLikeAMergedOne) {
    const std::string path = testing::TempDir() + "run-adapter-" + std::to_string(::getpid()) + ".gguf";
    const auto file = base();
    write_adapter(path, adapter(), *file, formats::get("f32"));
    core::Pool pool(2);
    const auto merged = LanguageModel::from_file(std::make_unique<Kept>(base(), adapter()));
    for (const bool pack : {true, false}) {
        const auto kept = LanguageModel::from_file(base()), plain = LanguageModel::from_file(base());
        kept->adapt(path);
        for (int again = 0; again < 2; ++again) {  // a second session finds weights packed by the first
            const SessionOptions options{.context = 32, .pack = pack};
            const std::vector<float> expected = logits(merged, pool, options, 20), found = logits(kept, pool, options, 20), without = logits(plain, pool, options, 20);
            float largest = 0, difference = 0, effect = 0;
            for (std::size_t i = 0; i < expected.size(); ++i) {
                largest = std::max(largest, std::abs(expected[i])), difference = std::max(difference, std::abs(expected[i] - found[i]));
                effect = std::max(effect, std::abs(expected[i] - without[i]));
            }
            EXPECT_LT(difference, 1e-4f * largest) << pack << again;
            EXPECT_GT(effect, 1e-2f * largest);
        }
        EXPECT_NO_THROW(logits(LanguageModel::first_layers(kept, 1), pool, {.context = 32, .pack = pack}, 20));
    }
    std::remove(path.c_str());
}

TEST(Adapter, OfATableThatIsAlsoLookedUpIsRefused) {
    const std::string path = testing::TempDir() + "run-table-" + std::to_string(::getpid()) + ".gguf";
    files::Adapter made = adapter();
    made.pairs.resize(1);
    const auto file = base();
    const files::TensorInfo* const info = file->find("token_embd.weight");
    made.pairs[0] = {info->name, formats::make_tensor(formats::get("f32"), {1, info->shape[1]}), formats::make_tensor(formats::get("f32"), {info->shape[0], 1})};
    write_adapter(path, made, *file, formats::get("f32"));
    const auto model = LanguageModel::from_file(base());
    EXPECT_THROW(model->adapt(path), core::Error);
    std::remove(path.c_str());
}

}  // namespace
}  // namespace tailor::run
