// What the divergence of two rows of logits needs, at a temperature: both softmaxes' sums, and the mean difference of the logits.
//
// With P = softmax(p / t), Q = softmax(q / t), and Zp, Zq the sums of exponentials below the largest logits:
//     KL(P || Q) = sum over i of P_i (p_i - q_i) / t - (ln Zp + max p / t) + (ln Zq + max q / t)
// Rows that are equal give exactly 0: every difference is 0 and the logarithms cancel.
//
// Included inside each instruction-set level's namespace under that level's target, after `using namespace
// cpu::TAILOR_ISA`; hence no include guard and no includes.

struct Divergence {
    float largest_p, largest_q;
    double total_p, total_q;  ///< sums of exp((p_i - largest_p) / t)
    double log_ratio;         ///< ln of the whole sums of p over those of q
    double value;             ///< KL(P || Q)
};

static float largest_of(const float* x, std::int64_t width) noexcept {
    Vector top = broadcast(x[0]);
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) top = maximum(top, load(x + i));
    float most = largest(top);
    for (; i < width; ++i) most = std::max(most, x[i]);
    return most;
}

static Divergence divergence(const float* p, const float* q, std::int64_t width, float inverse_temperature) noexcept {
    Divergence d{largest_of(p, width), largest_of(q, width), 0, 0, 0, 0};
    double product = 0;
    std::int64_t i = 0;
    while (i + lanes <= width) {
        // Sums of 1024 values in f32, these in double.
        Vector sum_p = {}, sum_q = {}, weighted = {};
        for (const std::int64_t end = std::min(width, i + 1024); i + lanes <= end; i += lanes) {
            const Vector x = load(p + i), y = load(q + i), e = exponential((x - d.largest_p) * inverse_temperature);
            sum_p += e, sum_q += exponential((y - d.largest_q) * inverse_temperature);
            weighted = fused(e, x - y, weighted);
        }
        d.total_p += static_cast<double>(sum(sum_p)), d.total_q += static_cast<double>(sum(sum_q)), product += static_cast<double>(sum(weighted));
    }
    for (; i < width; ++i) {
        const double e = std::exp(static_cast<double>((p[i] - d.largest_p) * inverse_temperature));
        d.total_p += e, d.total_q += std::exp(static_cast<double>((q[i] - d.largest_q) * inverse_temperature));
        product += e * (static_cast<double>(p[i]) - static_cast<double>(q[i]));
    }
    const auto scale = static_cast<double>(inverse_temperature);
    d.log_ratio = std::log(d.total_p) - std::log(d.total_q) + (static_cast<double>(d.largest_p) - static_cast<double>(d.largest_q)) * scale;
    d.value = product / d.total_p * scale - d.log_ratio;
    return d;
}
