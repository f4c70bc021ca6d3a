// That every family can be made by asking it, so that tests over all_tiny_families() leave none out.
#include "models/tiny_family.h"

#include <gtest/gtest.h>

#include <iostream>
#include <set>

namespace tailor::models {
namespace {

using namespace testing;

// What a family refuses; empty if it can be made.
std::string refusal(const std::string& architecture, Parts parts) {
    try {
        make_tiny_family(architecture, parts);
        return "";
    } catch (const core::Error& error) {
        return error.what();
    }
}

TEST(TinyFamilies, EveryArchitectureCanBeMade) {
    for (const Model* const family : all())
        for (const std::string_view name : family->architectures) {
            const std::string architecture(name), plain = refusal(architecture, Parts::least), experts = refusal(architecture, Parts::experts);
            EXPECT_TRUE(plain.empty() || experts.empty()) << plain << "\n" << experts;
        }
}

TEST(TinyFamilies, PartsAreWhereTheyBelong) {
    std::set<std::string> with_experts, hybrid;
    for (const TinyKind& kind : all_tiny_families()) {
        if (kind.parts == Parts::experts) with_experts.insert(kind.architecture);
        if (kind.parts == Parts::hybrid) hybrid.insert(kind.architecture);
    }
    for (const char* const name : {"llama", "qwen2moe", "qwen3moe", "olmoe", "granitemoe", "gpt-oss", "llama4", "glm4moe", "deepseek2", "jamba", "granitehybrid",
                                   "lfm2moe", "qwen3next", "qwen35moe", "gemma4", "nomic-bert-moe"})
        EXPECT_TRUE(with_experts.contains(name)) << name;
    for (const char* const name : {"deci", "jamba", "granitehybrid", "lfm2", "lfm2moe"}) EXPECT_TRUE(hybrid.contains(name)) << name;
    EXPECT_NE("", refusal("gpt2", Parts::experts));
}

}  // namespace
}  // namespace tailor::models
