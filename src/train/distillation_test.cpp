// Distillation: a teacher beside its own copy teaches nothing, blocks by themselves do not feel each other, stored answers are as good as the
// teacher, and a student learns.
#include "train/distillation.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "core/error.h"
#include "models/tiny_family.h"
#include "models/tiny_model.h"
#include "train/batch_plan.h"
#include "train/distillation_student.h"
#include "train/trainer.h"

namespace tailor::train {
namespace {

using models::testing::TinyModel;

constexpr std::int64_t batch = 2, context = 12;

TrainerOptions options_with(std::shared_ptr<Objective> objective, std::string optimizer = "sgd") {
    return {.batch = batch, .context = context, .clip = 0, .weight_decay = 0, .optimizer = std::move(optimizer), .objective = std::move(objective)};
}

std::shared_ptr<Distillation> distillation(const files::File& teacher, const files::File& student, std::string_view losses, double temperature = 1) {
    return std::make_shared<Distillation>(teacher, student, DistillationOptions{.losses = losses::parse(losses), .temperature = temperature});
}

std::vector<std::int32_t> some_ids(int seed = 0) {
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i < batch * context; ++i) ids.push_back(static_cast<std::int32_t>((i * 7 + i * i % 5 + seed) % 40));
    return ids;
}

std::vector<std::int32_t> next_of(const std::vector<std::int32_t>& ids) {
    std::vector<std::int32_t> targets(ids.begin() + 1, ids.end());
    targets.push_back(3);
    return targets;
}

/// Another model of the same shape.
void disturb(TinyModel& model, const std::string& name, float by) {
    const core::Tensor tensor = formats::make_tensor(formats::get("f32"), model.at(name).shape);
    for (std::int64_t i = 0; i < tensor.shape.elements(); ++i) tensor.row_f32(0)[i] = model.at(name).row_f32(0)[i] + by * std::sin(static_cast<float>(3 * i));
    model.put(name, tensor);
}

TEST(Distillation, ATeacherTeachesItsCopyNothing) {
    const TinyModel model("llama", 3);
    core::Pool pool(2);
    for (const char* loss : {"kl", "reverse_kl", "hidden", "block"}) {
        Trainer trainer(model, pool, options_with(distillation(model, model, loss, 1.5)));
        const Step step = trainer.step(some_ids(), next_of(some_ids()), 1e-3);
        EXPECT_EQ(step.loss, 0) << loss;
        EXPECT_EQ(step.gradient_norm, 0) << loss;
    }
}

TEST(Distillation, RowsThatDoNotCountAreZero) {
    TinyModel teacher("llama", 2), student("llama", 2);
    disturb(student, "blk.0.attn_q.weight", 0.2f);
    core::Pool pool(1);
    Trainer trainer(student, pool, options_with(distillation(teacher, student, "kl=1,reverse_kl=1,hidden=1,block=1,cross_entropy=1")));
    EXPECT_GT(trainer.loss(some_ids(), next_of(some_ids())), 0);
    EXPECT_EQ(trainer.loss(some_ids(), std::vector<std::int32_t>(some_ids().size(), -1)), 0);
}

/// A weight after a step of descent, and so its gradient.
core::Tensor after_a_step(const files::File& teacher, const files::File& student, const char* loss, const char* weight) {
    core::Pool pool(1);
    Trainer trainer(student, pool, options_with(distillation(teacher, student, loss)));
    trainer.step(some_ids(), next_of(some_ids()), 0.1);
    return trainer.weight(weight);
}

bool same(const core::Tensor& a, const core::Tensor& b) { return std::memcmp(a.data, b.data, static_cast<std::size_t>(4 * a.shape.elements())) == 0; }

TEST(Distillation, BlocksByThemselvesDoNotFeelEachOther) {
    const char* const in_layer_1 = "blk.1.ffn_up.weight";
    TinyModel teacher("llama", 3), one("llama", 3), other("llama", 3);
    for (TinyModel* student : {&one, &other}) disturb(*student, in_layer_1, 0.2f);
    // Layers before and after, and what stands around all layers.
    disturb(other, "blk.0.attn_v.weight", 0.3f), disturb(other, "blk.2.ffn_down.weight", 0.3f), disturb(other, "token_embd.weight", 0.3f);
    EXPECT_TRUE(same(after_a_step(teacher, one, "block", in_layer_1), after_a_step(teacher, other, "block", in_layer_1)));
    EXPECT_FALSE(same(after_a_step(teacher, one, "hidden", in_layer_1), after_a_step(teacher, other, "hidden", in_layer_1)));
    EXPECT_FALSE(same(after_a_step(teacher, one, "block", in_layer_1), one.at(in_layer_1))) << "the layer that differs learns";
    EXPECT_TRUE(same(after_a_step(teacher, one, "block", "blk.2.ffn_up.weight"), one.at("blk.2.ffn_up.weight"))) << "one that does not has nothing to learn";
}

TEST(Distillation, StudentsComeNearer) {
    for (const char* loss : {"kl", "reverse_kl", "kl=0.5,reverse_kl=0.5", "hidden", "block", "kl=1,hidden=0.1"}) {
        TinyModel teacher("llama", 2), student("llama", 2);
        disturb(student, "blk.0.ffn_up.weight", 0.2f), disturb(student, "blk.1.attn_output.weight", 0.2f);
        core::Pool pool(2);
        const auto objective = distillation(teacher, student, loss);
        Trainer trainer(student, pool, options_with(objective, "adamw"));
        const double before = trainer.loss(some_ids(), next_of(some_ids()));
        for (int i = 0; i < 30; ++i) trainer.step(some_ids(), next_of(some_ids()), 5e-3);
        EXPECT_LT(trainer.loss(some_ids(), next_of(some_ids())), 0.3 * before) << loss;
        BatchPlan plan(objective->evaluation(), pool, batch, context);
        plan.run(some_ids(), next_of(some_ids()));
        double divergence = 0;
        for (std::int64_t r = 0; r < batch * context; ++r) divergence += static_cast<double>(plan.output(1).row_f32(r)[0]);
        EXPECT_LT(divergence / (batch * context), 0.05) << loss << ": the evaluation reads the weights as they are";
    }
}

TEST(Distillation, OtherShapesOfStudents) {
    const TinyModel teacher("llama", 4);
    TinyModel fewer("llama", 2);
    core::Pool pool(1);
    Trainer trainer(fewer, pool, options_with(distillation(teacher, fewer, "kl=1,hidden=1,block=1"), "adamw"));
    const double before = trainer.loss(some_ids(), next_of(some_ids()));
    for (int i = 0; i < 20; ++i) trainer.step(some_ids(), next_of(some_ids()), 5e-3);
    EXPECT_LT(trainer.loss(some_ids(), next_of(some_ids())), before);
    EXPECT_EQ(layers_to_match(2, 4), (std::vector<std::int64_t>{0, 2, 4}));
    EXPECT_EQ(layers_to_match(3, 3), (std::vector<std::int64_t>{0, 1, 2, 3}));
    EXPECT_EQ(layers_to_match(3, 8), (std::vector<std::int64_t>{0, 3, 5, 8}));
    // Another width goes through a trained matrix; blocks by themselves cannot.
    const models::testing::TinyFamily wide("llama", models::testing::Parts::least);
    EXPECT_THROW(Distillation(teacher, fewer, {.losses = losses::parse("kl"), .layers = {0, 4}}), core::Error);
    EXPECT_THROW(Distillation(teacher, fewer, {.losses = losses::parse("kl"), .layers = {1}}), core::Error);
    EXPECT_THROW(losses::parse("kl=0"), core::Error);
    EXPECT_THROW(losses::parse("kl,kl"), core::Error);
    EXPECT_THROW(losses::parse("no_loss"), core::Error);
}

TEST(Distillation, AProjectionIsTrainedWhereWidthsDiffer) {
    graph::Graph built;
    // Two models of one vocabulary, 40, of widths 32 and 64.
    class Wide : public files::File {
      public:
        Wide() {
            const TinyModel narrow("llama", 2);
            path_ = "wide.gguf", metadata_ = narrow.metadata();
            metadata_.set_integer("llama.embedding_length", 64), metadata_.set_integer("llama.attention.key_length", 8), metadata_.set_integer("llama.attention.value_length", 8);
            metadata_.set_integer("llama.rope.dimension_count", 8);
            for (files::TensorInfo info : narrow.tensors()) {
                for (int i = 0; i < info.shape.rank(); ++i)
                    if (info.shape[i] == 32 && !(info.name.find("attn_q") != std::string::npos && i == 0) && !(info.name.find("attn_output") != std::string::npos && i == 1)) info.shape[i] = 64;
                data_[info.name] = formats::make_tensor(formats::get("f32"), info.shape);
                for (std::int64_t i = 0; i < info.shape.elements(); ++i) data_[info.name].row_f32(0)[i] = info.shape.rank() == 1 ? 1.0f : 0.2f * std::sin(static_cast<float>(i) + static_cast<float>(info.name.size()));
                tensors_.push_back(info);
            }
        }
        core::Tensor read(const files::TensorInfo& tensor) const override { return data_.at(tensor.name); }
        std::uint64_t bytes() const override { return 0; }

      private:
        std::map<std::string, core::Tensor> data_;
    };
    const Wide teacher;
    const TinyModel student("llama", 2);
    core::Pool pool(1);
    Trainer trainer(student, pool, options_with(distillation(teacher, student, "hidden"), "adamw"));
    EXPECT_TRUE(trainer.weight("projection.1.weight"));
    const double before = trainer.loss(some_ids(), next_of(some_ids()));
    for (int i = 0; i < 30; ++i) trainer.step(some_ids(), next_of(some_ids()), 1e-2);
    EXPECT_LT(trainer.loss(some_ids(), next_of(some_ids())), 0.7 * before);
    EXPECT_THROW(Trainer(student, pool, options_with(distillation(teacher, student, "block"))), core::Error);
}

std::string temporary(const char* name) { return testing::TempDir() + "tailor_" + std::to_string(::getpid()) + "_" + name; }

std::vector<std::vector<std::int32_t>> windows_of(const std::vector<std::int32_t>& ids) {
    std::vector<std::vector<std::int32_t>> windows;
    for (std::int64_t b = 0; b < batch; ++b) windows.emplace_back(ids.begin() + b * context, ids.begin() + (b + 1) * context);
    return windows;
}

TEST(TeacherAnswers, OfAllTokensAreAsGoodAsTheTeacher) {
    TinyModel teacher("llama", 2), student("llama", 2);
    disturb(student, "blk.0.ffn_up.weight", 0.3f);
    core::Pool pool(2);
    const std::string path = temporary("answers.bin");
    const std::vector<std::int32_t> ids = some_ids();
    double fewer = 0;
    for (const std::int64_t k : {5, 40, 99}) {
        write_answers(path, teacher, pool, {.k = k, .context = context, .temperature = 2}, 3, windows_of(ids));
        const auto answers = std::make_shared<TeacherAnswers>(path);
        EXPECT_EQ(answers->k(), std::min<std::int64_t>(k, 40));
        EXPECT_EQ(answers->windows(), batch);
        EXPECT_EQ(answers->teacher(), model_hash(teacher));
        const auto stored = std::make_shared<Distillation>(teacher, student, DistillationOptions{.losses = losses::parse("kl"), .temperature = 2, .layers = {}, .rounding = {}, .answers = answers});
        Trainer alone(student, pool, options_with(stored)), beside(student, pool, options_with(distillation(teacher, student, "kl", 2)));
        const double live = beside.loss(ids, next_of(ids)), from_file = alone.loss(ids, next_of(ids));
        if (k == 5) {
            EXPECT_LE(from_file, live * 1.00001) << "tokens taken together tell less apart";
            EXPECT_GT(from_file, 0.05 * live);
            fewer = from_file;
            continue;
        }
        EXPECT_NEAR(from_file, live, 1e-5 * live);
        EXPECT_NE(from_file, fewer);
        EXPECT_NEAR(alone.step(ids, next_of(ids), 0.01).gradient_norm, beside.step(ids, next_of(ids), 0.01).gradient_norm, 1e-4);
    }
    // Another text, temperature, context or loss is refused, and so is a damaged file.
    const auto answers = std::make_shared<TeacherAnswers>(path);
    Trainer trainer(student, pool, options_with(std::make_shared<Distillation>(teacher, student, DistillationOptions{.losses = losses::parse("kl"), .temperature = 2, .layers = {}, .rounding = {}, .answers = answers})));
    EXPECT_THROW(trainer.loss(some_ids(1), next_of(ids)), core::Error);
    EXPECT_THROW(Distillation(teacher, student, DistillationOptions{.losses = losses::parse("kl"), .temperature = 1, .layers = {}, .rounding = {}, .answers = answers}), core::Error);
    EXPECT_THROW(Distillation(teacher, student, DistillationOptions{.losses = losses::parse("hidden"), .temperature = 2, .layers = {}, .rounding = {}, .answers = answers}), core::Error);
    std::string bytes = core::read_text_file(path);
    for (const std::size_t at : {std::size_t{3}, std::size_t{12}, std::size_t{40}, bytes.size() / 2, bytes.size() - 1}) {
        std::string damaged = bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ 1);
        core::write_text_file(path, damaged);
        EXPECT_THROW(TeacherAnswers{path}, core::Error) << at;
    }
    core::write_text_file(path, bytes.substr(0, bytes.size() - 9));
    EXPECT_THROW(TeacherAnswers{path}, core::Error);
    ::unlink(path.c_str());
}

