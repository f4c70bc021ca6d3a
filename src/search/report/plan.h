// A plan in plain structs, so that the page's sections never see JSON.
//
// Everything may be missing: a quantity is an optional number, a name an empty string, a list an empty list. Member names
// are those of plan.json; times are nanoseconds, sizes bytes, divergences nats per token.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"

namespace tailor::search::report {

using Number = std::optional<double>;

/// A measured value with its standard error.
struct Measured {
    Number value, standard_error;
};

struct Predicted {
    Number file_bytes, decode_ns, prompt_ns, memory_bytes, kl;
};

struct Candidate {
    std::string name;
    bool chosen = false;
    std::optional<bool> meets_budget;
    Measured file_bytes, bits_per_weight, memory_bytes, decode_ns, prompt_ns, perplexity, top1_agreement;
    Measured kl_mean, kl_median, kl_p99, kl_p999, kl_max;
    Predicted predicted;
};

/// `name` is size, decode, prompt or memory; the limit is in bytes or nanoseconds.
struct Budget {
    std::string name;
    Number limit;
};

struct Text {
    std::string role, source, hash;
    Number tokens;
};

struct Choice {
    std::string format;
    Number bytes, decode_ns, prompt_ns, weighted_error, predicted_kl, measured_kl;
};

struct Tensor {
    std::string name, source_format, format;
    std::vector<double> shape;
    Number bytes, decode_ns, prompt_ns, predicted_kl;
    bool measured = false;
    std::vector<Choice> choices;

    /// Product of the shape; nothing when the shape is missing.
    Number elements() const;
    Number bits_per_value() const;
};

/// One place on a frontier, or one uniform format, whose divergence was measured unless the plan says otherwise.
struct Point {
    std::string format;
    Number file_bytes, decode_ns, kl;
    bool measured = true;
};

struct Plan {
    std::string tailor, command, decision;
    std::string model_path, model_name, architecture;
    Number parameters, model_bytes;
    std::string processor, isa;
    Number threads, read_bytes_per_second, noise_floor_kl;
    bool of_vectors = false;  ///< of an encoder: every divergence is a cosine distance
    double prompt_tokens = 512;
    std::vector<Budget> budgets;
    std::vector<Text> texts;
    std::vector<Candidate> candidates;
    std::string strategy;
    Number gap, lower_bound, allocation_kl, seconds;
    std::vector<Tensor> tensors;
    std::vector<Point> size_frontier, decode_frontier, uniform;

    /// nullptr when there is none.
    const Candidate* chosen() const;
    const Candidate* original() const;
    const Budget* budget(std::string_view name) const;
};

/// Reads what is there; never throws for what is not.
Plan read_plan(const core::Json& json);

}  // namespace tailor::search::report
