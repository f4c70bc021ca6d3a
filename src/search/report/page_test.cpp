// The page for a made-up plan: what it says, that it is well-formed, and that no plan, however damaged, stops it.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "core/text.h"
#include "search/report.h"

namespace tailor::search {

using core::Json;

static Json with_error(double value, double standard_error) {
    return Json().set("value", value).set("standard_error", standard_error);
}

static Json candidate(const char* name, double bytes, double decode_ns, double perplexity, double kl) {
    Json j;
    j.set("name", name)
        .set("chosen", std::string_view(name) == "fitted")
        .set("meets_budget", bytes <= 4e6)
        .set("file_bytes", bytes);
    j.set("bits_per_weight", bytes / 1e6)
        .set("memory_bytes", bytes * 1.5)
        .set("decode_ns", with_error(decode_ns, decode_ns / 100));
    j.set("prompt_ns", with_error(decode_ns * 80, decode_ns)).set("perplexity", with_error(perplexity, 0.11));
    if (kl == 0) return j.set("kl", nullptr).set("predicted", nullptr);
    j.set("kl", Json()
                    .set("mean", with_error(kl, kl / 12))
                    .set("median", with_error(kl / 3, kl / 40))
                    .set("p99", with_error(kl * 9, kl))
                    .set("p99.9", with_error(kl * 20, kl * 2))
                    .set("max", kl * 60));
    j.set("predicted", Json().set("file_bytes", bytes).set("decode_ns", decode_ns * 0.9).set("prompt_ns", decode_ns * 79)
                           .set("memory_bytes", bytes * 1.4).set("kl", kl * 1.1));
    return j.set("top1_agreement", with_error(0.9712, 0.0021));
}

static Json choice(const char* format, double bits, double values, double kl) {
    return Json()
        .set("format", format)
        .set("bytes", values * bits / 8)
        .set("decode_ns", values * bits / 100)
        .set("prompt_ns", values)
        .set("weighted_error", kl * 3)
        .set("predicted_kl", kl)
        .set("measured_kl", nullptr);
}

static Json tensor(const std::string& name, int rows, int columns, int number) {
    const double values = static_cast<double>(rows) * columns, kl = 1e-4 * (1 + number % 7);
    const bool four = number % 3 != 0;
    Json j;
    j.set("name", name)
        .set("shape", Json().add(rows).add(columns))
        .set("source_format", "f16")
        .set("format", four ? "q4_k" : "q6_k");
    j.set("bytes", values * (four ? 4.5 : 6.5625) / 8).set("decode_ns", values / 20).set("prompt_ns", values);
    j.set("predicted_kl", four ? kl : kl / 16).set("measured", number % 2 == 0);
    return j.set("choices", Json().add(choice("q4_k", 4.5, values, kl)).add(choice("q6_k", 6.5625, values, kl / 16)));
}

static Json tensors(int layers) {
    Json list;
    list.add(tensor("token_embd.weight", 1000, 256, 0));
    for (int l = 0; l < layers; ++l) {
        const std::string layer = "blk." + std::to_string(l) + ".";
        list.add(
            Json().set("name", layer + "attn_norm.weight").set("shape", Json().add(256)).set("format", "f32").set("bytes", 1024));
        int number = l;
        for (const char* const role : {"ffn_down", "attn_q", "attn_k"})
            list.add(tensor(layer + role + ".weight", 256, 256, number++));
    }
    return list.add(tensor("output.weight", 1000, 256, 3));
}

static Json frontier(int places) {
    Json size, decode, uniform;
    for (int i = 0; i < places; ++i) {
        const double bytes = 2e6 + 1e6 * i, kl = i == places - 1 ? 0 : 0.1 * std::pow(0.5, i);
        size.add(Json().set("file_bytes", bytes).set("predicted_kl", kl));
        decode.add(Json().set("decode_ns", bytes / 3).set("predicted_kl", kl));
    }
    uniform.add(Json().set("format", "q4_k").set("file_bytes", 4.5e6).set("decode_ns", 1.5e6).set("kl", 0.03));
    uniform.add(
        Json().set("format", "q8_0").set("file_bytes", 8.5e6).set("decode_ns", 2.8e6).set("kl", 1e-3).set("measured", false));
    return Json().set("size", size).set("decode", decode).set("uniform", uniform);
}

static Json made_up_plan(int layers) {
    Json j;
    j.set("tailor", "0.1.0").set("command", "tailor fit small.gguf --size 4MB");
    j.set("model", Json().set("path", "small.gguf").set("name", "small").set("architecture", "llama").set("parameters", 8030000)
                       .set("file_bytes", 16e6));
    j.set(
        "machine",
        Json().set("processor", "Some Processor 9").set("isa", "avx512").set("threads", 2).set("read_bytes_per_second", 2.1e10));
    j.set("budgets", Json().add(Json().set("name", "size").set("limit", 4e6).set("unit", "bytes")));
    j.set("texts",
          Json().set("report", Json().set("source", "letters.txt").set("tokens", 65536).set("hash", "9f86d081884c7d65")));
    j.set("noise_floor_kl", 2e-6);
    j.set("candidates", Json()
                            .add(candidate("original", 16e6, 5.5e6, 12.3, 0))
                            .add(candidate("fitted", 3.98e6, 2.4e6, 12.4, 0.012))
                            .add(candidate("uniform q4_k", 4.5e6, 2.7e6, 13.9, 0.03)));
    j.set("allocation", Json()
                            .set("strategy", "cbc")
                            .set("gap", 8e-5)
                            .set("lower_bound", 0.0131)
                            .set("predicted_kl", 0.0132)
                            .set("seconds", 1.8));
    return j.set("tensors", tensors(layers)).set("frontier", frontier(12)).set("decision", "The closest within the budget.");
}

static bool has(const std::string& page, std::string_view part) { return page.find(part) != std::string::npos; }

static bool is_name(std::string_view text) {
    return !text.empty() &&
           text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-!") == std::string_view::npos;
}

/// Checks name="value" pairs; what is wrong with them, or nothing.
static std::string attribute_fault(std::string_view text) {
    while (!text.empty() && text.find_first_not_of(' ') != std::string_view::npos) {
        text.remove_prefix(text.find_first_not_of(' '));
        const std::size_t equals = text.find("=\""), end = equals == std::string_view::npos ? equals : text.find('"', equals + 2);
        if (end == std::string_view::npos || !is_name(text.substr(0, equals)))
            return "attribute at '" + std::string(text.substr(0, 40)) + "'";
        text.remove_prefix(end + 1);
    }
    return {};
}

/// What keeps a page from being well-formed: a tag that is not closed or closes another, a bare < or &, a broken
/// attribute. Empty when nothing does. The style sheet is text; every element without content must say so with "/>".
static std::string fault(std::string_view page) {
    std::vector<std::string> open;
    std::size_t at = page.find('>') + 1;
    while (at < page.size()) {
        const std::size_t tag = std::min(page.find('<', at), page.size());
        if (open.empty() && page.substr(at, tag - at).find_first_not_of("\n ") != std::string_view::npos)
            return "text outside the page";
        for (std::size_t i = at; i < tag; ++i)
            if (page[i] == '&' && page.substr(i, 10).find(';') == std::string_view::npos)
                return "a bare & at " + std::to_string(i);
        if (tag == page.size()) break;
        // A > within a quoted value would be escaped, so that the first one ends the tag.
        const std::size_t end = page.find('>', tag);
        if (end == std::string_view::npos) return "a tag without end";
        std::string_view inside = page.substr(tag + 1, end - tag - 1);
        at = end + 1;
        const bool closes = inside.starts_with('/'), leaf = inside.ends_with('/');
        if (closes) inside.remove_prefix(1);
        if (leaf) inside.remove_suffix(1);
        const std::string name(inside.substr(0, inside.find(' ')));
        if (!is_name(name)) return "tag '" + name + "'";
        if (closes) {
            if (open.empty() || open.back() != name) return "</" + name + "> closes " + (open.empty() ? "nothing" : open.back());
            open.pop_back();
            continue;
        }
        if (std::string wrong = attribute_fault(inside.substr(name.size())); !wrong.empty()) return wrong;
        if (!leaf) open.push_back(name);
    }
    return open.empty() ? "" : open.back() + " is never closed";
}

TEST(Report, FaultFinderFindsFaults) {
    EXPECT_EQ(fault("<!DOCTYPE html><a b=\"c\"><d/>e &amp; f</a>\n"), "");
    for (const char* const bad :
         {"<!DOCTYPE html><a>", "<!DOCTYPE html><a><b></a></b>", "<!DOCTYPE html></a>", "<!DOCTYPE html><a b=c></a>",
          "<!DOCTYPE html><a>x & y</a>", "<!DOCTYPE html><a>1 < 2</a>", "<!DOCTYPE html><a></a>text"})
        EXPECT_NE(fault(bad), "") << bad;
}

TEST(Report, SaysWhatWasAskedAndWhatCameOut) {
    const std::string page = report_html(made_up_plan(8));
    EXPECT_TRUE(has(page, "<h1>4.00 MB asked, 3.98 MB delivered: 4.0× smaller, 2.3× faster, KL divergence 0.0120 ± 0.0010</h1>"));
    EXPECT_TRUE(has(page, "✓ Every budget is met"));
    EXPECT_TRUE(has(page, "The closest within the budget."));
}

TEST(Report, ShowsEveryPart) {
    const std::string page = report_html(made_up_plan(8));
    for (const char* const part : {"Before and after",
                                   "Side by side",
                                   "Predicted and measured",
                                   "The frontier",
                                   "Layer by layer",
                                   "All 34 tensors in figures",
                                   "Where these figures come from",
                                   "5.500 ± 0.055 ms",
                                   "12.30 ± 0.11",
                                   "97.12 ± 0.21 %",
                                   "−75.1 %, better",
                                   "no clear difference",
                                   "one format for all, predicted",
                                   "+13.0 %, worse",
                                   "budget 4.00 MB",
                                   "8.03 million",
                                   "21.0 GB per second",
                                   "9f86d081884c7d65",
                                   "tailor fit small.gguf --size 4MB",
                                   "avx512",
                                   "Not shown: 8 one-dimensional tensors",
                                   "embed",
                                   "blk.7.attn_k.weight",
                                   "letters.txt",
                                   "1.80 s",
                                   "512 tokens"})
        EXPECT_TRUE(has(page, part)) << part;
}

TEST(Report, MapHasACellForEachTensor) {
    const std::string page = report_html(made_up_plan(80));
    // A role's columns stand in the order of use, not of the file, which has ffn_down first.
    EXPECT_LT(page.find(">attn_<wbr/>q<"), page.find(">ffn_<wbr/>down<"));
    EXPECT_TRUE(has(page, "class=\"map dense\""));
    std::size_t cells = 0;
    for (std::size_t at = 0; (at = page.find("td class=\"b", at)) != std::string::npos; ++at) ++cells;
    EXPECT_EQ(cells, 80u * 3 + 2);
    EXPECT_TRUE(has(page, "title=\"blk.0.attn_q.weight: q4_k, 4.50 bits per value, 36.9 kB; before: f16; divergence by itself"));
}

TEST(Report, IsWellFormedAndTheSameEachTime) {
    for (const int layers : {0, 1, 8, 80}) {
        const Json plan = made_up_plan(layers);
        const std::string page = report_html(plan);
        EXPECT_EQ(fault(page), "") << layers << " layers";
        EXPECT_EQ(page, report_html(plan));
    }
}

TEST(Report, NeedsNothingElse) {
    const std::string page = report_html(made_up_plan(8));
    for (const char* const part : {"http:", "https:", "<script", "<link", "src=", "href=", "@import", "url("})
        EXPECT_FALSE(has(page, part)) << part;
}

/// `plan` with every string in it replaced.
static Json with_strings(const Json& value, const std::string& text) {
    if (value.is_string()) return text;
    Json result = value;
    if (value.is_array()) {
        result = Json::Array{};
        for (const Json& item : value.items()) result.add(with_strings(item, text));
    } else if (value.is_object()) {
        for (const auto& [key, item] : value.members()) result.set(key, with_strings(item, text));
    }
    return result;
}

TEST(Report, EscapesAllText) {
    const std::string hostile = "<script>alert(\"1\")</script> & 'x' \x01 \xff blk.3.\"><b>";
    Json plan = with_strings(made_up_plan(3), hostile);
    const std::string page = report_html(plan);
    EXPECT_EQ(fault(page), "");
    EXPECT_FALSE(has(page, "<script"));
    EXPECT_FALSE(has(page, "<b>"));
    EXPECT_TRUE(has(page, "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp;"));
    EXPECT_TRUE(core::is_utf8(page));

    plan = made_up_plan(3);
    plan.set("model", Json().set("name", "<script>evil</script>"));
    EXPECT_TRUE(has(report_html(plan), "<title>Fit report: &lt;script&gt;evil&lt;/script&gt;</title>"));
}

using Rebuild = std::function<Json(const Json& changed)>;
using Visit = std::function<void(const Json& plan)>;

/// Visits the plan with `value`, then each value within it, replaced by `other`; `rebuild` makes the whole plan of a
/// changed part.
static void each_damage(const Json& value, const Json& other, const Rebuild& rebuild, const Visit& visit) {
    visit(rebuild(other));
    if (value.is_object()) {
        for (const auto& member : value.members())
            each_damage(
                member.second, other, [&](const Json& changed) { return rebuild(Json(value).set(member.first, changed)); },
                visit);
    } else if (value.is_array()) {
        for (std::size_t i = 0; i < value.items().size(); ++i) {
            const Rebuild with_item = [&](const Json& changed) {
                Json::Array items = value.items();
                items[i] = changed;
                return rebuild(Json(std::move(items)));
            };
            each_damage(value.items()[i], other, with_item, visit);
        }
    }
}

TEST(Report, NoDamageStopsIt) {
    Json plan = made_up_plan(0);
    plan.set("tensors", Json().add(tensor("blk.0.attn_q.weight", 256, 256, 1))).set("frontier", frontier(3));
    plan.set("candidates",
             Json().add(candidate("original", 16e6, 5.5e6, 12.3, 0)).add(candidate("fitted", 3.98e6, 2.4e6, 12.4, 0.012)));
    const double infinity = std::numeric_limits<double>::infinity();
    const Json others[] = {nullptr, "text", true, 0, -3, 1e300, 1e-300, 5e29, infinity, std::nan(""),
                           Json::Array{}, Json::Object{}, Json::Array{1, "x", nullptr, Json::Object{}}};
    int pages = 0;
    for (const Json& other : others)
        each_damage(plan, other, [](const Json& whole) { return whole; }, [&](const Json& damaged) {
            std::string page;
            ASSERT_NO_THROW(page = report_html(damaged)) << damaged.text();
            ASSERT_EQ(fault(page), "") << damaged.text();
            ++pages;
        });
    EXPECT_GT(pages, 1000);
}

TEST(Report, SaysWhenNothingIsThere) {
    const std::string page = report_html(Json());
    EXPECT_EQ(fault(page), "");
    for (const char* const part : {"No candidate was chosen", "The plan holds no candidates.", "The plan holds no frontier.",
                                   "The plan holds no tensors."})
        EXPECT_TRUE(has(page, part)) << part;
}

TEST(Report, SaysWhatADivergenceOfVectorsIs) {
    Json plan = made_up_plan(1);
    EXPECT_FALSE(has(report_html(plan), "cosine"));
    plan.set("divergence", "cosine distance");
    const std::string page = report_html(plan);
    EXPECT_TRUE(has(page, "2.3× faster, cosine distance 0.0120 ± 0.0010</h1>"));
    EXPECT_TRUE(has(page, "This model is an encoder"));
    EXPECT_EQ("", fault(page));
}

TEST(Report, SaysWhenABudgetIsMissed) {
    Json plan = made_up_plan(1);
    plan.set("candidates",
             Json().add(candidate("original", 16e6, 5.5e6, 12.3, 0)).add(candidate("fitted", 4.2e6, 6.6e6, 12.4, 0.012)));
    const std::string page = report_html(plan);
    EXPECT_TRUE(has(page, "4.00 MB asked, 4.20 MB delivered: 3.8× smaller, 1.2× slower"));
    EXPECT_TRUE(has(page, "✗ A budget is missed"));
    EXPECT_TRUE(has(page, "✗ over the budget"));
    EXPECT_TRUE(has(page, "105 % of the budget of 4.00 MB"));
}

}  // namespace tailor::search