TEST(StudentFile, TakesFromTheTeacherWhatWasRounded) {
    TinyModel teacher("llama", 2), student("llama", 2);
    const auto rounded = [](const core::Tensor& tensor) {
        core::Tensor packed = formats::make_tensor(formats::get("q4_0"), tensor.shape);
        for (std::int64_t r = 0; r < tensor.shape.rows(); ++r) packed.format->encode(tensor.row_f32(r), nullptr, packed.row(r), tensor.shape.width());
        return packed;
    };
    const char *const near = "blk.0.attn_q.weight", *const far = "blk.1.attn_q.weight";
    disturb(student, far, 2);
    student.put(near, rounded(student.at(near))), student.put(far, rounded(student.at(far)));
    const StudentFile file(student, teacher, [&](const files::TensorInfo& t) { return t.format->name == "q4_0"; });
    EXPECT_EQ(file.taken(), 1);
    EXPECT_TRUE(same(file.read(*file.find(near)), teacher.at(near)));
    EXPECT_EQ(file.find(far)->format->name, "f32");
    EXPECT_FALSE(same(file.read(*file.find(far)), teacher.at(far)));
    EXPECT_TRUE(same(file.read(*file.find("output_norm.weight")), teacher.at("output_norm.weight")));
    student.metadata().set_text(distilled_from_key, "a teacher");
    EXPECT_EQ(StudentFile(student, teacher, [](const files::TensorInfo& t) { return t.format->name == "q4_0"; }).taken(), 0) << "it was trained since";
}

TEST(HiddenStates, AreFoundInEveryFamilyThatCanBeTrained) {
    for (const models::testing::TinyKind& kind : models::testing::all_tiny_families()) {
        const auto file = models::testing::make_tiny_family(kind.architecture, kind.parts);
        const models::Model& family = models::family_of(*file);
        if (family.encodes || family.build_encoder) continue;
        const models::Weights weights(*file);
        const graph::Graph graph = models::build(family, weights, 6, 6, 16);
        const std::vector<graph::Value> states = hidden_states(graph, models::testing::TinyFamily::layers);
        ASSERT_EQ(states.size(), 5U) << file->path();
        for (std::size_t i = 0; i < states.size(); ++i) {
            EXPECT_EQ(graph.node(states[i]).type.shape.rows(), 6) << file->path() << " state " << i;
            EXPECT_EQ(graph.node(states[i]).type.shape.width(), graph.node(states[0]).type.shape.width()) << file->path() << " state " << i;
            if (i > 0) {
                EXPECT_GE(states[i], states[i - 1]) << file->path();
            }
        }
    }
}

}  // namespace
}  // namespace tailor::train
