// What a softmax over a row of logits needs: the largest, and the sum of the exponentials below it.
//
// Included inside each instruction-set level's namespace under that level's target, after `using namespace
// cpu::TAILOR_ISA`; hence no include guard and no includes.

struct SoftmaxSums {
    float largest;
    double total;
};

static SoftmaxSums softmax_sums(const float* logits, std::int64_t width) noexcept {
    // The last, incomplete vector is filled up with the row's first value, for the largest, and with nothing for the sum.
    Vector top = broadcast(logits[0]);
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) top = maximum(top, load(logits + i));
    float most = largest(top);
    for (; i < width; ++i) most = std::max(most, logits[i]);
    // Sums of 1024 values in f32, these in double.
    double total = 0;
    for (i = 0; i + lanes <= width;) {
        Vector part = {};
        for (const std::int64_t end = std::min(width, i + 1024); i + lanes <= end; i += lanes) part += exponential(load(logits + i) - most);
        total += static_cast<double>(sum(part));
    }
    for (; i < width; ++i) total += std::exp(static_cast<double>(logits[i]) - static_cast<double>(most));
    return {most, total};
}
