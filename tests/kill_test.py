#!/usr/bin/env python3
"""Kills a training with SIGKILL at random moments, starts it again each time, and wants the losses of one that was never killed.

A small model learns a text with --checkpoint --resume, a checkpoint after every step. Each time it is started it is killed after a while drawn
at random: within some half of what the whole training takes, or within the milliseconds after its first step was told, when
checkpoints are being written. When it has come to its end the next training begins, until KILLS kills are done. Every step that was ever told, also those told twice
because the checkpoint had not caught up, must have the loss of the uninterrupted training to the last bit; what is left in the folder must be the
checkpoint alone. The moments differ from run to run, as a machine's pace does; the outcome must not.

Usage: kill_test.py PROGRAM [KILLS=5] [SEED=1]     50 kills: tests/kill_test.py build/release/tailor 50
"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

STEPS = 48
TEXT = "It was a dark and stormy night, and the rain fell in torrents upon the house. " * 40


def command(program, folder, checkpoint):
    arguments = [program, "train", "-f", str(folder / "text.txt"), "--family", "llama", "--vocabulary", "default", "--layers", "2", "--width", "32", "--steps", str(STEPS),
                 "--every", "1", "--batch", "2", "--accumulate", "2", "-c", "16", "-t", "1", "--optimizer", "adamw-8bit", "--json"]
    return arguments + (["--checkpoint", str(checkpoint), "--checkpoint-every", "1", "--resume"] if checkpoint else [])


def steps_of(text):
    """The losses that complete lines tell, as (step, loss)."""
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("}\n")]
    return [(line["step"], repr(line["loss"])) for line in lines]


def killed_run(arguments, output, dice, whole_seconds):
    """Starts a training and kills it at a random moment; True if it had ended by itself before."""
    before = output.stat().st_size if output.exists() else 0
    with open(output, "a") as lines:
        process = subprocess.Popen(arguments, stdout=lines, stderr=subprocess.PIPE)
        kind = dice.choice(["any", "any", "step"])
        if kind == "step":
            wanted = before + 1
            while process.poll() is None and output.stat().st_size < wanted:
                time.sleep(0.0005)
            time.sleep(dice.uniform(0, 0.03))
        else:
            time.sleep(dice.uniform(0, 0.6 * whole_seconds))
        process.kill()
        errors = process.communicate()[1].decode()
    if process.returncode not in (0, -9):
        raise AssertionError(f"the training ended with {process.returncode}: {errors}")
    return process.returncode == 0


def main():
    program, kills = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    dice = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    done = trainings = again = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        (folder / "text.txt").write_text(TEXT)
        start = time.monotonic()
        whole = dict(steps_of(subprocess.run(command(program, folder, None), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout))
        whole_seconds = time.monotonic() - start
        if sorted(whole) != list(range(1, STEPS + 1)):
            raise AssertionError(f"the uninterrupted training told the steps {sorted(whole)}")
        while done < kills:
            trainings += 1
            run = folder / f"run{trainings}"
            run.mkdir()
            arguments, output = command(program, folder, run / "run.checkpoint"), folder / f"lines{trainings}"
            ended = False
            while not ended and done < kills:
                ended = killed_run(arguments, output, dice, whole_seconds)
                done += not ended
            # What a kill cut short has no end of line; what follows must not be taken for a part of it.
            with open(output, "a") as lines:
                lines.write("\n")
                lines.flush()
                subprocess.run(arguments, check=True, stdout=lines, stderr=subprocess.DEVNULL)
            told = steps_of(output.read_text())
            again += len(told) - len(dict(told))
            wrong = [(step, loss, whole[step]) for step, loss in told if whole[step] != loss]
            if wrong or sorted(dict(told)) != sorted(whole):
                raise AssertionError(f"training {trainings}: steps {sorted(dict(told))}, different losses (step, here, uninterrupted): {wrong}")
            if left := [path.name for path in run.iterdir() if path.name != "run.checkpoint"]:
                raise AssertionError(f"training {trainings} left {left}")
    print(f"{done} kills in {trainings} trainings of {STEPS} steps: all losses as without; {again} steps were made again")


if __name__ == "__main__":
    main()
