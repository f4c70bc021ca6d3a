// Shares of several processes: every number once, evenly, and states that fit together as one process writes them.
#include "train/shards.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include "core/error.h"
#include "train/optimizers/registry.h"

namespace tailor::train {
namespace {

using optimizers::Parameter;

const std::vector<Parameter> parameters{{"token_embd.weight", {1000, 256}}, {"blk.0.attn_norm.weight", {256}}, {"blk.0.ffn_up.weight", {700, 256}}, {"blk.0.ffn_down.weight", {256, 700}}, {"b", {3}}};

TEST(Shards, HoldEveryNumberOnceAndAreEven) {
    std::int64_t total = 0, largest = 0;
    for (const Parameter& p : parameters) total += p.numbers(), largest = std::max(largest, p.numbers());
    for (const bool by_number : {false, true})
        for (const int owners : {1, 2, 3, 4, 7}) {
            std::map<int, std::int64_t> load;
            std::map<std::pair<std::size_t, int>, int> met;
            std::size_t tensor = 0;
            std::int64_t at = 0;
            for (const Shard& shard : share_out(parameters, by_number, owners)) {
                if (shard.tensor != tensor) {
                    EXPECT_EQ(at, parameters[tensor].numbers());
                    ++tensor, at = 0;
                }
                ASSERT_EQ(shard.tensor, tensor);
                EXPECT_EQ(shard.begin, at);
                EXPECT_EQ(shard.begin % optimizers::chunk, 0);
                EXPECT_GT(shard.count, 0);
                EXPECT_TRUE(shard.owner >= 0 && shard.owner < owners);
                EXPECT_TRUE(by_number || shard.count == parameters[tensor].numbers());
                EXPECT_EQ((++met[{shard.tensor, shard.owner}]), 1) << "an owner has two shards of a tensor";
                load[shard.owner] += shard.count, at += shard.count;
            }
            EXPECT_EQ(tensor, parameters.size() - 1);
            const std::int64_t most = by_number ? total / owners + 2 * optimizers::chunk : std::max(largest, 4 * total / (3 * owners));
            for (const auto& [owner, numbers] : load) EXPECT_LE(numbers, most) << owner << " of " << owners;
        }
}

TEST(Shards, StatesOfShardsLieInThatOfTheTensor) {
    // What restore() and gather() rely on: the state of the first n numbers is as long as where that of the rest begins.
    for (const optimizers::Optimizer* const optimizer : optimizers::all()) {
        if (!optimizer->by_number) continue;
        const std::int64_t numbers = 3 * optimizers::chunk + 100, first = optimizers::chunk;
        const auto whole = optimizer->state({"w", {numbers}}), head = optimizer->state({"w", {first}}), tail = optimizer->state({"w", {numbers - first}});
        for (std::size_t part = 0; part < whole.size(); ++part) EXPECT_EQ(whole[part].bytes, head[part].bytes + tail[part].bytes) << optimizer->name << " " << part;
    }
}

TEST(Shards, PartsOfATensorMoveAsTheTensorDoes) {
    core::Pool pool(1);
    for (const optimizers::Optimizer* const optimizer : optimizers::all()) {
        if (!optimizer->by_number) continue;
        const std::int64_t numbers = 2 * optimizers::chunk + 50, cut = optimizers::chunk;
        const Parameter whole{"w", {numbers}}, head{"w", {cut}}, tail{"w", {numbers - cut}};
        std::vector<float> together(static_cast<std::size_t>(numbers), 1), apart = together, gradient = together;
        for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] = static_cast<float>(i % 97) / 50 - 1;
        optimizers::State all(optimizer->state(whole)), first(optimizer->state(head)), second(optimizer->state(tail));
        for (int step = 1; step <= 3; ++step) {
            optimizer->update({whole, together.data(), gradient.data(), 0.5, 0.01, 0.1, step, all, pool, cpu::active_isa()});
            optimizer->update({head, apart.data(), gradient.data(), 0.5, 0.01, 0.1, step, first, pool, cpu::active_isa()});
            optimizer->update({tail, apart.data() + cut, gradient.data() + cut, 0.5, 0.01, 0.1, step, second, pool, cpu::active_isa()});
        }
        EXPECT_EQ(0, std::memcmp(together.data(), apart.data(), 4 * together.size())) << optimizer->name;
    }
}

TEST(Workers, AloneEverythingIsAsItWas) {
    Workers alone;
    EXPECT_EQ(alone.count(), 1);
    EXPECT_TRUE(alone.first());
    EXPECT_EQ(alone.sharing(), 1);
    EXPECT_EQ(alone.missing(), -1);
    double number = 3;
    alone.sum({&number, 1});
    EXPECT_EQ(number, 3);
    EXPECT_EQ(alone.least(7), 7);
    EXPECT_EQ(alone.of_first(2.5), 2.5);
    EXPECT_TRUE(alone.any(true));
    EXPECT_FALSE(alone.any(false));
    EXPECT_NO_THROW(alone.check_same("text", 5));
    alone.abort(3);
}

TEST(Checkpoints, FillPartsOfBlocks) {
    const std::string path = testing::TempDir() + "parts-" + std::to_string(::getpid());
    std::vector<std::byte> block(10), part(4), none;
    for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::byte>(i + 1);
    // What is written is gathered while it is written.
    const std::vector<Piece> written{{.name = "a", .bytes = {}, .whole = 10, .gather = [&] { return std::span<const std::byte>(block); }}, {.name = "b", .bytes = part}};
    write_checkpoint(path, {}, written);
    const std::vector<Piece> wanted{{.name = "a", .bytes = part, .whole = 10, .offset = 3}, {.name = "b", .bytes = none, .whole = 4}};
    Checkpoint(path).restore(wanted);
    EXPECT_EQ(0, std::memcmp(part.data(), block.data() + 3, 4));
    const std::vector<Piece> other{{.name = "a", .bytes = part, .whole = 9, .offset = 3}, {.name = "b", .bytes = none, .whole = 4}};
    EXPECT_THROW(Checkpoint(path).restore(other), core::Error);
    const std::vector<Piece> wrong{{.name = "a", .bytes = {}, .whole = 11, .gather = [&] { return std::span<const std::byte>(block); }}};
    EXPECT_THROW(write_checkpoint(path, {}, wrong), core::Error);
    std::remove(path.c_str());
}

}  // namespace
}  // namespace tailor::train
