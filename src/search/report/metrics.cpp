// The compared quantities; see metrics.h.
#include "search/report/metrics.h"

#include <cmath>

namespace tailor::search::report {

static const Metric table[] = {
    {"File size", "Bytes of the model file on disk.", Unit::bytes, &Candidate::file_bytes, Better::lower, Mark::bar, "size",
     &Predicted::file_bytes, false},
    {"Bits per weight", "Size of the file divided by the number of weights; the original often has 16.", Unit::bits,
     &Candidate::bits_per_weight, Better::lower, Mark::none, nullptr, nullptr, false},
    {"Memory", "What the model needs while it runs: its weights, what it keeps of the text so far, and intermediate values.",
     Unit::bytes, &Candidate::memory_bytes, Better::lower, Mark::bar, "memory", &Predicted::memory_bytes, false},
    {"Time per token", "Time to write one token after another, as in an answer.", Unit::nanoseconds, &Candidate::decode_ns,
     Better::lower, Mark::bar, "decode", &Predicted::decode_ns, false},
    {"Time for a prompt", "Time to read a long prompt before the first token of the answer; its length stands at the end.",
     Unit::nanoseconds, &Candidate::prompt_ns, Better::lower, Mark::bar, "prompt", &Predicted::prompt_ns, false},
    {"Perplexity",
     "Between how many equally likely tokens the model hesitates, on average, when it predicts a text it never saw.", Unit::plain,
     &Candidate::perplexity, Better::lower, Mark::dot, nullptr, nullptr, false},
    {"KL divergence, mean",
     "How far the predicted probabilities of the next token are from the original model's, averaged over a text: 0 is the same "
     "model; at 0.01 what the original would write is, on average, 1 % less probable.",
     Unit::nats, &Candidate::kl_mean, Better::lower, Mark::bar, nullptr, &Predicted::kl, true},
    {"KL divergence, median", "Half of all tokens are predicted closer to the original than this.", Unit::nats,
     &Candidate::kl_median, Better::lower, Mark::none, nullptr, nullptr, true},
    {"KL divergence, 99 %", "One token in a hundred is further from the original than this.", Unit::nats, &Candidate::kl_p99,
     Better::lower, Mark::none, nullptr, nullptr, true},
    {"KL divergence, 99.9 %", "One token in a thousand is further from the original than this.", Unit::nats, &Candidate::kl_p999,
     Better::lower, Mark::none, nullptr, nullptr, true},
    {"KL divergence, largest", "The one token of the text where the two models differ most.", Unit::nats, &Candidate::kl_max,
     Better::lower, Mark::none, nullptr, nullptr, true},
    {"Same first choice", "How often the most likely next token is the same as the original model's.", Unit::share,
     &Candidate::top1_agreement, Better::higher, Mark::dot, nullptr, nullptr, true},
};

std::span<const Metric> metrics() { return table; }

const Metric& metric(Measured Candidate::*value) {
    for (const Metric& m : table)
        if (m.value == value) return m;
    return table[0];
}

bool differs(const Measured& a, const Measured& b) {
    if (!a.value || !b.value) return false;
    return std::fabs(*a.value - *b.value) > 2 * std::hypot(a.standard_error.value_or(0), b.standard_error.value_or(0));
}

bool keeps(const Plan& plan, const Metric& metric, const Candidate& candidate) {
    const Number& value = (candidate.*metric.value).value;
    const Budget* const budget = metric.budget ? plan.budget(metric.budget) : nullptr;
    return !budget || !value || *value <= *budget->limit;
}

}  // namespace tailor::search::report
