// Metadata: typed look-ups, what they say when the type is another one, and building by hand.
#include "files/metadata.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace tailor::files {
namespace {

template <class Look>
std::string message_of(const Look& look) {
    try {
        look();
    } catch (const core::Error& error) {
        EXPECT_EQ(error.kind(), core::ErrorKind::format);
        return error.what();
    }
    return "no error";
}

TEST(Metadata, KeepsOrderAndReplacesInPlace) {
    Metadata m;
    m.set_integer("b", 1);
    m.set_text("a", "x");
    m.set_integer("b", 2, MetaType::i64);
    ASSERT_EQ(m.entries().size(), 2u);
    EXPECT_EQ(m.entries()[0].first, "b");
    EXPECT_EQ(m.entries()[0].second.type, MetaType::i64);
    EXPECT_EQ(m.integer("b"), 2);
}

TEST(Metadata, FallsBackOnlyWhenMissing) {
    Metadata m;
    m.set_text("t", "text");
    EXPECT_EQ(m.integer("absent", 7), 7);
    EXPECT_EQ(m.real("absent", 0.5), 0.5);
    EXPECT_TRUE(m.boolean("absent", true));
    EXPECT_EQ(m.text("absent", "d"), "d");
    EXPECT_TRUE(m.texts("absent").empty() && m.integers("absent").empty() && m.reals("absent").empty());
    EXPECT_EQ(message_of([&] { m.integer("t", 7); }), "metadata key 't' is a value of type string; it must be an integer");
    EXPECT_EQ(message_of([&] { m.integer("absent"); }), "the metadata has no key 'absent', which must be an integer");
}

TEST(Metadata, NamesWhatItFound) {
    Metadata m;
    m.set_integers("list", {1, 2, 3}, MetaType::u32);
    m.set_real("r", 0.5);
    EXPECT_EQ(message_of([&] { m.text("list"); }), "metadata key 'list' is an array of 3 u32; it must be a string");
    EXPECT_EQ(message_of([&] { m.texts("list"); }), "metadata key 'list' is an array of 3 u32; it must be an array of strings");
    EXPECT_EQ(message_of([&] { m.integer("r"); }), "metadata key 'r' is a value of type f32; it must be an integer");
    EXPECT_EQ(message_of([&] { m.boolean("r", false); }), "metadata key 'r' is a value of type f32; it must be a boolean");
    EXPECT_EQ(message_of([&] { m.integers("r"); }), "metadata key 'r' is a value of type f32; it must be an array of integers");
}

TEST(Metadata, RealsTakeIntegers) {
    Metadata m;
    m.set_integer("base", 10000);
    m.set_integers("list", {1, 2}, MetaType::i32);
    EXPECT_EQ(m.real("base"), 10000);
    EXPECT_EQ(m.reals("list"), (std::vector<double>{1, 2}));
}

TEST(Metadata, TextOutlivesCopiesAndReplacement) {
    Metadata copy;
    {
        Metadata m;
        m.set_text("t", std::string(100, 'x'));
        m.set_texts("ts", {"one", "", "three"});
        copy = m;
    }
    EXPECT_EQ(copy.text("t"), std::string(100, 'x'));
    EXPECT_EQ(copy.texts("ts"), (std::vector<std::string_view>{"one", "", "three"}));
}

TEST(Metadata, JsonCutsLongArrays) {
    Metadata m;
    m.set_integers("list", {1, 2, 3, 4, 5});
    m.set_texts("texts", {"a", "b"});
    m.set_boolean("yes", true);
    EXPECT_EQ(m.find("list")->json(2).text(-1), R"([1,2,"... 3 more"])");
    EXPECT_EQ(m.find("texts")->json().text(-1), R"(["a","b"])");
    EXPECT_EQ(m.find("yes")->json().text(-1), "true");
}

}  // namespace
}  // namespace tailor::files
