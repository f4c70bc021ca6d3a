#!/usr/bin/env python3
"""The rules of the house, checked on every file of the repository.

layers  a folder of src/ includes only itself and folders before it in ORDER; quoted includes name a folder and exist;
        each third-party library is included by one .cpp only, so that its compile time is paid once and its types
        stay behind a small header of ours.
files   no file of src/, tests/, bench/ or examples/ reaches 1,000 lines, and each opens with a comment that says what
        it is.
macros  src/ defines the four macros of cpu/for_each_isa.h and, for libraries that are configured so, the ones listed
        here; nothing else.

Each rule is a function from a folder to a list of complaints; the tests run it on the repository and on a small tree
with planted mistakes, because a check that cannot fail checks nothing.
Usage: house_rules_test.py SOURCE_DIR [unittest arguments]
"""
import collections
import pathlib
import re
import sys
import tempfile
import unittest

ORDER = "core cpu formats ops graph files text models run measure train compress search verify serve cli".split()
THIRD_PARTY = "fmt/ spdlog/ nlohmann/ CLI/ pcre2 utf8proc sqlite3 coin/ histedit xxhash boost/ zstd google/protobuf/ onnx/ mpi.h".split()
TEST_LIBRARIES = ("gtest/", "gmock/", "rapidcheck", "benchmark/")
MOST_LINES = 1000
CODE = {".cpp", ".h", ".S", ".py", ".sh", ".js", ".ts", ".test"}
OWN_MACROS = {"TAILOR_ISA", "TAILOR_ONCE", "TAILOR_EACH_ISA", "TAILOR_THIS_FILE"}
MACRO_HOME = "cpu/for_each_isa.h"
# Libraries that are told at compile time what to declare; the value is what the name begins with.
LIBRARY_MACROS = {"pcre2.h": "PCRE2_", "xxhash.h": "XXH_"}


def sources(src):
    return sorted(path for path in src.rglob("*") if path.suffix in {".cpp", ".h", ".S"})


def is_test(path):
    return path.stem.endswith("_test")


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if found:
            yield number, found[1] == '"', found[2]


def layers(root):
    src = root / "src"
    complaints = []
    users = collections.defaultdict(set)
    for folder in sorted(path.name for path in src.iterdir() if path.is_dir()):
        if folder not in ORDER:
            complaints.append(f"src/{folder}: not in the order of folders: {' '.join(ORDER)}")
    for path in sources(src):
        name = path.relative_to(src)
        own = name.parts[0] if len(name.parts) > 1 else None
        for number, quoted, header in includes(path):
            place = f"src/{name}:{number}"
            if quoted:
                folder = header.split("/")[0]
                if "/" not in header or not (src / header).exists():
                    complaints.append(f'{place}: "{header}" is not a file below src/')
                elif own in ORDER and folder in ORDER and ORDER.index(folder) > ORDER.index(own):
                    complaints.append(f'{place}: {own} must not include {folder} ("{header}"), which comes after it')
                continue
            library = next((prefix for prefix in THIRD_PARTY if header.startswith(prefix)), None)
            if library and not is_test(path):
                users[library].add(str(name))
                if path.suffix != ".cpp":
                    complaints.append(f"{place}: <{header}> in a header; put it behind one of ours")
            if header.startswith(TEST_LIBRARIES) and not (is_test(path) or "test" in path.stem):
                complaints.append(f"{place}: <{header}> outside a test")
    for library, files in sorted(users.items()):
        if len(files) > 1:
            complaints.append(f"{library} is included by several files: {', '.join(sorted(files))}")
    return complaints


