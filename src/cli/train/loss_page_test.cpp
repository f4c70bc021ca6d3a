// The page of losses: complete in itself, and read back as it was written.
#include "cli/train/loss_page.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace tailor::cli::train_command {
namespace {

std::vector<LossRun> two_runs() {
    LossRun a{.name = "llama", .about = "one of </script> & <b>", .learned = {}, .held_out = {}}, b{.name = "mamba", .about = "", .learned = {}, .held_out = {}};
    for (int i = 1; i <= 30; ++i) {
        a.learned.push_back({i * 10, i * 40960.0, i * 15.5, 8.0 / i + 1.25});
        b.learned.push_back({i * 10, i * 40960.0, i * 25.5, 8.5 / i + 1});
    }
    a.held_out = {{100, 409600, 160, 3.5}, {300, 1228800, 470, 3.125}};
    return {a, b};
}

TEST(LossPage, IsReadBackAsItWasWritten) {
    const std::vector<LossRun> runs = two_runs(), again = runs_of_page(loss_page(runs), "page.html");
    ASSERT_EQ(2U, again.size());
    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(runs[i].name, again[i].name);
        EXPECT_EQ(runs[i].about, again[i].about);
        ASSERT_EQ(runs[i].learned.size(), again[i].learned.size());
        EXPECT_EQ(runs[i].learned[29].step, again[i].learned[29].step);
        EXPECT_EQ(runs[i].learned[29].loss, again[i].learned[29].loss);
        EXPECT_EQ(runs[i].held_out.size(), again[i].held_out.size());
    }
    EXPECT_EQ(loss_page(runs), loss_page(again)) << "to the last bit";
}

TEST(LossPage, NeedsNothingFromElsewhere) {
    const std::string page = loss_page(two_runs());
    EXPECT_EQ(std::string::npos, page.find("http"));
    EXPECT_EQ(std::string::npos, page.find("src="));
    EXPECT_EQ(page.find("<script"), page.rfind("<script")) << "only the numbers";
    EXPECT_NE(std::string::npos, page.find("one of &lt;/script&gt;"));
    for (const char* const tag : {"html", "head", "body", "main", "table", "svg", "figure"}) {
        std::size_t open = 0, closed = 0;
        for (std::size_t at = 0; (at = page.find("<" + std::string(tag), at)) != std::string::npos; ++at) open += page[at + 1 + std::string(tag).size()] != 'e';
        for (std::size_t at = 0; (at = page.find("</" + std::string(tag) + ">", at)) != std::string::npos; ++at) ++closed;
        EXPECT_EQ(open, closed) << tag;
    }
}

TEST(LossPage, OfNothingIsAPageToo) {
    EXPECT_TRUE(runs_of_page(loss_page({}), "page.html").empty());
    const std::string one = loss_page({{.name = "just begun", .about = "", .learned = {{10, 1000, 1, 8}}, .held_out = {}}});
    EXPECT_EQ(1U, runs_of_page(one, "page.html").size());
    EXPECT_EQ(std::string::npos, one.find("nan"));
}

TEST(LossPage, OtherPagesAreRefused) {
    EXPECT_THROW(runs_of_page("<html></html>", "x.html"), core::Error);
    EXPECT_THROW(runs_of_page("<script type=\"application/json\" id=\"runs\">[{}]</script>", "x.html"), core::Error);
}

}  // namespace
}  // namespace tailor::cli::train_command
