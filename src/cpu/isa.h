// Instruction-set levels and tables with one function per level.
//
// Levels are cumulative: base (x86-64-v2, or NEON on arm64), avx2 (with FMA and F16C), avx512 (F, BW, DQ, VL, VNNI) and
// amx (bf16 and int8 tiles). The environment variable TAILOR_ISA forces a lower level than the processor has.
#pragma once
#include <string_view>
#include <vector>

namespace tailor::cpu {

enum class Isa { base, avx2, avx512, amx };
inline constexpr int isa_count = 4;

const char* name(Isa level);
/// Throws Error(usage) listing the levels.
Isa parse_isa(std::string_view name);

/// The highest level this processor and operating system support.
Isa highest_isa();
/// highest_isa(), or what TAILOR_ISA says; Error(usage) if it names a level this processor lacks.
Isa active_isa();
/// Every level from base to highest_isa(), for tests.
std::vector<Isa> available_isas();

/// Optional features inside a level that a kernel may ask for.
bool has_avx512_bf16();
bool has_avx512_vbmi();
bool has_avx512_fp16();

/// One function pointer per level; a null entry means "use the next lower level's".
template <class Function>
struct PerIsa {
    Function functions[isa_count]{};

    constexpr explicit operator bool() const { return functions[0] != nullptr; }
    /// The best function not above `level`.
    constexpr Function at(Isa level) const {
        for (int i = static_cast<int>(level); i > 0; --i)
            if (functions[i]) return functions[i];
        return functions[0];
    }
};

/// The function for this processor, whatever TAILOR_ISA says: for what gives the same bits at every level.
template <class Function>
Function fastest(const PerIsa<Function>& functions) {
    static const Isa level = highest_isa();
    return functions.at(level);
}

}  // namespace tailor::cpu
