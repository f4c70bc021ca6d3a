// Checkpoints: what is read is what was written, every damage is refused, a writer killed at any moment leaves a good file, and a training
// that goes on from one is the training that was never interrupted, to the bit.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>

#include "core/error.h"
#include "models/tiny_family.h"
#include "models/tiny_model.h"
#include "train/checkpoint.h"
#include "train/token_windows.h"
#include "train/trainer.h"

namespace tailor::train {
namespace {

/// A folder of this test alone.
class CheckpointTest : public testing::Test {
  protected:
    CheckpointTest() : folder_(testing::TempDir() + "checkpoint-" + std::to_string(::getpid())), path_(folder_ + "/run.checkpoint") { std::filesystem::create_directories(folder_); }
    ~CheckpointTest() override { std::filesystem::remove_all(folder_); }
    std::string folder_, path_;
};

std::string message_of(const std::function<void()>& body) {
    try {
        body();
    } catch (const core::Error& error) {
        return error.what();
    }
    return "";
}

std::vector<Piece> pieces_of(std::vector<std::byte>& a, std::vector<std::byte>& b) { return {{"weights", a}, {"weights/mean", b}}; }

TEST_F(CheckpointTest, GivesBackWhatItWasGiven) {
    std::vector<std::byte> a(1000, std::byte{3}), b(7, std::byte{4}), none, c(1000), d(7);
    write_checkpoint(path_, core::Json().set("step", 5), pieces_of(a, b));
    const Checkpoint checkpoint(path_);
    EXPECT_EQ(checkpoint.about().at("step").integer(), 5);
    checkpoint.restore(pieces_of(c, d));
    EXPECT_EQ(a, c);
    EXPECT_EQ(b, d);
    EXPECT_NE(message_of([&] { checkpoint.restore(pieces_of(c, none)); }).find("it holds weights/mean of 7 bytes where weights/mean of 0 bytes is wanted"), std::string::npos);
    EXPECT_NE(message_of([&] { checkpoint.restore({}); }).find("where nothing is wanted"), std::string::npos);
}

// Without a flush to disk: there are hundreds.
void write_quickly(const std::string& path, std::string_view bytes) {
    std::FILE* const file = std::fopen(path.c_str(), "wb");
    ASSERT_TRUE(file);
    EXPECT_EQ(std::fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
    std::fclose(file);
}

TEST_F(CheckpointTest, EveryDamageIsRefusedByName) {
    std::vector<std::byte> a(40, std::byte{3}), b(7, std::byte{4});
    write_checkpoint(path_, core::Json().set("step", 5), pieces_of(a, b));
    const std::string good = core::read_text_file(path_), other = folder_ + "/damaged";
    for (std::size_t i = 0; i <= good.size(); ++i) {
        for (const bool shorter : {false, true}) {
            std::string bad = shorter ? good.substr(0, i) : good;
            if (!shorter && i < good.size()) bad[i] = static_cast<char>(bad[i] ^ 0x10);
            if (bad == good) continue;
            write_quickly(other, bad);
            EXPECT_EQ(message_of([&] { const Checkpoint checkpoint(other); }).find(other), 0U) << i << (shorter ? " bytes of it" : " changed");
        }
    }
    write_quickly(other, good + "x");
    EXPECT_THROW(Checkpoint{other}, core::Error);
    EXPECT_THROW(Checkpoint{folder_ + "/missing"}, core::Error);
}

// Each child writes one checkpoint after the other until it is killed; all bytes of one are its number.
TEST_F(CheckpointTest, AKilledWriterLeavesAGoodFileAndNoRubbish) {
    std::vector<std::byte> a(300000), b(100);
    write_checkpoint(path_, core::Json(), pieces_of(a, b));
    for (int kill_after = 0; kill_after < 24; ++kill_after) {
        const pid_t child = ::fork();
        if (child == 0) {
            // An error ends the child alone, and the parent finds that no one was killed.
            message_of([&] {
                for (int i = 0;; ++i) {
                    std::memset(a.data(), i, a.size()), std::memset(b.data(), i, b.size());
                    write_checkpoint(path_, core::Json(), pieces_of(a, b));
                }
            });
            ::_exit(1);
        }
        ASSERT_GT(child, 0);
        ::usleep(static_cast<useconds_t>(500 + kill_after * 517));
        ::kill(child, SIGKILL);
        int status = 0;
        ::waitpid(child, &status, 0);
        EXPECT_TRUE(WIFSIGNALED(status));
        Checkpoint(path_).restore(pieces_of(a, b));
        for (const std::byte x : a) ASSERT_EQ(x, b[0]);
    }
    write_checkpoint(path_, core::Json(), pieces_of(a, b));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator()), 1);
}

/// A training on 50 tokens, windows of 8, that tells each step's loss.
struct Training {
    Training(core::Pool& pool, std::string_view optimizer) : windows(tokens(), 8, 3), trainer(model, pool, options(optimizer)) { trainer.initialize(1); }
    static std::vector<text::TokenId> tokens() {
        std::vector<text::TokenId> list;
        for (std::int32_t i = 0; i < 50; ++i) list.push_back(i * i % 37);
        return list;
    }
    static TrainerOptions options(std::string_view optimizer) {
        TrainerOptions o;
        o.batch = 2, o.context = 8, o.accumulate = 2, o.optimizer = optimizer;
        return o;
    }
    void steps(std::int64_t count, std::vector<double>& losses) {
        for (std::int64_t i = 0; i < count; ++i) {
            std::vector<std::int32_t> ids, targets;
            for (int b = 0; b < 4; ++b) windows.next(ids, targets);
            losses.push_back(trainer.step(ids, targets, 0.003).loss);
        }
    }

