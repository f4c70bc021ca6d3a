#!/usr/bin/env python3
"""Wide instructions stand only where a check of the processor leads: the disassembly of the program, symbol by symbol.

Tailor is compiled for x86-64-v2 and holds some functions again for avx2 and avx512, each level in a namespace of that
name (src/cpu/for_each_isa.h). Any other symbol with such an instruction could be reached on a processor without it; the
usual cause is an inline function that the compiler did not inline, of which the linker keeps one copy for all callers.
Tests on a new processor cannot see that, so this reads `objdump -dC PROGRAM`. A symbol belongs to the level named in its
own qualified name, not in its parameters. Functions of avx2 must not use what came with AVX-512 either.

Usage: wide_instructions_test.py OBJDUMP PROGRAM
"""
import collections
import re
import subprocess
import sys
import unittest

BASE, AVX2, AVX512, BEYOND = range(4)
LEVELS = ("base", "avx2", "avx512", "beyond avx512")
# Functions with a target attribute of their own, called after a check of their own.
OWN_TARGETS = re.compile(
    r"tailor::measure::\(anonymous namespace\)::(int8_dot|bf16_dot|start_tiles|finish_tiles|bf16_tiles|int8_tiles)\("
    r"|\w+ tailor::ops::matmul_kernels::avx512::tile_kernel::(\(anonymous namespace\)::)?\w+<(true\b|tailor::cpu::AmxTiles\b)"
    r"|(static )?void tailor::ops::recurrence_kernels::avx512::(advance_all|advance|solve|mix|update)<[\d, ]*true>\("
    r"|(\w+ )?tailor::ops::pair_kernels::avx512::(multiply_rows|multiply_transposed|round_panel_transposed|round_row_pair|multiply_tile)[<(]"
    r"|(static )?void tailor::ops::attention_gradient_kernels::avx512::((lay_out|run_block)<true>\(|small_tile<tailor::ops::attention_gradient_kernels::avx512::Pairs,)")
OF_AVX512 = re.compile(r"%zmm|%[xy]mm(1[6-9]|2\d|3[01])\b|%k[0-7]\b|\{1to\d+\}")
OF_BEYOND = re.compile(r"^(tile\w+|tdp\w+|ldtilecfg|sttilecfg|vdpbf16ps|vcvtne2?ps2bf16|v\w+(?<!2)ph|"
                       r"vp(erm([it]2)?b|multishiftqb|expand[bw]|compress[bw]|sh[lr]dv?[wdq]|opcnt[bwdq]))$")
# VEX and EVEX mnemonics begin with v; the others are general-purpose instructions of BMI, BMI2, LZCNT and MOVBE.
OF_AVX2 = re.compile(r"^v(?!err$|erw$|m(call|clear|launch|load|ptr|read|resume|run|save|write|xo))"
                     r"|^(andn|bextr|blsi|blsmsk|blsr|bzhi|lzcnt|movbe|mulx|pdep|pext|rorx|sarx|shlx|shrx)[wlq]?$")


def needs(instruction):
    """The lowest level that has an instruction (`mnemonic operands`, as objdump writes it)."""
    mnemonic = instruction.split(None, 1)[0]
    if OF_BEYOND.match(mnemonic):
        return BEYOND
    if mnemonic[0] in "vk" and OF_AVX512.search(instruction):
        return AVX512
    return AVX2 if OF_AVX2.search(mnemonic) else BASE


def qualified_name(symbol):
    """A demangled symbol without template arguments and parameters: what says which namespace it is in."""
    name, depth = "", 0
    symbol = symbol.replace("(anonymous namespace)", "{anonymous}")
    symbol = re.sub(r"operator(\(\)|[<>]=?|<=>|<<=?|>>=?|->\*?)", "operator", symbol)
    for c in symbol:
        if c in "<(":
            depth += 1
        elif c in ">)":
            depth -= 1
        elif not depth:
            name += c
    return name


def level_of(symbol):
    if OWN_TARGETS.match(symbol):
        return BEYOND
    found = re.findall(r"\b(avx2|avx512)::", qualified_name(symbol))
    return LEVELS.index(found[0]) if found else BASE


def scan(lines):
    """{symbol: (level found, an instruction of it)} of all symbols with more than base has, and the number of symbols."""
    wide, symbols, symbol = {}, 0, None
    for line in lines:
        if line.endswith(">:\n"):
            symbol = line[line.index("<") + 1:-3]
            symbols += 1
            continue
        if symbol is None or not line.startswith(" "):
            continue
        instruction = line.partition("\t")[2].strip()
        if not instruction:
            continue
        level = needs(instruction)
        if level > wide.get(symbol, (BASE,))[0]:
            wide[symbol] = level, instruction
    return wide, symbols


def leaks(wide):
    return [f"{symbol}: {instruction} (of {LEVELS[level]}, in a function of {LEVELS[level_of(symbol)]})"
            for symbol, (level, instruction) in sorted(wide.items()) if level > level_of(symbol)]


