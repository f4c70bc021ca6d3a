// See machine.h.
#include "cli/machine.h"

#include <algorithm>

#include "cli/common.h"
#include "core/error.h"
#include "measure/kernel_times.h"

namespace tailor::cli {

measure::MachineLimits with_best_peaks(const measure::MachineLimits& now, measure::Store& store) {
    using measure::MachineLimits;
    constexpr std::string_view kind = "machine";
    const std::string key = core::format("{} {} {}", measure::processor_identity(), cpu::name(now.isa), now.threads);
    MachineLimits best = now;
    if (const std::optional<core::Json> stored = store.find_json(kind, key)) {
        try {
            const MachineLimits old = measure::machine_limits(*stored);
            for (double MachineLimits::*const rate :
                 {&MachineLimits::vector_flops_per_second, &MachineLimits::vector_int16_ops_per_second, &MachineLimits::vector_int8_ops_per_second,
                  &MachineLimits::vector_bf16_flops_per_second,
                  &MachineLimits::tile_bf16_flops_per_second, &MachineLimits::tile_int8_ops_per_second})
                best.*rate = std::max(best.*rate, old.*rate);
        } catch (const core::Error&) {  // written by another version: what was measured now replaces it
        }
    }
    store.put_json(kind, key, measure::json(best));
    return best;
}

graph::Preference measured_preference() {
    const std::string directory = measure::Store::default_directory();
    if (!measure::Store::exists(directory)) return {};
    return measure::measured_preference(std::make_shared<measure::Store>(directory, note), cpu::active_isa());
}

}  // namespace tailor::cli
