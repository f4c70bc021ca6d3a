#!/usr/bin/env python3
"""Adding a number format or an operator touches one new file and nothing else.

The test copies the sources, adds src/formats/toy8/toy8.cpp and src/ops/toy_square.cpp, and builds the test programs of
formats and ops from the copy. Then
- the copy differs from the repository by these two files only,
- both registries list the newcomers,
- the conformance suites, which have no list of names, pass with them, and
- fail, naming the newcomer, when its decoder or its kernel is wrong: so the suites did look at it.

The copy and its build folder are kept between runs, so that a second run builds only what changed.
Usage: extension_test.py SOURCE_DIR WORK_DIR CXX_COMPILER
"""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
COPIED = ("CMakeLists.txt", "cmake", "src", "bench", "examples", "tests")  # all that configuring reads
ADDED = {"src/formats/toy8/toy8.cpp": HERE / "toy8.cpp", "src/ops/toy_square.cpp": HERE / "toy_square.cpp"}
RIGHT, WRONG = "mistake = 1.0f;", "mistake = 1.05f;"
# -O1: the suites run at a fair speed and the compiler takes half the time of a release build.
FLAGS = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1"]


def files_below(root, parts=COPIED):
    found = {}
    for part in parts:
        top = root / part
        for path in [top] if top.is_file() else top.rglob("*"):
            if path.is_file():
                found[str(path.relative_to(root))] = path
    return found


def put(source, target, text=None):
    """Makes `target` hold `text`; an unchanged file keeps its time, so that nothing is built again for it."""
    text = source.read_bytes() if text is None else text
    if not target.exists() or target.read_bytes() != text:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text)


def mirror(source, tree):
    wanted = files_below(source)
    for name, path in files_below(tree).items():
        if name not in wanted and name not in ADDED:
            path.unlink()
    for name, path in wanted.items():
        put(path, tree / name)


def run(*command, good=True):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if good and done.returncode != 0:
        sys.exit(f"{done.stdout[-6000:]}\nFAILED: {' '.join(map(str, command))} (exit {done.returncode})")
    return done


def check(holds, message):
    print(("ok      " if holds else "FAILED  ") + message, flush=True)
    if not holds:
        sys.exit(1)


def build(folder, program):
    run("cmake", "--build", folder, "--target", program)


def main():
    source, work, compiler = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), sys.argv[3]
    tree, folder = work / "tree", work / "build"
    mirror(source, tree)
    for name, text in ADDED.items():
        put(text, tree / name)

    before, after = files_below(source), files_below(tree)
    check(set(after) - set(before) == set(ADDED), f"the copy has more files than the repository by {', '.join(ADDED)}")
    changed = [name for name in before if name not in after or before[name].read_bytes() != after[name].read_bytes()]
    check(not changed, f"no other file differs {changed or ''}")

    run("cmake", "-S", tree, "-B", folder, f"-DCMAKE_CXX_COMPILER={compiler}", *FLAGS)
    # The suite of formats has one test for each format and promise; the suite of operators is one test for all.
    for registry, name, program, tests in (("formats", "toy8", "formats_test", "*/toy8"), ("ops", "toy_square", "ops_test", "*")):
        added = next(path for path in ADDED if name in path)
        table = (folder / "generated" / f"{registry}_registry.cpp").read_text()
        check(f"&entries::{name}," in table, f"the registry of {registry} lists {name}")
        build(folder, program)
        ran = re.search(r"\[  PASSED  \] (\d+) test", run(folder / program, f"--gtest_filter={tests}").stdout)
        check(ran and int(ran[1]) > 0, f"{program} passes with {name} ({ran[1] if ran else 0} tests)")

        text = ADDED[added].read_text()
        assert text.count(RIGHT) == 1
        put(None, tree / added, text.replace(RIGHT, WRONG).encode())
        build(folder, program)
        wrong = run(folder / program, f"--gtest_filter={tests}", good=False)
        put(ADDED[added], tree / added)
        check(wrong.returncode != 0 and name in wrong.stdout, f"{program} fails and names {name} when {name} is wrong")


if __name__ == "__main__":
    main()
