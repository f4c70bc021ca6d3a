// Reading and printing JSON: order, kinds and errors; and that large objects take no quadratic time.
#include "core/json.h"

#include <gtest/gtest.h>

#include <chrono>

#include "core/error.h"

namespace tailor::core {
namespace {

std::string error_of(const std::string& text) {
    try {
        Json::parse(text, "source");
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::format);
        return error.what();
    }
    return "no error";
}

TEST(Json, ReadsEveryKindInOrder) {
    const Json j = Json::parse(R"( {"z": 1, "a": [null, true, -2, 3.5, "t\u00e9", {}, []], "big": 18446744073709551615, "n": {"z": {"deep": []}}} )");
    ASSERT_EQ(j.members().size(), 4u);
    EXPECT_EQ(j.members()[0].first, "z");
    EXPECT_EQ(j.at("z").integer(), 1);
    const Json::Array& items = j.at("a").items();
    ASSERT_EQ(items.size(), 7u);
    EXPECT_TRUE(items[0].is_null());
    EXPECT_TRUE(items[1].boolean());
    EXPECT_EQ(items[2].integer(), -2);
    EXPECT_EQ(items[3].number(), 3.5);
    EXPECT_EQ(items[4].string(), "t\xC3\xA9");
    EXPECT_TRUE(items[5].is_object() && items[5].members().empty());
    EXPECT_TRUE(items[6].is_array() && items[6].items().empty());
    EXPECT_EQ(j.at("big").number(), 18446744073709551616.0);
    EXPECT_TRUE(j.at("n").at("z").at("deep").is_array());
    EXPECT_EQ(Json::parse(j.text(-1)).text(-1), j.text(-1));
    EXPECT_EQ(Json::parse("7").integer(), 7);
    EXPECT_EQ("[1152921504606846977,3,0.5]", Json(Json::Array{(std::int64_t{1} << 60) + 1, 3.0, 0.5}).text(-1));
}

TEST(Json, SaysWhatIsWrongAndWhere) {
    EXPECT_NE(error_of("{\"a\": 1,}").find("source: "), std::string::npos);
    EXPECT_NE(error_of("{\"a\": 1,}").find("column 9"), std::string::npos) << error_of("{\"a\": 1,}");
    for (const char* bad : {"", "{", "[1", "nul", "{\"a\" 1}", "\"\xFF\"", "1 2", "[1e999]"}) EXPECT_NE(error_of(bad), "no error") << bad;
    EXPECT_NE(error_of(std::string(201, '[')).find("nested deeper than 200 levels"), std::string::npos);
}

TEST(Json, ManyMembersAreReadInLinearTime) {
    std::string text = "{";
    constexpr int members = 200'000;
    for (int i = 0; i < members; ++i) text += (i ? ",\"key" : "\"key") + std::to_string(i) + "\":" + std::to_string(i);
    const auto start = std::chrono::steady_clock::now();
    const Json j = Json::parse(text + "}");
    EXPECT_EQ(j.members().size(), static_cast<std::size_t>(members));
    EXPECT_EQ(j.members().back().second.integer(), members - 1);
    // Comparing every key with all before it takes minutes; one pass takes a tenth of a second.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

}  // namespace
}  // namespace tailor::core