class Program(unittest.TestCase):
    objdump = program = None

    def test_no_leaks(self):
        process = subprocess.Popen([self.objdump, "-dC", "--no-show-raw-insn", self.program], stdout=subprocess.PIPE, text=True)
        with process.stdout:
            wide, symbols = scan(process.stdout)
        self.assertEqual(process.wait(), 0)
        self.assertFalse(leaks(wide), "\n" + "\n".join(leaks(wide)))
        # Where nothing wide is found at all, nothing was looked at.
        found = collections.Counter(level for level, _ in wide.values())
        self.assertGreater(symbols, 1000)
        for level in (AVX2, AVX512, BEYOND):
            self.assertGreater(found[level], 0, f"no functions of {LEVELS[level]}: is the program stripped?")
        print(f"{symbols} symbols; with instructions of " + ", ".join(f"{LEVELS[k]}: {found[k]}" for k in (AVX2, AVX512, BEYOND)))


class Planted(unittest.TestCase):
    def test_instructions(self):
        for instruction, level in (
                ("mulps  %xmm1,%xmm0", BASE), ("pshufb %xmm1,%xmm0", BASE), ("popcnt %rax,%rax", BASE), ("rep bsf %eax,%eax", BASE),
                ("verr   %ax", BASE), ("test   %eax,%eax", BASE), ("std", BASE), ("xgetbv", BASE), ("movups %xmm0,(%rax)", BASE),
                ("vmulps %xmm1,%xmm0,%xmm0", AVX2), ("vmovups %ymm0,(%rax)", AVX2), ("vmovd  %eax,%xmm0", AVX2), ("vzeroupper", AVX2),
                ("shlx   %rax,%rbx,%rcx", AVX2), ("andn   %eax,%ebx,%ecx", AVX2), ("lzcnt  %eax,%eax", AVX2), ("vcvtph2ps %xmm0,%ymm0", AVX2), ("vcvtps2ph $0,%ymm0,%xmm0", AVX2), ("vmovmskps %ymm0,%eax", AVX2),
                ("vcvtdq2ps %ymm0,%ymm0", AVX2), ("vgatherdps %ymm1,(%rax,%ymm2,1),%ymm0", AVX2), ("vfmadd213ps %ymm0,%ymm1,%ymm2", AVX2),
                ("vmovups %ymm17,(%rax)", AVX512), ("vpdpwssd %zmm1,%zmm2,%zmm3", AVX512), ("kmovw  %eax,%k1", AVX512),
                ("vmulps (%rax){1to8},%ymm1,%ymm0", AVX512), ("vmovups (%rax),%ymm1{%k1}{z}", AVX512),
                ("tdpbssd %tmm2,%tmm1,%tmm0", BEYOND), ("ldtilecfg (%rax)", BEYOND), ("tilerelease", BEYOND), ("vdpbf16ps %zmm1,%zmm2,%zmm3", BEYOND),
                ("vaddph %zmm1,%zmm2,%zmm3", BEYOND), ("vpermb %zmm1,%zmm2,%zmm3", BEYOND)):
            self.assertEqual(needs(instruction), level, instruction)

    def test_symbols(self):
        for symbol, level in (
                ("tailor::ops::avx2::kernel(float const*)", AVX2), ("tailor::ops::base::kernel(float const*)", BASE),
                ("void tailor::ops::avx512::(anonymous namespace)::kernel<3>(int) [clone .constprop.0]", AVX512),
                ("void tailor::ops::fill<tailor::cpu::avx2::Vector>(tailor::cpu::avx2::Vector*)", BASE),
                ("std::vector<tailor::ops::avx512::Unit>::operator()(int)", BASE), ("main", BASE),
                ("void tailor::ops::matmul_kernels::avx512::tile_kernel::rows<true>(long)", BEYOND),
                ("void tailor::ops::matmul_kernels::avx512::tile_kernel::rows<false>(long)", AVX512),
                ("tailor::measure::(anonymous namespace)::int8_dot(long)", BEYOND), ("tailor::measure::other(long)", BASE)):
            self.assertEqual(level_of(symbol), level, symbol)

    def test_leaks(self):
        listing = ["0000000000001000 <tailor::a::base::f()>:\n", "    1000:\tvaddps %xmm0,%xmm1,%xmm1\n", "    1004:\tret\n", "\n",
                   "0000000000001010 <tailor::a::avx2::f()>:\n", "    1010:\tvaddps %ymm0,%ymm1,%ymm1\n", "    1014:\tvaddps %zmm0,%zmm1,%zmm1\n", "\n",
                   "0000000000001020 <tailor::a::avx512::f()>:\n", "    1020:\tvaddps %zmm0,%zmm1,%zmm1\n", "\n",
                   "0000000000001030 <tailor::a::g()>:\n", "    1030:\taddps  %xmm0,%xmm1\n"]
        wide, symbols = scan(listing)
        self.assertEqual(symbols, 4)
        complaints = leaks(wide)
        self.assertEqual(len(complaints), 2, complaints)
        self.assertIn("tailor::a::avx2::f(): vaddps %zmm0,%zmm1,%zmm1 (of avx512, in a function of avx2)", complaints[0])
        self.assertIn("tailor::a::base::f(): vaddps", complaints[1])


if __name__ == "__main__":
    Program.objdump, Program.program = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main(verbosity=1)
