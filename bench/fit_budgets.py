#!/usr/bin/env python3
"""Fits a model at ten size budgets and prints a Markdown table against the best uniform format of the same size.

The budgets are spaced geometrically between the smallest and the largest uniform file, both left out: at the smallest
there is nothing to choose, at the largest nothing to save. Each fit is one run of `tailor fit`; every figure of the table
comes from the plan it writes.

    bench/fit_budgets.py build/release/tailor MODEL CALIBRATION.txt HELDOUT.txt [--search-seconds 60] [--report-windows 0]
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile


def fit(arguments, budget, folder):
    output = pathlib.Path(folder) / f"{budget}.gguf"
    command = [arguments.tailor, "fit", arguments.model, "--size", str(budget), "-o", str(output), "--calibration", arguments.calibration,
               "--text", arguments.heldout, "--search-seconds", str(arguments.search_seconds), "--report-windows", str(arguments.report_windows), "--json"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{result.stderr}")
    plan = json.loads(result.stdout)
    plan["real_bytes"] = output.stat().st_size
    output.unlink()
    return plan


def row(budget, plan):
    candidates = {("uniform" if c["name"].startswith("uniform") else c["name"]): c for c in plan["candidates"]}
    chosen = next(c for c in plan["candidates"] if c["chosen"])
    uniform = candidates.get("uniform")
    divergence = chosen["kl"]["mean"]
    other = uniform["kl"]["mean"] if uniform else None
    below = 1 - divergence["value"] / other["value"] if other and other["value"] > 0 else None
    cells = [f"{budget:,}", f"{plan['real_bytes']:,}", f"{chosen['bits_per_weight']:.2f}", f"{divergence['value']:.3g} ± {divergence['standard_error']:.1g}",
             uniform["name"].removeprefix("uniform ") if uniform else "none", f"{uniform['file_bytes']:,}" if uniform else "",
             f"{other['value']:.3g} ± {other['standard_error']:.1g}" if other else "", f"{below:.0%}" if below is not None else "",
             f"{chosen['perplexity']['value']:.2f}"]
    return cells, below


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("tailor", "model", "calibration", "heldout"):
        parser.add_argument(name)
    parser.add_argument("--search-seconds", type=float, default=60)
    parser.add_argument("--report-windows", type=int, default=0)
    parser.add_argument("--count", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # Any feasible fit knows the sizes of all uniform files.
        first = fit(argparse.Namespace(**{**vars(arguments), "search_seconds": 0, "report_windows": 1}), 10**12, folder)
        sizes = [u["file_bytes"] for u in first["frontier"]["uniform"]]
        low, high = min(sizes), max(sizes)
        print("| budget (bytes) | fitted file (bytes) | bits/weight | KL | best uniform | its bytes | its KL | fitted below uniform | perplexity |")
        print("|---:|---:|---:|---:|---|---:|---:|---:|---:|")
        gains = []
        for i in range(1, arguments.count + 1):
            budget = round(low * (high / low) ** (i / (arguments.count + 1)))
            plan = fit(arguments, budget, folder)
            cells, below = row(budget, plan)
            if plan["real_bytes"] > budget:
                sys.exit(f"the file of {plan['real_bytes']} bytes is over the budget of {budget}")
            if below is not None:
                gains.append(below)
            print("| " + " | ".join(cells) + " |", flush=True)
        print(f"\nFitted divergence below the best uniform format: mean {sum(gains) / len(gains):.0%}, least {min(gains):.0%}.")


if __name__ == "__main__":
    main()