def opens_with_comment(path, text):
    first = next((line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#!")), "")
    return first.startswith({".py": ('"""', "#"), ".sh": ("#",), ".test": ("#",)}.get(path.suffix, ("//", "/*")))


def files(root):
    complaints = []
    for folder in ("src", "tests", "bench", "examples"):
        for path in sorted((root / folder).rglob("*")):
            if not path.is_file() or path.suffix not in CODE:
                continue
            text = path.read_text()
            lines = text.count("\n")
            if lines >= MOST_LINES:
                complaints.append(f"{path.relative_to(root)}: {lines} lines; split it (the limit is {MOST_LINES})")
            if not opens_with_comment(path, text):
                complaints.append(f"{path.relative_to(root)}: does not open with a comment that says what it is")
    return complaints


def macros(root):
    src = root / "src"
    complaints = []
    for path in sources(src):
        name = str(path.relative_to(src))
        headers = {header for _, _, header in includes(path)}
        allowed = tuple(prefix for header, prefix in LIBRARY_MACROS.items() if header in headers)
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r"\s*#\s*define\s+(\w+)", line)
            if not found:
                continue
            macro = found[1]
            if macro == "TAILOR_THIS_FILE" or (macro in OWN_MACROS and name == MACRO_HOME) or (allowed and macro.startswith(allowed)):
                continue
            complaints.append(f"src/{name}:{number}: defines {macro}; the project's macros are {', '.join(sorted(OWN_MACROS))} in {MACRO_HOME}")
    return complaints


class Repository(unittest.TestCase):
    root = None

    def expect_none(self, complaints):
        self.assertFalse(complaints, "\n" + "\n".join(complaints))

    def test_layers(self):
        self.expect_none(layers(self.root))

    def test_files(self):
        self.expect_none(files(self.root))

    def test_macros(self):
        self.expect_none(macros(self.root))


class Planted(unittest.TestCase):
    """The rules on a tree with one mistake each."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.write("src/core/text.h", "// Text.\n")
        self.write("src/ops/op.h", '// Operators.\n#include "core/text.h"\n')

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def expect(self, rule, *fragments):
        complaints = rule(self.root)
        self.assertEqual(len(complaints), len(fragments), complaints)
        for complaint, fragment in zip(complaints, fragments):
            self.assertIn(fragment, complaint)

    def test_clean_tree(self):
        for rule in (layers, files, macros):
            self.expect(rule)

    def test_upward_edge(self):
        self.write("src/core/text.cpp", '// Text.\n#include "ops/op.h"\n')
        self.expect(layers, "src/core/text.cpp:2: core must not include ops")

    def test_include_without_folder(self):
        self.write("src/core/text.cpp", '// Text.\n#include "text.h"\n')
        self.expect(layers, '"text.h" is not a file below src/')

    def test_unknown_folder(self):
        self.write("src/misc/a.cpp", "// A.\n")
        self.expect(layers, "src/misc: not in the order")

    def test_library_in_two_files(self):
        self.write("src/core/a.cpp", "// A.\n#include <fmt/core.h>\n")
        self.write("src/core/b.cpp", "// B.\n#include <fmt/core.h>\n")
        self.expect(layers, "fmt/ is included by several files: core/a.cpp, core/b.cpp")

    def test_library_in_a_header(self):
        self.write("src/core/a.h", "// A.\n#include <pcre2.h>\n")
        self.expect(layers, "<pcre2.h> in a header")

    def test_test_library_outside_tests(self):
        self.write("src/core/a.cpp", "// A.\n#include <gtest/gtest.h>\n")
        self.expect(layers, "outside a test")

    def test_long_file(self):
        self.write("src/core/long.cpp", "// Long.\n" * 1000)
        self.expect(files, "src/core/long.cpp: 1000 lines")

    def test_file_without_a_comment(self):
        self.write("src/core/bare.cpp", "int x;\n")
        self.write("tests/bare.py", "import os\n")
        self.expect(files, "src/core/bare.cpp: does not open", "tests/bare.py: does not open")

    def test_macros(self):
        self.write("src/core/a.h", "// A.\n#define TAILOR_EXTRA 1\n#define HELPER(x) x\n")
        self.write("src/cpu/for_each_isa.h", "// Levels.\n#define TAILOR_ISA base\n")
        self.write("src/core/regex.cpp", "// R.\n#define PCRE2_CODE_UNIT_WIDTH 8\n#include <pcre2.h>\n")
        self.expect(macros, "defines TAILOR_EXTRA", "defines HELPER")


if __name__ == "__main__":
    Repository.root = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=1)
