// One row of top_k_divergence: the shares of the teacher, and the sums of the student's exponentials over the stored tokens and over all others.
//
// Included inside each instruction-set level's namespace under that level's target, after `using namespace
// cpu::TAILOR_ISA`; hence no include guard and no includes.

// Tokens not above `from` and below `to`; sums of up to 1024 values in f32, these in double.
static double sum_of_exponentials(const float* x, std::int64_t from, std::int64_t to, float largest, float inverse_temperature) noexcept {
    double total = 0;
    std::int64_t i = from;
    while (i + lanes <= to) {
        Vector part = {};
        for (const std::int64_t end = std::min(to, i + 1024); i + lanes <= end; i += lanes) part += exponential((load(x + i) - largest) * inverse_temperature);
        total += static_cast<double>(sum(part));
    }
    for (; i < to; ++i) total += std::exp(static_cast<double>((x[i] - largest) * inverse_temperature));
    return total;
}

struct TopKRow {
    const float *logits, *top;
    const std::int32_t* ids;
    std::int64_t k;
    double inverse;         ///< of the temperature
    float largest, most;    ///< of the student's and of the stored logits
    double total = 0, rest = 0, log_total, log_stored;

    TopKRow(const Call& call, std::int64_t r, double inverse_temperature) noexcept
        : logits(call.inputs[0].row_f32(r)), top(call.inputs[1].row_f32(r)), ids(call.inputs[2].row_i32(r)), k(call.inputs[2].shape.width()), inverse(inverse_temperature) {
        const std::int64_t width = call.inputs[0].shape.width();
        const auto narrow = static_cast<float>(inverse);
        largest = logits[0], most = top[0];
        for (std::int64_t i = 1; i < width; ++i) largest = std::max(largest, logits[i]);
        for (std::int64_t i = 1; i <= k; ++i) most = std::max(most, top[i]);
        std::int64_t from = 0;
        for (std::int64_t i = 0; i < k; ++i) {
            rest += sum_of_exponentials(logits, from, ids[i], largest, narrow);
            total += std::exp(static_cast<double>(logits[ids[i]] - largest) * inverse);
            from = ids[i] + 1;
        }
        rest += sum_of_exponentials(logits, from, width, largest, narrow);
        total += rest;
        double stored = 0;
        for (std::int64_t i = 0; i <= k; ++i) stored += std::exp(static_cast<double>(top[i] - most) * inverse);
        log_total = std::log(total), log_stored = std::log(stored);
    }

    /// Of the teacher; number k is the rest.
    double log_share(std::int64_t i) const noexcept { return static_cast<double>(top[i] - most) * inverse - log_stored; }
    double share(std::int64_t i) const noexcept { return std::exp(log_share(i)); }
    double student_log_share(std::int64_t i) const noexcept { return static_cast<double>(logits[ids[i]] - largest) * inverse - log_total; }
    double student_log_rest() const noexcept { return std::log(rest) - log_total; }
};
