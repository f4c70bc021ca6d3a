// Rules: order, where they match, and what is wrong with a bad one.
#include "cli/rules.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace tailor::cli {
namespace {

TEST(FormatRules, TheFirstMatchWinsAnywhereInTheName) {
    FormatRules rules({"blk\\.0\\.=q8_0", "ffn_(up|gate)=Q4_K", "^output=q6_k"});
    EXPECT_EQ("q8_0", rules.find("blk.0.ffn_up.weight")->name);
    EXPECT_EQ("q4_k", rules.find("blk.10.ffn_up.weight")->name);
    EXPECT_EQ("q6_k", rules.find("output.weight")->name);
    EXPECT_EQ(nullptr, rules.find("blk.3.attn_output.weight"));
    EXPECT_NO_THROW(rules.require_all_used());
}

TEST(FormatRules, OnlyTheLastEqualsSignSeparates) {
    FormatRules rules({"attn_(?=q)=q5_k"});
    EXPECT_EQ("q5_k", rules.find("blk.0.attn_q.weight")->name);
    EXPECT_EQ(nullptr, rules.find("blk.0.attn_k.weight"));
}

TEST(FormatRules, MistakesNameTheRule) {
    for (const char* const bad : {"ffn_up", "=q4_k", "(=q4_k", "ffn_up=q9"}) {
        try {
            FormatRules{{bad}};
            ADD_FAILURE() << bad << " was accepted";
        } catch (const core::Error& error) {
            EXPECT_EQ(core::ErrorKind::usage, error.kind());
        }
    }
    FormatRules rules({"ffn_up=q4_k", "fnn_down=q4_k"});
    rules.find("blk.0.ffn_up.weight");
    try {
        rules.require_all_used();
        ADD_FAILURE() << "a rule that never matched was accepted";
    } catch (const core::Error& error) {
        EXPECT_NE(std::string::npos, std::string(error.what()).find("fnn_down=q4_k")) << error.what();
    }
}

}  // namespace
}  // namespace tailor::cli
