"""ICL beside plain cross-entropy on scikit-learn's digits: two runs and one table. `make demo` runs this."""

import argparse
import sys

from longtail import train
from longtail.cli.main import main as command_line
from longtail.runs.folder import next_free

RUNS = {
    "cross_entropy": {"model.num_experts": 1, "model.gates": False},
    "icl": {},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="runs", help="where the run folders go")
    args = parser.parse_args()
    folders = []
    for method, changes in RUNS.items():
        print(f"\n{method} on long-tailed digits", flush=True)
        out = next_free(args.out, f"demo-{method}")
        run = train("icl-digits", method=method, seed=args.seed, out=out, set=changes)
        folders.append(str(run.path))
    print(flush=True)
    for words in (["compare", *folders], ["report", folders[-1]]):
        if status := command_line(words):
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
