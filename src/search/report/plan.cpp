// Reading a plan with a shrug: whatever is not there, or not of the kind expected, is left empty.
#include "search/report/plan.h"

#include <algorithm>
#include <cmath>

namespace tailor::search::report {

using core::Json;

static const Json& member(const Json& object, std::string_view name) {
    static const Json missing;
    const Json* const found = object.find(name);
    return found ? *found : missing;
}

/// No size, time or divergence comes near these limits; what does is damage, and would only break the charts' axes.
static Number as_number(const Json& value) {
    constexpr double most = 1e30, least = 1e-30;
    if (!value.is_number() || !(std::fabs(value.number()) < most)) return {};
    return std::fabs(value.number()) < least ? 0 : value.number();
}

static Number number(const Json& object, std::string_view name) { return as_number(member(object, name)); }

static std::string string(const Json& object, std::string_view name) {
    const Json& value = member(object, name);
    return value.is_string() ? value.string() : std::string();
}

static std::optional<bool> truth(const Json& object, std::string_view name) {
    const Json& value = member(object, name);
    if (value.is_null() || value.is_number() || value.is_string() || value.is_array() || value.is_object()) return {};
    return value.boolean();
}

/// {"value": v, "standard_error": e}, or a bare number whose error is unknown.
static Measured measured(const Json& object, std::string_view name) {
    const Json& value = member(object, name);
    if (value.is_number()) return {as_number(value), {}};
    return {number(value, "value"), number(value, "standard_error")};
}

/// One result of `read` for each object in a list; anything else in it is passed over.
template <class T>
static std::vector<T> list(const Json& object, std::string_view name, T (*read)(const Json&)) {
    std::vector<T> result;
    const Json& value = member(object, name);
    if (!value.is_array()) return result;
    for (const Json& item : value.items())
        if (item.is_object()) result.push_back(read(item));
    return result;
}

static Candidate read_candidate(const Json& j) {
    Candidate c;
    c.name = string(j, "name");
    c.chosen = truth(j, "chosen").value_or(false);
    c.meets_budget = truth(j, "meets_budget");
    c.file_bytes = measured(j, "file_bytes");
    c.bits_per_weight = measured(j, "bits_per_weight");
    c.memory_bytes = measured(j, "memory_bytes");
    c.decode_ns = measured(j, "decode_ns");
    c.prompt_ns = measured(j, "prompt_ns");
    c.perplexity = measured(j, "perplexity");
    c.top1_agreement = measured(j, "top1_agreement");
    const Json& kl = member(j, "kl");
    c.kl_mean = measured(kl, "mean");
    c.kl_median = measured(kl, "median");
    c.kl_p99 = measured(kl, "p99");
    c.kl_p999 = measured(kl, "p99.9");
    c.kl_max = measured(kl, "max");
    const Json& p = member(j, "predicted");
    c.predicted = {number(p, "file_bytes"), number(p, "decode_ns"), number(p, "prompt_ns"), number(p, "memory_bytes"),
                   number(p, "kl")};
    return c;
}

static Choice read_choice(const Json& j) {
    return {string(j, "format"),         number(j, "bytes"),        number(j, "decode_ns"),  number(j, "prompt_ns"),
            number(j, "weighted_error"), number(j, "predicted_kl"), number(j, "measured_kl")};
}

static Tensor read_tensor(const Json& j) {
    Tensor t;
    t.name = string(j, "name");
    t.source_format = string(j, "source_format");
    t.format = string(j, "format");
    t.bytes = number(j, "bytes");
    t.decode_ns = number(j, "decode_ns");
    t.prompt_ns = number(j, "prompt_ns");
    t.predicted_kl = number(j, "predicted_kl");
    t.measured = truth(j, "measured").value_or(false);
    t.choices = list<Choice>(j, "choices", read_choice);
    const Json& shape = member(j, "shape");
    if (shape.is_array())
        for (const Json& dimension : shape.items())
            if (const Number n = as_number(dimension)) t.shape.push_back(*n);
    return t;
}

static Budget read_budget(const Json& j) { return {string(j, "name"), number(j, "limit")}; }

static Point read_point(const Json& j) {
    const Number predicted = number(j, "predicted_kl");
    return {string(j, "format"), number(j, "file_bytes"), number(j, "decode_ns"),
            predicted ? predicted : measured(j, "kl").value, truth(j, "measured").value_or(true)};
}

static void read_texts(const Json& texts, Plan& plan) {
    if (!texts.is_object()) return;
    for (const auto& [role, text] : texts.members())
        plan.texts.push_back({role, string(text, "source"), string(text, "hash"), number(text, "tokens")});
}

Number Tensor::elements() const {
    if (shape.empty()) return {};
    double product = 1;
    for (const double dimension : shape) product *= dimension;
    return product;
}

Number Tensor::bits_per_value() const {
    const Number count = elements();
    if (!bytes || !count || *count <= 0) return {};
    return *bytes * 8 / *count;
}

const Candidate* Plan::chosen() const {
    const auto found = std::find_if(candidates.begin(), candidates.end(), [](const Candidate& c) { return c.chosen; });
    return found == candidates.end() ? nullptr : &*found;
}

const Candidate* Plan::original() const {
    const auto found =
        std::find_if(candidates.begin(), candidates.end(), [](const Candidate& c) { return c.name == "original"; });
    return found == candidates.end() ? nullptr : &*found;
}

const Budget* Plan::budget(std::string_view name) const {
    const auto found = std::find_if(budgets.begin(), budgets.end(), [&](const Budget& b) { return b.name == name && b.limit; });
    return found == budgets.end() ? nullptr : &*found;
}

Plan read_plan(const Json& json) {
    Plan plan;
    plan.tailor = string(json, "tailor");
    plan.command = string(json, "command");
    plan.decision = string(json, "decision");
    const Json& model = member(json, "model");
    plan.model_path = string(model, "path");
    plan.model_name = string(model, "name");
    plan.architecture = string(model, "architecture");
    plan.parameters = number(model, "parameters");
    plan.model_bytes = number(model, "file_bytes");
    const Json& machine = member(json, "machine");
    plan.processor = string(machine, "processor");
    plan.isa = string(machine, "isa");
    plan.threads = number(machine, "threads");
    plan.read_bytes_per_second = number(machine, "read_bytes_per_second");
    plan.noise_floor_kl = number(json, "noise_floor_kl");
    plan.of_vectors = string(json, "divergence") == "cosine distance";
    plan.prompt_tokens = number(json, "prompt_tokens").value_or(plan.prompt_tokens);
    plan.budgets = list<Budget>(json, "budgets", read_budget);
    read_texts(member(json, "texts"), plan);
    plan.candidates = list<Candidate>(json, "candidates", read_candidate);
    const Json& allocation = member(json, "allocation");
    plan.strategy = string(allocation, "strategy");
    plan.gap = number(allocation, "gap");
    plan.lower_bound = number(allocation, "lower_bound");
    plan.allocation_kl = number(allocation, "predicted_kl");
    plan.seconds = number(allocation, "seconds");
    plan.tensors = list<Tensor>(json, "tensors", read_tensor);
    const Json& frontier = member(json, "frontier");
    plan.size_frontier = list<Point>(frontier, "size", read_point);
    plan.decode_frontier = list<Point>(frontier, "decode", read_point);
    plan.uniform = list<Point>(frontier, "uniform", read_point);
    return plan;
}

}  // namespace tailor::search::report
