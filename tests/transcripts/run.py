#!/usr/bin/env python3
"""Runs transcripts: what one types, and what the program answers.

A transcript tests/transcripts/NAME.test is plain text:

    # Comment lines and blank lines stand between commands.
    requires shared
    $ tailor formats | head -2
    format  bits  ...
    ...
    [exit 0]

A line `$ command` is run by bash in an empty folder that all commands of the file share; the lines after it, up to the
next `$ ` or `# ` line, are what it prints (output and errors together). `...` alone on a line stands for any number of
lines, inside a line for any text. `[exit N]` is the exit code, 0 when it is not written. Blank lines at the end of a
block do not count. A line of output that itself begins with `$ `, `# `, `[exit` or a backslash is written with a
backslash before it. `requires shared` skips the file where the reference data beside the repository is missing.
Commands see $SOURCE (the repository) and $SHARED (the reference data).

Usage: run.py PROGRAM FILE... [--update]     --update writes what the program printed into the file; exits with 77 when
everything was skipped, 1 on a difference.
"""
import argparse
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SHARED = SOURCE.parent / "shared"
SKIPPED = 77
TIMEOUT_SECONDS = 300


@dataclasses.dataclass
class Block:
    line: int  # of the command, from 1
    end: int   # first line after the block, from 1
    command: str
    expected: list
    exit_code: int = 0


def parse(text):
    """The blocks of a transcript and the things it requires."""
    blocks, requires = [], []
    block = None
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("$ "):
            block = Block(number, number + 1, line[2:], [])
            blocks.append(block)
        elif line.startswith("# ") or line == "#":
            block = None
        elif block is None:
            if line.startswith("requires "):
                requires.append(line.split()[1])
            elif line.strip():
                raise ValueError(f"line {number}: expected a command ('$ ...'), a comment or 'requires', found: {line}")
        elif re.fullmatch(r"\[exit \d+\]", line):
            block.exit_code = int(line[6:-1])
            block.end = number + 1
        else:
            block.expected.append(line[1:] if line.startswith("\\") else line)
            if line.strip():
                block.end = number + 1
    for block in blocks:
        while block.expected and not block.expected[-1].strip():
            block.expected.pop()
    return blocks, requires


def line_matches(pattern, line):
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("...")), line) is not None


def matches(expected, actual):
    """Whether lines `actual` fit `expected`, where a line `...` stands for any number of lines."""
    reachable = {0}  # positions in `actual` that the expected lines so far can end at
    for pattern in expected:
        if pattern.strip() == "...":
            reachable = set(range(min(reachable), len(actual) + 1)) if reachable else set()
        else:
            reachable = {i + 1 for i in reachable if i < len(actual) and line_matches(pattern, actual[i])}
    return len(actual) in reachable


def execute(command, folder, program):
    environment = dict(os.environ, SOURCE=str(SOURCE), SHARED=str(SHARED), LC_ALL="C.UTF-8", COLUMNS="100", TAILOR_CACHE=str(folder / ".cache"))
    environment["PATH"] = f"{folder / '.bin'}:{environment.get('PATH', '')}"
    try:
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT_SECONDS)
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        code, output = 124, (error.stdout or b"") + f"\n(stopped after {TIMEOUT_SECONDS} s)".encode()
    lines = [line.rstrip() for line in output.decode(errors="replace").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return code, lines


def escaped(line):
    return "\\" + line if line.startswith(("$ ", "# ", "[exit", "\\")) or line == "#" else line


def run_file(path, program, update=False, out=sys.stdout):
    """True if every command of the transcript answered as written, None if the file was skipped."""
    text = path.read_text()
    blocks, requires = parse(text)
    if "shared" in requires and not SHARED.exists():
        print(f"{path.name}: skipped, no reference data at {SHARED}", file=out)
        return None
    good = True
    lines = text.splitlines()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        (folder / ".bin").mkdir()
        (folder / ".bin" / "tailor").symlink_to(pathlib.Path(program).resolve())
        results = [execute(block.command, folder, program) for block in blocks]
    for block, (code, actual) in reversed(list(zip(blocks, results))):
        if matches(block.expected, actual) and code == block.exit_code:
            continue
        good = False
        if update:
            lines[block.line:block.end - 1] = [escaped(line) for line in actual] + ([f"[exit {code}]"] if code else [])
            continue
        print(f"{path.name}:{block.line}: $ {block.command}", file=out)
        print("  expected:", *(block.expected + [f"[exit {block.exit_code}]"]), sep="\n    ", file=out)
        print("  but was:", *(actual + [f"[exit {code}]"]), sep="\n    ", file=out)
    if update:
        path.write_text("\n".join(lines) + "\n")
        return True
    print(f"{path.name}: {len(blocks)} commands, {'all as written' if good else 'DIFFERENT'}", file=out)
    return good


def main():
    parser = argparse.ArgumentParser(description="Runs transcripts; see the top of this file.")
    parser.add_argument("program")
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    results = [run_file(path, options.program, options.update) for path in options.files]
    if False in results:
        return 1
    return SKIPPED if all(result is None for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
