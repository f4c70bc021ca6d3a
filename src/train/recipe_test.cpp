// Recipes: values arrive, and every mistake is named with its line.
#include "train/recipe.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "core/error.h"
#include "core/mapped_file.h"

namespace tailor::train {
namespace {

class Recipes : public ::testing::Test {
  protected:
    void TearDown() override { std::remove(path_.c_str()); }
    void read(const std::string& text) {
        core::write_text_file(path_, text);
        const RecipeKey keys[] = {{"model.family", &family}, {"model.layers", &layers}, {"optimizer.rate", &rate}, {"optimizer.clip", &clip},
                                  {"optimizer.seed", &seed}, {"model.tied", &tied},     {"data.text", &texts}};
        read_recipe(path_, keys, "model.metadata", open);
    }
    std::string error(const std::string& text) {
        try {
            read(text);
        } catch (const core::Error& e) {
            EXPECT_EQ(core::ErrorKind::usage, e.kind());
            std::string message = e.what();
            if (const std::size_t at = message.find(path_); at != std::string::npos) message.replace(at, path_.size(), "FILE");
            return message;
        }
        return "none";
    }
    std::string path_ = ::testing::TempDir() + "tailor_recipe_" + std::to_string(::getpid()) + ".toml";
    std::string family = "llama";
    std::int64_t layers = 8;
    std::optional<double> rate;
    double clip = 1;
    std::uint64_t seed = 1;
    bool tied = false;
    std::vector<std::string> texts;
    files::Metadata open;
};

TEST_F(Recipes, ValuesArrive) {
    read("# a comment\n[model]\nfamily = 'mamba' # another\nlayers = 1_2\ntied = true\n[optimizer]\nrate = 2e-3\nseed = 9\n[data]\ntext = ['a', 'b']\n");
    EXPECT_EQ("mamba", family);
    EXPECT_EQ(12, layers);
    EXPECT_TRUE(tied);
    EXPECT_DOUBLE_EQ(2e-3, *rate);
    EXPECT_EQ(9U, seed);
    EXPECT_EQ((std::vector<std::string>{"a", "b"}), texts);
    EXPECT_DOUBLE_EQ(1, clip) << "what is not named stays";
    read("optimizer.clip = 2\ndata = {text = 'c'}\n");
    EXPECT_DOUBLE_EQ(2, clip) << "an integer where a number is wanted";
    EXPECT_EQ(std::vector<std::string>{"c"}, texts);
}

TEST_F(Recipes, TheOpenSectionTakesAnyKey) {
    read("[model.metadata]\n\"attention.sliding_window\" = 64\n'x.scale' = 0.5\nname = 'n'\nflag = true\nlist = [1, 2]\n");
    EXPECT_EQ(64, open.integer("attention.sliding_window"));
    EXPECT_DOUBLE_EQ(0.5, open.real("x.scale"));
    EXPECT_EQ("n", open.text("name"));
    EXPECT_TRUE(open.boolean("flag", false));
    EXPECT_EQ((std::vector<std::int64_t>{1, 2}), open.integers("list"));
}

TEST_F(Recipes, MistakesAreNamedWithTheirLine) {
    EXPECT_EQ("FILE:3: there is no model.layer; the nearest is model.layers", error("[model]\n\nlayer = 3\n"));
    EXPECT_EQ("FILE:2: there is no optimizer.layers; the nearest is model.layers", error("[optimizer]\nlayers = 3\n"));
    EXPECT_EQ("FILE:1: there is no xyzzy; tailor train --help lists all settings", error("xyzzy = 3\n"));
    EXPECT_EQ("FILE:2: model.layers must be a whole number", error("[model]\nlayers = 3.5\n"));
    EXPECT_EQ("FILE:2: model.layers must be a whole number", error("[model]\nlayers = '3'\n"));
    EXPECT_EQ("FILE:2: model.family must be a text in quotes", error("[model]\nfamily = 3\n"));
    EXPECT_EQ("FILE:2: model.tied must be true or false", error("[model]\ntied = 1\n"));
    EXPECT_EQ("FILE:2: optimizer.rate must be a number", error("[optimizer]\nrate = 'fast'\n"));
    EXPECT_EQ("FILE:2: optimizer.seed must not be negative", error("[optimizer]\nseed = -1\n"));
    EXPECT_EQ("FILE:1: data.text must be a text in quotes", error("data.text = ['a', 3]\n"));
    EXPECT_EQ(0U, error("[model]\nfamily = llama\n").find("FILE:2: ")) << "no quotes";
    EXPECT_EQ(0U, error("[model\n").find("FILE:1: "));
    EXPECT_THROW(read_recipe("/nowhere/x.toml", {}, "", open), core::Error);
}

TEST(MostLike, CountsLettersThatDiffer) {
    const std::string_view names[] = {"budget.minutes", "budget.tokens", "output.model"};
    EXPECT_EQ("budget.minutes", most_like("budget.minuts", names));
    EXPECT_EQ("budget.tokens", most_like("budget.tokens", names));
    EXPECT_EQ("output.model", most_like("putput.modle", names));
    EXPECT_EQ("", most_like("entirely else", names));
    EXPECT_EQ("", most_like("", names));
}

}  // namespace
}  // namespace tailor::train
