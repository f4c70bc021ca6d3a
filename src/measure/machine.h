// What this machine can do at most: how fast it reads memory and multiplies.
//
// Two numbers bound every kernel (the roofline model: S. Williams, A. Waterman, D. Patterson, 2009). Generating one
// token reads every weight once, so no format can beat bytes / read_bytes_per_second; a long prompt is bound by
// operations / peak. Both are measured, not looked up: virtual machines hide clock rates, and neighbours take their
// share. Bandwidth is the median of several passes, what one can count on; a peak is the best of several, what no
// kernel exceeds.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/pool.h"
#include "cpu/isa.h"

namespace tailor::measure {

/// One multiply-add counts as two operations. A figure is 0 where the level measured, or the processor, lacks the unit.
struct MachineLimits {
    std::string processor;                     ///< as /proc/cpuinfo calls it; see processor_identity()
    cpu::Isa isa = cpu::Isa::base;             ///< the level measured
    int threads = 1;                           ///< all rates are of this many threads together
    std::int64_t l1_bytes = 0, l2_bytes = 0;   ///< data cache of one core; 0: unknown
    std::int64_t l3_bytes = 0;                 ///< shared; 0: none, or unknown
    double read_bytes_per_second = 0;          ///< from memory, a buffer far larger than the caches
    double read_spread = 0;                    ///< median absolute deviation of the passes, as a share of the rate
    double vector_flops_per_second = 0;        ///< f32 multiply-add at this level
    double vector_int16_ops_per_second = 0;    ///< pairs of 16-bit words into 32-bit sums (pmaddwd, vpdpwssd) at this level
    double vector_int8_ops_per_second = 0;     ///< AVX-512 VNNI (vpdpbusd)
    double vector_bf16_flops_per_second = 0;   ///< AVX-512 BF16 (vdpbf16ps)
    double tile_bf16_flops_per_second = 0;     ///< AMX (tdpbf16ps)
    double tile_int8_ops_per_second = 0;       ///< AMX (tdpbssd)
    std::string huge_pages;                    ///< the kernel's setting: always, madvise or never; empty: unknown
    double huge_page_share = 0;                ///< of the buffer read, the part the kernel did put in huge pages
    bool energy_readable = false;              ///< RAPL counters
    std::string energy_reason;                 ///< why not
    double joules = 0;                         ///< used during the measurement, where readable
    double seconds = 0;                        ///< that the measurement took
};

/// Told what is being measured and how much is done, 0 to 1.
using Progress = std::function<void(std::string_view doing, double done)>;

struct MachineOptions {
    double seconds_per_test = 0.3;   ///< the whole takes under 4 s
    std::int64_t buffer_bytes = 0;   ///< 0: 8 times L3, but 256 MB to 1 GB and at most half of the free memory
};

/// Measures with all threads of `pool` at the level `isa`, at most highest_isa(). Throws Error(io) when there is no memory for
/// the buffer, and Error(interrupted).
MachineLimits measure_machine(core::Pool& pool, cpu::Isa isa, const Progress& progress = {}, const MachineOptions& options = {});

/// How fast memory is read at this moment: for measurements that last, on machines whose neighbours come and go.
class ReadMeter {
  public:
    /// Takes 256 MB to 1 GB. The pool must outlive it. Throws Error(io) when there is no memory for that.
    ReadMeter(core::Pool& pool, cpu::Isa isa);
    ~ReadMeter();
    /// Median of three passes over the buffer, about 30 ms.
    double bytes_per_second();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// One member per field, named as the field.
core::Json json(const MachineLimits& limits);
/// Reads what json() wrote. Throws Error(format) naming what is missing.
MachineLimits machine_limits(const core::Json& value);

/// "model name" of /proc/cpuinfo, or "unknown processor".
std::string processor_name();
/// The name with family, model and stepping, "AMD EPYC 25/17/1": hypervisors shorten names until generations look alike.
std::string processor_identity();

}  // namespace tailor::measure
