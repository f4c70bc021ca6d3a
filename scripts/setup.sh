#!/usr/bin/env bash
# Installs everything that building and testing Tailor needs, on Debian 12 or a system like it.
#
# Safe to run again and again: when all packages are there it asks dpkg once and is done, without touching the network.
# Works as root or with sudo.
set -euo pipefail

packages=(
    g++ cmake ninja-build make pkg-config git ccache python3    # tools; GCC 12 or later
    libfmt-dev nlohmann-json3-dev libcli11-dev                  # text, json, command line
    libpcre2-dev libutf8proc-dev                                # pre-tokenizers and Unicode
    libsqlite3-dev libxxhash-dev                                # the store of measurements
    libtomlplusplus-dev libsentencepiece-dev                    # recipes of trainings, and the vocabularies they train
    libedit-dev                                                 # line editing of tailor chat (BSD licence, unlike readline)
    coinor-libcbc-dev zlib1g-dev libbz2-dev                     # allocation as an integer program; what CBC links
    libopenmpi-dev openmpi-bin                                  # training in several processes
    libgtest-dev librapidcheck-dev                              # tests
    clang clang-14 libclang-rt-14-dev                           # the second compiler, and libFuzzer
)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "setup.sh: this system has no apt-get. Install with its own package manager what these Debian packages hold:" >&2
    printf '  %s\n' "${packages[*]}" >&2
    echo "then build with: cmake --preset release && cmake --build --preset release" >&2
    exit 1
fi

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null | sed -n 's/^installed //p' || true)
missing=()
for package in "${packages[@]}"; do
    grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup.sh: these packages are missing: ${missing[*]}" >&2
        echo "Neither root nor sudo is at hand; ask whoever runs this machine to: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "setup.sh: installing ${missing[*]}"
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}")
# The package lists of a fresh image are empty or old: fetch them only if the first try fails.
if ! "${install[@]}" >/dev/null 2>&1; then
    "${as_root[@]}" apt-get update
    "${install[@]}"
fi
