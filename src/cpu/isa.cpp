// Detection by CPUID, including whether the operating system saves the wide registers; see isa.h.
#include "cpu/isa.h"

#include <cstdlib>
#include <string>

#include "core/error.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tailor::cpu {

using core::ErrorKind;

static const char* const names[isa_count] = {"base", "avx2", "avx512", "amx"};

const char* name(Isa level) { return names[static_cast<int>(level)]; }

Isa parse_isa(std::string_view text) {
    for (int i = 0; i < isa_count; ++i)
        if (text == names[i]) return static_cast<Isa>(i);
    core::fail(ErrorKind::usage, "'{}' is not an instruction-set level; there are base, avx2, avx512 and amx", text);
}

#if defined(__x86_64__)
namespace {

struct Features {
    bool avx2 = false, avx512 = false, bf16 = false, vbmi = false, fp16 = false, amx = false;
};

bool bit(unsigned word, int index) { return (word >> index & 1) != 0; }

// Linux grants tile registers only on request (arch_prctl ARCH_REQ_XCOMP_PERM for XTILEDATA).
bool request_tiles() {
#if defined(__linux__)
    constexpr int request_permission = 0x1023, tile_data = 18;
    return ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return false;
#endif
}

Features detect() {
    Features f;
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return f;
    const bool fma = bit(c, 12), osxsave = bit(c, 27), f16c = bit(c, 29);
    if (!osxsave) return f;
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    const bool ymm = (low & 0x6) == 0x6, zmm = (low & 0xE6) == 0xE6, tiles = (low & 0x60000) == 0x60000;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return f;
    const bool bmi = bit(b, 3) && bit(b, 8);
    f.avx2 = ymm && bit(b, 5) && fma && f16c && bmi;
    f.avx512 = f.avx2 && zmm && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31) && bit(c, 11);
    f.vbmi = f.avx512 && bit(c, 1);
    f.fp16 = f.avx512 && bit(d, 23);
    const bool tile_units = bit(d, 22) && bit(d, 24) && bit(d, 25);
    unsigned a1, b1, c1, d1;
    if (__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1)) f.bf16 = f.avx512 && bit(a1, 5);
    f.amx = f.avx512 && f.bf16 && tiles && tile_units && request_tiles();
    return f;
}

const Features& features() {
    static const Features detected = detect();
    return detected;
}

}  // namespace

Isa highest_isa() {
    const Features& f = features();
    return f.amx ? Isa::amx : f.avx512 ? Isa::avx512 : f.avx2 ? Isa::avx2 : Isa::base;
}
bool has_avx512_bf16() { return features().bf16; }
bool has_avx512_vbmi() { return features().vbmi; }
bool has_avx512_fp16() { return features().fp16; }
#else
Isa highest_isa() { return Isa::base; }
bool has_avx512_bf16() { return false; }
bool has_avx512_vbmi() { return false; }
bool has_avx512_fp16() { return false; }
#endif

Isa active_isa() {
    const char* const forced = std::getenv("TAILOR_ISA");
    if (!forced || !*forced) return highest_isa();
    const Isa level = parse_isa(forced);
    if (level > highest_isa()) core::fail(ErrorKind::usage, "TAILOR_ISA={}: this processor has only {}", forced, name(highest_isa()));
    return level;
}

std::vector<Isa> available_isas() {
    std::vector<Isa> levels;
    for (int i = 0; i <= static_cast<int>(highest_isa()); ++i) levels.push_back(static_cast<Isa>(i));
    return levels;
}

}  // namespace tailor::cpu
