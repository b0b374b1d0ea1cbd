"""ICL beside cross-entropy, one network and three experts, on scikit-learn's digits: what `make demo` runs."""

import argparse
import sys

from longtail import train
from longtail.cli.main import main as command_line
from longtail.runs.folder import next_free

RUNS = {
    "demo-cross_entropy": ("cross_entropy", {"model.num_experts": 1, "model.gates": False}),
    "demo-cross_entropy-3": ("cross_entropy", {}),
    "demo-icl": ("icl", {}),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="runs", help="where the run folders go")
    args = parser.parse_args()
    folders = []
    for name, (method, changes) in RUNS.items():
        print(f"\n{name} on long-tailed digits", flush=True)
        out = next_free(args.out, name)
        run = train("icl-digits", method=method, seed=args.seed, out=out, set=changes)
        folders.append(str(run.path))
    print(flush=True)
    for words in (["compare", *folders], ["report", folders[-1]]):
        if status := command_line(words):
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
