// The loops that measure_machine times. Each returns a value that depends on all its work, so that none is optimised away.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu/isa.h"

namespace tailor::measure {

/// Reads `bytes` (a multiple of 4096) at `data` in four streams and returns the exclusive or of all 32-bit words.
using ReadKernel = std::uint32_t (*)(const std::byte* data, std::int64_t bytes) noexcept;
ReadKernel read_kernel(cpu::Isa level);

/// A loop of multiply-adds on registers; `operations` is what one round of it counts (a multiply-add is two).
struct PeakKernel {
    float (*run)(std::int64_t rounds) noexcept = nullptr;  ///< null: this processor or level has no such unit
    double operations = 0;
};
PeakKernel vector_peak(cpu::Isa level);
PeakKernel vector_int16_peak(cpu::Isa level);
PeakKernel vector_int8_peak(cpu::Isa level);
PeakKernel vector_bf16_peak(cpu::Isa level);
PeakKernel tile_bf16_peak(cpu::Isa level);
PeakKernel tile_int8_peak(cpu::Isa level);

}  // namespace tailor::measure
