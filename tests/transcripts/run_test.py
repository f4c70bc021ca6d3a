#!/usr/bin/env python3
"""The transcript runner itself, on a small shell script in place of the program."""
import io
import pathlib
import tempfile
import unittest

import run


class Runner(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.program = self.root / "program"
        self.program.write_text('#!/bin/sh\ncase "$1" in\n'
                                'list) printf "one 1\\ntwo 22\\nthree 333\\n\\n" ;;\n'
                                'odd) printf "$ a\\n# b\\n[exit 9]\\n" ;;\n'
                                'save) echo kept > file ;;\n'
                                '*) echo "unknown: $1" >&2; exit 2 ;;\nesac\n')
        self.program.chmod(0o755)

    def tearDown(self):
        self.folder.cleanup()

    def run_text(self, text, update=False):
        path = self.root / "x.test"
        path.write_text(text)
        self.out = io.StringIO()
        return run.run_file(path, self.program, update, self.out)

    def test_exact_output(self):
        self.assertTrue(self.run_text("# A comment.\n\n$ tailor list\none 1\ntwo 22\nthree 333\n\n# more\n$ tailor save\n$ cat file\nkept\n"))

    def test_differences_are_shown(self):
        self.assertFalse(self.run_text("$ tailor list\none 1\ntwo 2\nthree 333\n"))
        self.assertIn("x.test:1: $ tailor list", self.out.getvalue())
        self.assertIn("two 22", self.out.getvalue())

    def test_missing_and_extra_lines_differ(self):
        self.assertFalse(self.run_text("$ tailor list\none 1\ntwo 22\n"))
        self.assertFalse(self.run_text("$ tailor list\none 1\ntwo 22\nthree 333\nfour\n"))
        self.assertFalse(self.run_text("$ tailor list\n"))

    def test_wildcards(self):
        self.assertTrue(self.run_text("$ tailor list\n...\n"))
        self.assertTrue(self.run_text("$ tailor list\none ...\n...\nthree 3...3\n...\n"))
        self.assertFalse(self.run_text("$ tailor list\n...\ntwo 22\n"))
        self.assertFalse(self.run_text("$ tailor list\none.1\n...\n"))

    def test_exit_codes(self):
        self.assertTrue(self.run_text("$ tailor bogus\nunknown: bogus\n[exit 2]\n"))
        self.assertFalse(self.run_text("$ tailor bogus\nunknown: bogus\n"))
        self.assertFalse(self.run_text("$ tailor list\n...\n[exit 2]\n"))
        self.assertTrue(self.run_text("$ tailor bogus | cat\n...\n[exit 2]\n"))

    def test_escaped_output(self):
        self.assertTrue(self.run_text("$ tailor odd\n\\$ a\n\\# b\n\\[exit 9]\n"))

    def test_stray_text_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "line 1"):
            self.run_text("tailor list\n")

    def test_update(self):
        text = "# Keep me.\n$ tailor list\nwrong\n\n# And me.\n$ tailor bogus\n$ tailor odd\n"
        self.run_text(text, update=True)
        updated = (self.root / "x.test").read_text()
        self.assertEqual(updated, "# Keep me.\n$ tailor list\none 1\ntwo 22\nthree 333\n\n# And me.\n$ tailor bogus\nunknown: bogus\n[exit 2]\n"
                                  "$ tailor odd\n\\$ a\n\\# b\n\\[exit 9]\n")
        self.assertTrue(self.run_text(updated))

    def test_skips_without_reference_data(self):
        kept, run.SHARED = run.SHARED, self.root / "absent"
        try:
            self.assertIsNone(self.run_text("requires shared\n$ false\n"))
        finally:
            run.SHARED = kept


if __name__ == "__main__":
    unittest.main()
