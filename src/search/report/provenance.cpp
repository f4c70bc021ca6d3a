// Where the figures come from: everything needed to judge them and to make them again.
#include "search/report/metrics.h"
#include "search/report/sections.h"

namespace tailor::search::report {

/// A list of names and values; what is empty is left out.
class Facts {
  public:
    explicit Facts(Markup& out) : out_(out), list_(out.open("dl", {{"class", "facts"}})) {}
    void add(std::string_view name, const std::string& value, const char* style = "") {
        if (value.empty() || value == "–") return;
        const Markup::Scope pair = out_.open("div");
        out_.element("dt", name);
        out_.element("dd", value, {{"class", style}});
    }

  private:
    Markup& out_;
    Markup::Scope list_;
};

static void write_model_and_machine(Markup& out, const Plan& plan) {
    out.element("h3", "Model, machine and command");
    Facts facts(out);
    facts.add("Command", plan.command, "code");
    facts.add("Tailor", plan.tailor);
    facts.add("Model", plan.model_name);
    facts.add("File", plan.model_path, "code");
    facts.add("Architecture", plan.architecture);
    facts.add("Parameters", quantity(plan.parameters, Unit::count));
    facts.add("Original size", quantity(plan.model_bytes, Unit::bytes));
    facts.add("Processor", plan.processor);
    facts.add("Instruction set", plan.isa);
    facts.add("Threads", quantity(plan.threads, Unit::count));
    if (plan.read_bytes_per_second)
        facts.add("Reading memory", quantity(*plan.read_bytes_per_second, Unit::bytes) + " per second");
}

static void write_budgets_and_search(Markup& out, const Plan& plan) {
    out.element("h3", "Budgets and search");
    Facts facts(out);
    for (const Budget& budget : plan.budgets)
        for (const Metric& m : metrics())
            if (m.budget && budget.name == m.budget && budget.limit)
                facts.add(std::string("Budget: ") + m.name, "at most " + quantity(*budget.limit, m.unit));
    facts.add("Prompt that was timed", quantity(plan.prompt_tokens, Unit::count) + " tokens");
    facts.add("Strategy", plan.strategy);
    facts.add("Predicted divergence", quantity(plan.allocation_kl, Unit::nats));
    facts.add("Lower bound", quantity(plan.lower_bound, Unit::nats));
    facts.add("Gap", quantity(plan.gap, Unit::share));
    if (plan.seconds) facts.add("Time to solve", quantity(*plan.seconds * 1e9, Unit::nanoseconds));
    facts.add("Noise floor", quantity(plan.noise_floor_kl, Unit::nats));
}

static void write_texts(Markup& out, const Plan& plan) {
    if (plan.texts.empty()) return;
    out.element("h3", "Texts");
    write_note(out,
               "Each text has one use, so that nothing is proved on what it was fitted to: the calibration text weights the "
               "errors, the search text compares choices, the report text gives the figures of this page. A hash that agrees "
               "means the same text.");
    const Markup::Scope wrapper = open_scroll(out, "Texts");
    const Markup::Scope table = out.open("table", {{"class", "texts"}});
    write_table_head(out, {"Used for", "Tokens", "Source", "Hash"});
    const Markup::Scope body = out.open("tbody");
    for (const Text& text : plan.texts) {
        const Markup::Scope row = out.open("tr");
        out.element("th", text.role, {{"scope", "row"}});
        out.element("td", quantity(text.tokens, Unit::count));
        out.element("td", text.source.empty() ? "–" : text.source, {{"class", "words"}});
        out.element("td", text.hash.empty() ? "–" : text.hash, {{"class", "code"}});
    }
}

static void write_method(Markup& out) {
    out.element("h3", "Method");
    const Markup::Scope list = out.open("ol", {{"class", "method"}});
    for (const char* const step :
         {"The time of each tensor in each format is measured on this machine; the size is counted.",
          "The divergence that each format causes in each tensor is measured where that pays and otherwise predicted from the "
          "rounding error, weighted by what the calibration text sends through the tensor.",
          "One format is chosen for each tensor so that the sum of divergences is least while every budget holds. The lower "
          "bound "
          "says how much better any other choice could be; the gap is the distance to it. Since divergences do not quite add up, "
          "whole mixtures near the answer are then measured on the search text, and the best is kept.",
          "The model is written, read again and measured as a whole on the report text, beside the original and beside models "
          "with one format for all. Times are medians of repeated runs; errors of divergences and perplexities come from drawing "
          "whole windows of text anew (block bootstrap)."})
        out.element("li", step);
}

void write_provenance(Markup& out, const Plan& plan) {
    const Markup::Scope section = out.open("section", {{"class", "provenance"}});
    out.element("h2", "Where these figures come from");
    {
        const Markup::Scope columns = out.open("div", {{"class", "figures"}});
        {
            const Markup::Scope left = out.open("div");
            write_model_and_machine(out, plan);
        }
        const Markup::Scope right = out.open("div");
        write_budgets_and_search(out, plan);
    }
    write_texts(out, plan);
    write_method(out);
}

}  // namespace tailor::search::report
