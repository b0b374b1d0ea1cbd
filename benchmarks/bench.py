"""What `make bench` runs: speed.py, growth.py and augment.py, then every target on one page.

    python benchmarks/bench.py [--data DIR] [--out DIR] [--tag NAME]

Takes four minutes on two quiet cores. Result files go to DIR (default: runs/bench), as speed-NAME.json and so on.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

from record import judge, show, targets_table

HERE = Path(__file__).parent
PROGRAMS = ("speed", "growth", "augment")


def run(program, words, out):
    """Run one program, let it print, and return what it wrote."""
    command = [sys.executable, HERE / f"{program}.py", *words, "--json", out]
    print(f"\n=== {program}.py {' '.join(words)}", flush=True)
    subprocess.run(command, check=True)
    return json.loads(out.read_text("utf-8"))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR")
    parser.add_argument("--tag", default="here", metavar="NAME")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    began, results = time.perf_counter(), {}
    for program in PROGRAMS:
        words = ["--data", args.data] if args.data and program == "speed" else []
        results[program] = run(program, words, args.out / f"{program}-{args.tag}.json")
    targets = results["speed"]["targets"] + results["growth"]["targets"]
    if not torch.cuda.is_available():
        targets.append(judge("12", results["augment"]["us_per_image"]["longtail"]))
    print(f"\n=== all targets, after {time.perf_counter() - began:.0f} s", end="")
    show(targets_table(targets))


if __name__ == "__main__":
    main()
