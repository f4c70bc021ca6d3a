// The chat templates of real models against recorded renderings: every template and message list of the reference data,
// byte for byte, and the errors by which templates refuse. Skipped where the reference data is missing.
#include <gtest/gtest.h>

#include <filesystem>

#include "core/error.h"
#include "core/json.h"
#include "core/mapped_file.h"
#include "text/chat.h"

namespace tailor::text {
namespace {

const std::filesystem::path golden = std::filesystem::path(TAILOR_SOURCE_DIR) / "../shared/golden/chat";

std::string text_of(const core::Json& json, std::string_view key) {
    const core::Json* const value = json.find(key);
    return value && value->is_string() ? value->string() : std::string();
}

/// "2026-01-02T03:04:05"
std::tm time_of(const std::string& text) {
    std::tm time{};
    time.tm_year = std::stoi(text.substr(0, 4)) - 1900, time.tm_mon = std::stoi(text.substr(5, 2)) - 1, time.tm_mday = std::stoi(text.substr(8, 2));
    time.tm_hour = std::stoi(text.substr(11, 2)), time.tm_min = std::stoi(text.substr(14, 2)), time.tm_sec = std::stoi(text.substr(17, 2));
    time.tm_isdst = -1;
    std::mktime(&time);  // the day of the week
    return time;
}

ChatRequest request_of(const core::Json& test, const std::tm& now) {
    ChatRequest request;
    request.now = now;
    for (const auto& [key, value] : test.members()) {
        if (key == "messages") request.messages = value;
        else if (key == "tools") request.tools = value;
        else if (key == "add_generation_prompt") request.add_generation_prompt = value.boolean();
        else if (key != "name" && key != "rendered" && key != "error") request.variables.set(key, value);
    }
    return request;
}

TEST(ChatGolden, RendersTheTemplatesOfRealModels) {
    if (!std::filesystem::exists(golden)) GTEST_SKIP() << "no reference data at " << golden;
    int rendered = 0, refused = 0;
    for (const auto& entry : std::filesystem::directory_iterator(golden)) {
        if (entry.path().extension() != ".json") continue;
        const std::string name = entry.path().stem().string();
        const core::Json recorded = core::Json::parse(core::read_text_file(entry.path().string()), name);
        const ChatTemplate form(core::read_text_file((golden / (name + ".jinja")).string()), text_of(recorded, "bos_token"),
                                text_of(recorded, "eos_token"));
        for (const core::Json& test : recorded.at("cases").items()) {
            const std::string what = name + ": " + test.at("name").string();
            const ChatRequest request = request_of(test, time_of(recorded.at("now").string()));
            const std::string error = text_of(test, "error");
            try {
                const std::string text = form.render(request);
                EXPECT_EQ("", error) << what << ": should refuse";
                if (error.empty()) {
                    EXPECT_EQ(test.at("rendered").string(), text) << what;
                }
                ++rendered;
            } catch (const core::Error& e) {
                ASSERT_FALSE(error.empty()) << what << ": " << e.what();
                EXPECT_EQ(core::ErrorKind::usage, e.kind()) << what;
                // Recorded as "TemplateError: <what the template says>".
                EXPECT_NE(std::string::npos, std::string(e.what()).find(error.substr(error.find(": ") + 2))) << what << ": " << e.what();
                ++refused;
            }
        }
    }
    EXPECT_GT(rendered, 50);
    EXPECT_GT(refused, 0);
    RecordProperty("rendered", rendered);
    RecordProperty("refused", refused);
}

}  // namespace
}  // namespace tailor::text
