// Every type of normalizer, on texts that tell it from its neighbours.
#include "text/tokenizer_json/normalizers.h"

#include <gtest/gtest.h>

#include "text/tiny_map.h"

namespace tailor::text::tokenizer_json {
namespace {

std::string normalized_by(const std::string& json, const std::string& text) {
    const core::Json parsed = core::Json::parse(json);
    Draft draft(text);
    make_normalizer(Element(parsed, "file: normalizer"))(draft);
    return draft.text();
}

/// The message with which an element is refused.
std::string refusal(const std::string& json, core::ErrorKind kind) {
    try {
        normalized_by(json, "text");
    } catch (const core::Error& error) {
        EXPECT_EQ(error.kind(), kind) << error.what();
        return error.what();
    }
    return "accepted";
}

TEST(Normalizers, ForEveryType) {
    EXPECT_EQ(normalized_by("null", " Aé "), " Aé ");
    EXPECT_EQ(normalized_by(R"({"type": "NFC"})", "e\u0301ﬁ"), "éﬁ");
    EXPECT_EQ(normalized_by(R"({"type": "NFD"})", "éﬁ"), "e\u0301ﬁ");
    EXPECT_EQ(normalized_by(R"({"type": "NFKC"})", "e\u0301ﬁ"), "éfi");
    EXPECT_EQ(normalized_by(R"({"type": "NFKD"})", "éﬁ"), "e\u0301fi");
    EXPECT_EQ(normalized_by(R"({"type": "Lowercase"})", "ÉΣİ"), "éσi\u0307");
    EXPECT_EQ(normalized_by(R"({"type": "StripAccents"})", "e\u0301é\u0903"), "eé") << "marks go, characters that hold one stay";
    EXPECT_EQ(normalized_by(R"({"type": "Strip"})", "\u3000 a b\n"), "a b");
    EXPECT_EQ(normalized_by(R"({"type": "Strip", "strip_left": false, "strip_right": true})", " a "), " a");
    EXPECT_EQ(normalized_by(R"({"type": "Strip"})", " \n"), "");
    EXPECT_EQ(normalized_by(R"({"type": "Prepend", "prepend": "▁"})", "a"), "▁a");
    EXPECT_EQ(normalized_by(R"({"type": "Prepend", "prepend": "▁"})", ""), "");
    EXPECT_EQ(normalized_by(R"({"type": "Nmt"})", "a\x01\u007F" "b\u200Bc\u2581" "d"), "ab c d");
    EXPECT_EQ(normalized_by(R"({"type": "ByteLevel"})", "a é"), "aĠÃ©");
    EXPECT_EQ(normalized_by(R"({"type": "BertNormalizer", "clean_text": true, "strip_accents": null, "lowercase": true})", "Ä字"), "a 字 ");
    EXPECT_EQ(normalized_by(R"({"type": "BertNormalizer", "lowercase": false})", "Ä"), "Ä") << "accents go with case";
}

TEST(Normalizers, Replace) {
    EXPECT_EQ(normalized_by(R"({"type": "Replace", "pattern": {"String": "aa"}, "content": "."})", "aaa aa"), ".a .");
    EXPECT_EQ(normalized_by(R"({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"})", "a   b c"), "a▁b c");
    EXPECT_EQ(normalized_by(R"({"type": "Replace", "pattern": {"Regex": "\\s*"}, "content": "_"})", "a  b"), "_a_b_");
    refusal(R"({"type": "Replace", "pattern": {"String": ""}, "content": "."})", core::ErrorKind::unsupported);
    const std::string message = refusal(R"({"type": "Replace", "pattern": {"Regex": "("}, "content": "."})", core::ErrorKind::unsupported);
    EXPECT_NE(message.find("normalizer.pattern.Regex"), std::string::npos) << message;
}

/// "abc" in base64 and so on, to write a table of bytes into JSON.
std::string base64(const std::string& bytes) {
    const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string result;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t bits = 0;
        for (std::size_t j = 0; j < 3; ++j) bits = bits << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0);
        for (std::size_t j = 0; j < 4; ++j) result += j <= bytes.size() - i ? digits[bits >> (18 - 6 * j) & 63] : '=';
    }
    return result;
}

TEST(Normalizers, Precompiled) {
    const std::string table = base64(testing::compiled_map({{"Ａ", "A"}, {"\r", " "}, {"\r\n", "/"}, {"e\u0301", "é"}}));
    const std::string json = R"({"type": "Precompiled", "precompiled_charsmap": ")" + table + "\"}";
    EXPECT_EQ(normalized_by(json, "Ａe\u0301x"), "Aéx");
    EXPECT_EQ(normalized_by(json, "a\r\nb"), "a b") << "what looks like one character is replaced whole, by its shortest key";
    EXPECT_EQ(normalized_by(json, "Ａ\u0301\u0302\u0303"), "A\u0301\u0302\u0303") << "longer ones character by character";
    EXPECT_EQ(normalized_by(R"({"type": "Precompiled", "precompiled_charsmap": ""})", "Ａ"), "Ａ");
    refusal(R"({"type": "Precompiled", "precompiled_charsmap": "!"})", core::ErrorKind::format);
    refusal(R"({"type": "Precompiled", "precompiled_charsmap": "AAAA"})", core::ErrorKind::format);
}

TEST(Normalizers, SequencesAndRefusals) {
    const auto sequence = [](const std::string& steps) { return R"({"type": "Sequence", "normalizers": [)" + steps + "]}"; };
    EXPECT_EQ(normalized_by(sequence(R"({"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"})"), "ÉA"), "ea");
    const std::string unknown = refusal(sequence(R"({"type": "NFC"}, {"type": "Rot13"})"), core::ErrorKind::unsupported);
    EXPECT_NE(unknown.find("normalizer.normalizers[1]"), std::string::npos) << unknown;
    EXPECT_NE(unknown.find("'Rot13'"), std::string::npos) << unknown;
    EXPECT_NE(unknown.find("NFKD"), std::string::npos) << unknown;
    refusal(R"({"type": "Sequence"})", core::ErrorKind::format);
    refusal(R"({"kind": "NFC"})", core::ErrorKind::format);
    refusal(R"({"type": "Strip", "strip_left": 1})", core::ErrorKind::format);
    std::string doubling = R"({"type": "NFC"})";
    for (int i = 0; i < 60; ++i) doubling += R"(, {"type": "Replace", "pattern": {"String": "t"}, "content": "tt"})";
    refusal(sequence(doubling), core::ErrorKind::unsupported);
}

}  // namespace
}  // namespace tailor::text::tokenizer_json
