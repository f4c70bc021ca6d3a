// The llama family on synthetic files: what it builds, and what it refuses with a name.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "models/registry.h"

namespace tailor::models {
namespace {

// A file whose metadata and tensor list a test may change before the family sees it.
class EditedFile : public files::File {
  public:
    EditedFile() : inner_(files::make_synthetic("llama-tiny", formats::get("f32"))) {
        path_ = "edited.gguf";
        metadata_ = inner_->metadata();
        tensors_ = inner_->tensors();
    }
    core::Tensor read(const files::TensorInfo& tensor) const override {
        const files::TensorInfo* const original = inner_->find(tensor.name);
        return original ? inner_->read(*original) : formats::make_tensor(formats::get("f32"), tensor.shape);
    }
    std::uint64_t bytes() const override { return inner_->bytes(); }
    files::Metadata& edit() { return metadata_; }
    void remove(const std::string& name) {
        tensors_.erase(std::remove_if(tensors_.begin(), tensors_.end(), [&](const auto& t) { return t.name == name; }), tensors_.end());
    }
    void add(const std::string& name, core::Shape shape) {
        tensors_.push_back({.name = name, .format = &formats::get("f32"), .type_name = "F32", .shape = shape, .bytes = static_cast<std::uint64_t>(shape.elements() * 4)});
    }

  private:
    std::unique_ptr<files::File> inner_;
};

graph::Graph build_edited(const EditedFile& file, std::int64_t rows = 3) {
    const Weights weights(file);
    return build(family_of(file), weights, rows, 1);
}

std::string error_of(const EditedFile& file) {
    try {
        build_edited(file);
        return "";
    } catch (const core::Error& error) {
        return error.what();
    }
}

int count(const graph::Graph& g, std::string_view op) {
    return static_cast<int>(std::count_if(g.nodes().begin(), g.nodes().end(), [&](const graph::Node& n) { return n.op && n.op->name == op; }));
}

TEST(Llama, BuildsTwoLayers) {
    EditedFile file;
    const graph::Graph g = build_edited(file);
    EXPECT_EQ(2, count(g, "attention"));
    EXPECT_EQ(2 * 7 + 1, count(g, "matmul"));
    EXPECT_EQ(core::Shape({1, 512}), g.node(g.outputs()[0]).type.shape);
}

TEST(Llama, TiedOutputUsesTheEmbedding) {
    EditedFile file;
    file.remove("output.weight");
    const graph::Graph g = build_edited(file);
    EXPECT_EQ("token_embd.weight", g.node(g.node(g.outputs()[0]).inputs[1]).name);
}

TEST(Llama, BiasesAreAdded) {
    EditedFile file;
    file.add("blk.0.attn_q.bias", {64});
    const graph::Graph g = build_edited(file);
    EXPECT_EQ(3u, g.node(g.find("blk.0.attn_q")).inputs.size());
    EXPECT_EQ(2u, g.node(g.find("blk.1.attn_q")).inputs.size());
}

TEST(Llama, RefusesWithTheNameOfWhatIsWrong) {
    EditedFile missing;
    missing.remove("blk.1.ffn_up.weight");
    EXPECT_NE(std::string::npos, error_of(missing).find("edited.gguf: tensor 'blk.1.ffn_up.weight' is missing")) << error_of(missing);
    EditedFile unknown;
    unknown.add("blk.0.attn_sinks.weight", {4});
    EXPECT_NE(std::string::npos, error_of(unknown).find("blk.0.attn_sinks.weight")) << error_of(unknown);
    EditedFile experts;
    experts.edit().set_integer("llama.expert_count", 8);
    EXPECT_NE(std::string::npos, error_of(experts).find("expert")) << error_of(experts);
    EditedFile shape;
    shape.edit().set_integer("llama.feed_forward_length", 200);
    EXPECT_NE(std::string::npos, error_of(shape).find("has shape")) << error_of(shape);
    EditedFile scaling;
    scaling.edit().set_text("llama.rope.scaling.type", "dynamic");
    EXPECT_NE(std::string::npos, error_of(scaling).find("dynamic")) << error_of(scaling);
    EditedFile architecture;
    architecture.edit().set_text("general.architecture", "unheard-of");
    EXPECT_NE(std::string::npos, error_of(architecture).find("unheard-of")) << error_of(architecture);
}

}  // namespace
}  // namespace tailor::models
