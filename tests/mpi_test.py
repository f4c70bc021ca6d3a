#!/usr/bin/env python3
"""Training in several processes under mpirun: the same losses as in one, and what happens when one of them is killed.

Usage: mpi_test.py PROGRAM; exits with 77 where there is no mpirun.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "tailor"
MPIRUN = shutil.which("mpirun")
TEXT = "It was a dark and stormy night, and the rain fell in torrents upon the house. " * 60
MODEL = ["--family", "llama", "--vocabulary", "default", "--layers", "2", "--width", "32", "--precision", "f32"]
TOLERANCE = 1e-5  # relative, of a loss: sums of four parts in another order


def command(processes, *options, text="text.txt", batch=4):
    train = [PROGRAM, "train", *MODEL, "-f", text, "--every", "1", "--batch", str(batch), "-c", "32", "-t", "1", "--json", *options]
    # mpirun runs as root, and more processes than there are cores, only where it is asked to.
    return train if processes == 1 else [MPIRUN, "--allow-run-as-root", "--oversubscribe", "-n", str(processes), *train]


def losses_of(text):
    return {line["step"]: line["loss"] for line in map(json.loads, (line for line in text.splitlines(keepends=True) if line.endswith("}\n"))) if "loss" in line}


def children_of(process):
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == process:
            found.append(int(folder.name))
    return sorted(found)


class Workers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        (self.path / "text.txt").write_text(TEXT)

    def run_to_end(self, processes, *options):
        done = subprocess.run(command(processes, *options), cwd=self.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return losses_of(done.stdout)

    def assert_near(self, losses, reference):
        self.assertEqual(sorted(losses), sorted(reference))
        worst = max(abs(losses[step] / reference[step] - 1) for step in losses)
        self.assertLess(worst, TOLERANCE, f"{losses} {reference}")
        return worst

    def test_four_processes_learn_like_one(self):
        for optimizer in ("adamw", "muon", "adafactor"):
            options = ("--optimizer", optimizer, "--steps", "10", "--accumulate", "2")
            one, four = self.run_to_end(1, *options), self.run_to_end(4, *options)
            self.assertEqual(sorted(one), list(range(1, 11)))
            self.assertLess(one[10], one[1], optimizer)
            worst = self.assert_near(four, one)
            print(f"{optimizer}: ten losses of four processes within {worst:.1e} of one's", file=sys.stderr)

    def kill_one(self, options):
        """Kills a process after seven steps; what was told until the end, and whether the message names the process and the checkpoint."""
        process = subprocess.Popen(command(4, *options), cwd=self.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        told = b""
        while b'"step":7' not in told.replace(b" ", b""):
            line = process.stdout.readline()
            self.assertTrue(line, process.stderr.read().decode() if process.poll() is not None else told)
            told += line
        victim = children_of(process.pid)[2]
        os.kill(victim, signal.SIGKILL)
        rest, errors = process.communicate(timeout=60)
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("exited on signal 9", errors.decode())
        checkpoint = options[options.index("--checkpoint") + 1]
        message = re.escape(f"(id {victim} on ") + r".*\) is no more, so the training ends; the same command with --resume goes on from " + re.escape(checkpoint)
        return (told + rest).decode(), re.search(message, errors.decode()) is not None

    def test_a_killed_process_ends_all_and_the_training_goes_on(self):
        options = ("--optimizer", "adamw-8bit", "--steps", "16", "--accumulate", "2", "--eval-file", "text.txt", "--eval-windows", "6")
        resume = (*options, "--checkpoint", "run.checkpoint", "--checkpoint-every", "3", "--resume")
        whole = self.run_to_end(4, *options)
        told, named = self.kill_one(resume)
        # mpirun gives processes a second between its two signals: on a machine that is busy enough, too little for a last word.
        for attempt in ("second", "third"):
            if not named:
                named = self.kill_one((*options, "--checkpoint", f"{attempt}.checkpoint", "--resume"))[1]
        self.assertTrue(named, "three times the end of a process was not told")
        self.assertLess(max(losses_of(told)), 16)
        for processes in (1, 2):  # before the file goes on: other numbers of processes can, too
            shutil.copy(self.path / "run.checkpoint", self.path / f"copy{processes}.checkpoint")
            self.assert_near(losses := self.run_to_end(processes, *options, "--checkpoint", f"copy{processes}.checkpoint", "--resume"), {step: whole[step] for step in losses})
        after = self.run_to_end(4, *resume)
        self.assertGreaterEqual(min(after), 7)
        for step, loss in {**losses_of(told), **after}.items():
            self.assertEqual(repr(loss), repr(whole[step]), f"step {step}")
        self.assertEqual([path.name for path in self.path.glob("run.checkpoint*")], ["run.checkpoint"])

    def test_mistakes_are_told_once(self):
        done = subprocess.run(command(4, "--steps", "1", batch=6), cwd=self.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stderr.count("a batch of 6 sequences cannot be shared by 4 processes; use a multiple of 4"), 1, done.stderr)
        done = subprocess.run(command(2, "--steps", "1", text="-"), cwd=self.path, input=TEXT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("process 1 of 2 (id ", done.stderr)


if __name__ == "__main__":
    if MPIRUN is None:
        print("mpi_test.py: skipped, there is no mpirun here (Debian: openmpi-bin)")
        sys.exit(77)
    unittest.main(verbosity=1)
