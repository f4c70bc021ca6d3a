// The answer first: one sentence, then the five or six numbers that matter, large, each beside its budget.
#include <cmath>

#include "core/text.h"
#include "search/report/metrics.h"
#include "search/report/sections.h"

namespace tailor::search::report {

/// "4.1× smaller", "1.2× slower", "as fast"; nothing when either is unknown.
static std::string comparison(const Measured& before, const Measured& after, const char* less, const char* more,
                              const char* same) {
    if (!before.value || !after.value || *before.value <= 0 || *after.value <= 0) return {};
    const double ratio = *before.value / *after.value;
    if (std::fabs(ratio - 1) < 0.05) return same;
    return ratio > 1 ? times(ratio) + " " + less : times(1 / ratio) + " " + more;
}

static const char* limited_thing(const Budget& budget) {
    if (budget.name == "decode") return " per token";
    if (budget.name == "prompt") return " per prompt";
    if (budget.name == "memory") return " of memory";
    return "";
}

/// "4.00 MB and 5.00 ms per token asked, 3.98 MB and 4.21 ms per token delivered".
static std::string asked_and_delivered(const Plan& plan, const Candidate& chosen) {
    std::vector<std::string> asked, delivered;
    for (const Budget& budget : plan.budgets)
        for (const Metric& m : metrics())
            if (budget.limit && m.budget && budget.name == m.budget) {
                asked.push_back(quantity(*budget.limit, m.unit) + limited_thing(budget));
                if (const Number value = (chosen.*m.value).value)
                    delivered.push_back(quantity(*value, m.unit) + limited_thing(budget));
            }
    if (asked.empty()) return chosen.file_bytes.value ? quantity(chosen.file_bytes.value, Unit::bytes) : "";
    std::string text = core::join(asked, " and ") + " asked";
    if (!delivered.empty()) text += ", " + core::join(delivered, " and ") + " delivered";
    return text;
}

std::string headline(const Plan& plan) {
    const Candidate* const chosen = plan.chosen();
    if (!chosen) return "No candidate was chosen";
    std::string text = asked_and_delivered(plan, *chosen);
    std::vector<std::string> gains;
    if (const Candidate* const original = plan.original(); original && original != chosen) {
        for (const std::string& gain :
             {comparison(original->file_bytes, chosen->file_bytes, "smaller", "larger", "the same size"),
              comparison(original->decode_ns, chosen->decode_ns, "faster", "slower", "as fast")})
            if (!gain.empty()) gains.push_back(gain);
    }
    if (chosen->kl_mean.value) gains.push_back((plan.of_vectors ? "cosine distance " : "KL divergence ") + quantity(chosen->kl_mean, Unit::nats));
    if (!gains.empty()) text += (text.empty() ? "" : ": ") + core::join(gains, ", ");
    return text.empty() ? "Nothing was measured" : text;
}

static void write_verdict(Markup& out, const Candidate& chosen) {
    if (!chosen.meets_budget) return;
    out.element("p", *chosen.meets_budget ? "✓ Every budget is met" : "✗ A budget is missed",
                {{"class", *chosen.meets_budget ? "verdict better" : "verdict worse"}});
}

/// How much of a budget is used, as a bar; what is over it is drawn in the colour of what is worse.
static void write_meter(Markup& out, double used, const std::string& text) {
    const double share = std::min(used, 1.0) * 100;
    {
        const Markup::Scope meter = out.open("svg", {{"class", "meter"},
                                                     {"viewBox", "0 0 100 4"},
                                                     {"preserveAspectRatio", "none"},
                                                     {"role", "img"},
                                                     {"aria-label", text}});
        out.leaf("rect", {{"class", "track"}, {"width", "100"}, {"height", "4"}});
        out.leaf("rect", {{"class", used <= 1 ? "used" : "over"}, {"width", core::format("{:.1f}", share)}, {"height", "4"}});
    }
    out.element("p", text, {{"class", "small"}});
}

static void write_tile(Markup& out, const Plan& plan, const Candidate& chosen, const Metric& m) {
    const Measured& value = chosen.*m.value;
    if (!value.value) return;
    const Markup::Scope tile = out.open("div", {{"class", "tile"}});
    out.element("p", m.name, {{"class", "small"}});
    out.element("p", quantity(value.value, m.unit), {{"class", "figure"}});
    if (value.standard_error && *value.standard_error > 0)
        out.element("p", quantity(value, m.unit), {{"class", "small"}});
    const Candidate* const original = plan.original();
    if (original && original != &chosen && !m.against_original && (original->*m.value).value)
        out.element("p", "before: " + quantity((original->*m.value).value, m.unit), {{"class", "small"}});
    const Budget* const budget = m.budget ? plan.budget(m.budget) : nullptr;
    if (budget && *budget->limit > 0) {
        const double used = *value.value / *budget->limit;
        write_meter(out, used, quantity(used, Unit::share) + " of the budget of " + quantity(*budget->limit, m.unit));
    }
}

void write_headline(Markup& out, const Plan& plan) {
    const Candidate* const chosen = plan.chosen();
    const Markup::Scope header = out.open("header");
    out.element("p", "Fit report" + (plan.model_name.empty() ? "" : ": " + plan.model_name), {{"class", "kicker"}});
    out.element("h1", headline(plan));
    if (chosen) write_verdict(out, *chosen);
    if (!plan.decision.empty()) out.element("p", plan.decision, {{"class", "decision"}});
    if (plan.of_vectors)
        out.element("p", "This model is an encoder: it gives vectors, not probabilities. Every divergence on this page is the cosine distance of a "
                         "token's vector from the original's, 1 less the cosine of the angle between them: 0 is the same direction.",
                    {{"class", "small"}});
    if (!chosen) return;
    const Markup::Scope tiles = out.open("div", {{"class", "tiles"}});
    for (const auto value : {&Candidate::file_bytes, &Candidate::decode_ns, &Candidate::prompt_ns, &Candidate::memory_bytes,
                             &Candidate::kl_mean, &Candidate::top1_agreement})
        write_tile(out, plan, *chosen, metric(value));
}

}  // namespace tailor::search::report
