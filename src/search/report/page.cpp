// The page as a list of its sections, and the small pieces that sections share.
#include "search/report.h"
#include "search/report/markup.h"
#include "search/report/plan.h"
#include "search/report/sections.h"

namespace tailor::search::report {

void write_note(Markup& out, std::string_view text) { out.element("p", text, {{"class", "note"}}); }

Markup::Scope open_scroll(Markup& out, std::string_view label) {
    return out.open("div", {{"class", "scroll"}, {"tabindex", "0"}, {"role", "region"}, {"aria-label", std::string(label)}});
}

void write_table_head(Markup& out, std::initializer_list<const char*> names) {
    const Markup::Scope head = out.open("thead");
    const Markup::Scope row = out.open("tr");
    for (const char* const name : names)
        if (*name) out.element("th", name, {{"scope", "col"}});
        else out.element("td", "");
}

}  // namespace tailor::search::report

namespace tailor::search {

std::string report_html(const core::Json& json) {
    using namespace report;
    const Plan plan = read_plan(json);
    Markup out;
    out.raw("<!DOCTYPE html>");
    {
        const Markup::Scope html = out.open("html", {{"lang", "en"}});
        {
            const Markup::Scope head = out.open("head");
            out.leaf("meta", {{"charset", "utf-8"}});
            out.leaf("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
            out.leaf("meta", {{"name", "color-scheme"}, {"content", "light dark"}});
            out.leaf("meta", {{"name", "description"}, {"content", headline(plan)}});
            out.element("title", plan.model_name.empty() ? "Fit report" : "Fit report: " + plan.model_name);
            const Markup::Scope sheet = out.open("style");
            out.raw(style());
        }
        const Markup::Scope body = out.open("body");
        {
            const Markup::Scope main = out.open("main");
            write_headline(out, plan);
            write_comparison(out, plan);
            write_panels(out, plan);
            write_predictions(out, plan);
            write_frontier(out, plan);
            write_layers(out, plan);
            write_tensors(out, plan);
            write_provenance(out, plan);
        }
        out.element("footer", "Written by tailor" + (plan.tailor.empty() ? "" : " " + plan.tailor) +
                                  ". This page needs no scripts and loads nothing from elsewhere.");
    }
    out.raw("\n");
    return out.html();
}

}  // namespace tailor::search