    models::testing::TinyModel model{"llama", 1};
    TokenWindows windows;
    Trainer trainer;
};

TEST_F(CheckpointTest, TwelveStepsAreFiveAndSeven) {
    core::Pool pool(2);
    for (const optimizers::Optimizer* optimizer : optimizers::all()) {
        std::vector<double> at_once, in_two;
        Training whole(pool, optimizer->name);
        whole.steps(12, at_once);
        {
            Training first(pool, optimizer->name);
            first.steps(5, in_two);
            first.trainer.save(path_, core::Json().set("note", "five"));
        }
        Training second(pool, optimizer->name);
        const Checkpoint checkpoint(path_);
        EXPECT_EQ(Trainer::settings(checkpoint).at("note").string(), "five");
        second.trainer.restore(checkpoint);
        EXPECT_EQ(second.trainer.steps(), 5);
        second.windows.seek(5 * 4);
        second.steps(7, in_two);
        EXPECT_EQ(at_once, in_two) << optimizer->name;
    }
}

// Also where weights lie in stacks of experts or are tied, and where some are not trained.
TEST_F(CheckpointTest, EveryKindOfLayerGoesOn) {
    using models::testing::Parts;
    core::Pool pool(2);
    for (const auto& [architecture, parts] : {std::pair{"mamba", Parts::least}, {"llama", Parts::experts}, {"rwkv7", Parts::least}, {"gemma2", Parts::least}}) {
        const auto file = models::testing::make_tiny_family(architecture, parts);
        TrainerOptions options;
        options.batch = 1, options.context = 6;
        const std::vector<std::int32_t> ids{1, 2, 3, 4, 5, 6}, targets{2, 3, 4, 5, 6, 7};
        Trainer first(*file, pool, options), second(*file, pool, options);
        for (int i = 0; i < 2; ++i) first.step(ids, targets, 0.01);
        first.save(path_, {});
        second.restore(Checkpoint(path_));
        for (int i = 0; i < 2; ++i) EXPECT_EQ(first.step(ids, targets, 0.01).loss, second.step(ids, targets, 0.01).loss) << architecture;
    }
}

TEST_F(CheckpointTest, OfAnotherOptimizerOrModelIsRefused) {
    core::Pool pool(1);
    Training training(pool, "lion"), other(pool, "sgd");
    training.trainer.save(path_, {});
    EXPECT_NE(message_of([&] { other.trainer.restore(Checkpoint(path_)); }).find("made with the optimizer lion, not sgd"), std::string::npos);
    const models::testing::TinyModel larger("llama", 2);
    Trainer another(larger, pool, Training::options("lion"));
    EXPECT_NE(message_of([&] { another.restore(Checkpoint(path_)); }).find("of another model"), std::string::npos);
}

}  // namespace
}  // namespace tailor::train
