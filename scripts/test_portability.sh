#!/usr/bin/env bash
# Tests Tailor on processors that this machine does not have, on Debian 12 (x86-64) with QEMU's user-mode emulation.
#
#   scripts/test_portability.sh [FOLDER]        FOLDER: where to build; build/portability unless given
#
#   x86-64   the program built here, with every instruction-set level inside it, on a processor without AVX (Nehalem), one
#            with AVX but not AVX2 (SandyBridge), and one with AVX2 but not AVX-512 (Haswell): it must choose its level by
#            itself and never meet an instruction that the processor lacks
#   arm64    the whole program built for AArch64 with Debian's cross compiler; there the level `base` is NEON
#
# Prints one line per step with its time, and ends at the first step that fails, with the end of its output. The arm64
# libraries are unpacked into FOLDER by apt-get, so the system gets no second architecture; only the compiler and QEMU
# are installed. JOBS=N compiles N files at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${1:-build/portability}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
jobs=${JOBS:-$(nproc)}
root=$folder/arm64_root
log=$folder/step.log

# Tests that need no processor features of their own; measure and search would measure the emulator.
x86_tests=(core formats ops graph)
arm64_tests=(core formats ops graph files text models run compress)
prompt="The old man looked at the sea and"

step() {
    local title=$1 began=$SECONDS status=0
    shift
    # Not in a condition, where bash would go on after a failing command inside the function.
    set +e
    (set -e; "$@") >"$log" 2>&1
    status=$?
    set -e
    if [ "$status" -ne 0 ]; then
        printf 'FAILED  %s; the end of %s:\n' "$title" "$log"
        tail -n 40 "$log"
        exit 1
    fi
    printf 'ok  %4d s  %s%s\n' $((SECONDS - began)) "$title" "$(sed -n 's/^\[  PASSED  \] \(.*\)\./: \1/p; s/^note: /: /p' "$log" | tr -d '\n')"
}

install_tools() {
    scripts/setup.sh
    local tools=(g++-aarch64-linux-gnu qemu-user binutils) as_root=()
    dpkg-query -W -f '${db:Status-Status}\n' "${tools[@]}" 2>/dev/null | grep -c '^installed$' | grep -qx ${#tools[@]} && return
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${tools[@]}"
}

# A folder of unpacked packages, as a processor of that kind would have them. apt-get gets a state of its own, in which
# nothing is installed, so it fetches the C library and all else too.
unpack_arm64_libraries() {
    [ -e "$root/complete" ] && return
    local apt=$folder/apt
    rm -rf "$root" "$apt"
    mkdir -p "$root" "$apt/lists/partial" "$apt/archives/partial"
    : >"$apt/status"
    cat >"$apt/apt.conf" <<CONFIGURATION
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "$(id -un)";
Dir::State "$apt";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Dir::Cache::archives "$apt/archives";
CONFIGURATION
    APT_CONFIG=$apt/apt.conf apt-get update
    # The libraries of setup.sh, but for those of the second compiler.
    local libraries
    mapfile -t libraries < <(sed -n '/^packages=(/,/^)/{s/#.*//;p}' scripts/setup.sh | grep -oE '[a-z0-9.+-]+-dev' | grep -v clang)
    APT_CONFIG=$apt/apt.conf apt-get install -y --no-install-recommends --download-only "${libraries[@]}"
    local package link
    for package in "$apt"/archives/*.deb; do
        dpkg-deb -x "$package" "$root"
    done
    # What installing would do: choose the implementation of BLAS and LAPACK. Absolute links would lead out of the folder.
    for link in blas/libblas.so blas/libblas.so.3 lapack/liblapack.so lapack/liblapack.so.3; do
        ln -sfn "$link" "$root/usr/lib/aarch64-linux-gnu/"
    done
    find "$root" -type l -lname '/*' | while read -r link; do
        ln -sfn "$root$(readlink "$link")" "$link"
    done
    rm -rf "$apt"
    touch "$root/complete"
}

build() {  # NAME TARGETS... -- CMAKE_ARGUMENTS...
    local name=$1 targets=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        targets+=("$1")
        shift
    done
    cmake --preset release -B "$folder/$name" "${@:2}"
    cmake --build "$folder/$name" -j "$jobs" --target "${targets[@]}"
}

illegal_instruction_is_noticed() {
    printf '#include <immintrin.h>\nint main() { _mm256_zeroall(); }\n' >"$folder/control.cpp"
    g++ -mavx "$folder/control.cpp" -o "$folder/control"
    qemu-x86_64 -cpu Haswell "$folder/control"
    # 128 + SIGILL
    local status=0
    qemu-x86_64 -cpu Nehalem "$folder/control" || status=$?
    [ "$status" -eq 132 ]
}

# One test of ops is left out: its thousands of rows of context take seconds here and over five minutes emulated.
run_test() {  # RUNNER... TEST
    "$@" --gtest_brief=1 --gtest_filter=-Attention.LongContextsInParts
}

chooses_level() {  # LEVEL RUNNER... PROGRAM
    local level=$1 chosen
    shift
    rm -rf "$folder/store"
    chosen=$(TAILOR_CACHE=$folder/store "$@" measure --seconds 0.02 -t 1 --json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["isa"])')
    echo "note: $chosen"
    [ "$chosen" = "$level" ]
}

# Greedy text of the embedded model: the levels differ in rounding only, so the words are those of this machine.
writes_the_same_text() {  # RUNNER... PROGRAM
    local here there
    here=$("$folder/x86/tailor" run -n 8 --temp 0 "$prompt")
    there=$("$@" run -n 8 --temp 0 "$prompt")
    printf 'here:  %s\nthere: %s\n' "$here" "$there"
    [ -n "$here" ] && [ "$here" = "$there" ]
}

step "compiler and emulator" install_tools
step "QEMU notices an instruction that its processor lacks" illegal_instruction_is_noticed

step "x86-64: build" build x86 tailor "${x86_tests[@]/%/_test}"
step "x86-64: no wide instructions outside the levels" python3 tests/wide_instructions_test.py objdump "$folder/x86/tailor"
for processor in Nehalem:base SandyBridge:base Haswell:avx2; do
    runner=(qemu-x86_64 -cpu "${processor%:*}")
    step "x86-64 ${processor%:*}: chooses its level" chooses_level "${processor#*:}" "${runner[@]}" "$folder/x86/tailor"
    step "x86-64 ${processor%:*}: tailor run" writes_the_same_text "${runner[@]}" "$folder/x86/tailor"
done
for processor in Nehalem Haswell; do
    for test in "${x86_tests[@]}"; do
        step "x86-64 $processor: ${test}_test" run_test qemu-x86_64 -cpu $processor "$folder/x86/${test}_test"
    done
done

step "arm64: libraries" unpack_arm64_libraries
step "arm64: build" build arm64 tailor "${arm64_tests[@]/%/_test}" -- \
    --toolchain cmake/aarch64-linux.cmake -DTAILOR_ARM64_ROOT="$root"
runner=(qemu-aarch64 -L "$root")
step "arm64: chooses its level" chooses_level base "${runner[@]}" "$folder/arm64/tailor"
step "arm64: tailor run" writes_the_same_text "${runner[@]}" "$folder/arm64/tailor"
for test in "${arm64_tests[@]}"; do
    step "arm64: ${test}_test" run_test "${runner[@]}" "$folder/arm64/${test}_test"
done
echo "all steps passed in $SECONDS s"
