"""Four methods on long-tailed digits, each over several seeds: mean and standard deviation of their accuracies.

python compare_methods.py [--epochs N] [--seeds 0,1,2] [--out DIR]
"""

import argparse
from pathlib import Path

import pandas as pd

from longtail import train_seeds

ONE_NETWORK = {"model.num_experts": 1, "model.gates": False}
METHODS = {
    "cross_entropy": ONE_NETWORK,
    "balanced_softmax": ONE_NETWORK,
    "logit_adjustment": ONE_NETWORK,
    "icl": {},
}
GROUPS = ("macro", "many", "medium", "few")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, help="length of each run; default: the recipe's 80")
    parser.add_argument("--seeds", default="0,1,2", help="separated by commas")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/compare-methods"), help="where the run folders go"
    )
    args = parser.parse_args()
    seeds = [int(seed) for seed in args.seeds.split(",")]
    rows = {}
    for method, changes in METHODS.items():
        print(f"training {method} with seeds {args.seeds}", flush=True)
        runs = train_seeds(
            "icl-digits",
            seeds,
            method=method,
            epochs=args.epochs,
            out=args.out / method,
            set=changes,
            quiet=True,
        )
        rows[method] = {group: spread(runs.summary["scores"][group]) for group in GROUPS}
    table = pd.DataFrame.from_dict(rows, orient="index")
    print(f"\naccuracy, %, mean +- standard deviation of {len(seeds)} seeds\n{table.to_string()}")


def spread(score: dict[str, float | None]) -> str:
    """The mean and, where there are several seeds, the standard deviation, in per cent."""
    if score["mean"] is None:
        return "-"
    mean = f"{score['mean']:.1%}".rstrip("%")
    return mean if score["sd"] is None else f"{mean} +- {100 * score['sd']:.1f}"


if __name__ == "__main__":
    main()
