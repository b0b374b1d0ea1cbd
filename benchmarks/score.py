"""Train a recipe over several seeds and write one result file; what was cut short goes on.

    python benchmarks/score.py digits-icl icl-digits --seeds 0 1 2 --table digits --row "ICL, 3 experts"
    python benchmarks/score.py c100 icl-cifar100-lt --data DIR --seeds 0 1 2 --minutes 9 --paper 57.6

The first word names the result (benchmarks/results/NAME.json) and the run folders (runs/NAME/seed-N);
the second is what `longtail train` takes. With --prior the runs are then evaluated for another class mix, and the
result is NAME-prior-PRIOR.json. With --minutes the program stops in time with exit status 3, and the same
command goes on. Afterwards `python benchmarks/tables.py` writes the tables.
"""

import argparse
import csv
import json
import shlex
import signal
import sys
from pathlib import Path

from longtail import InputError, evaluate, train

HERE = Path(__file__).parent
UNFINISHED = 3
MOST_CLASSES = 20  # so few that the recall of each is kept


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name")
    parser.add_argument("target")
    parser.add_argument("--data")
    parser.add_argument("--method")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE")
    parser.add_argument("--minutes", type=float, help="stop after this long; the same command goes on")
    parser.add_argument("--out", default="runs", help="where the run folders go")
    parser.add_argument("--results", default=str(HERE / "results"), help="where the result file goes")
    parser.add_argument("--table", default="", help="table that the row belongs to")
    parser.add_argument("--row", default="", help="name of the row")
    parser.add_argument(
        "--split", choices=("test", "val"), default="test", help="val: to choose by, with data.validation set"
    )
    parser.add_argument("--prior", help="evaluate for this class mix, as `longtail evaluate --prior` does")
    parser.add_argument("--paper", type=float, help="published top-1 accuracy in per cent")
    args = parser.parse_args()
    if args.prior is not None and args.split == "val":
        parser.error("--prior evaluates the test part; leave out --split val")
    return args


def command(args):
    """The command without what depends on the machine or on how it is sliced."""
    words = ["python", "benchmarks/score.py", args.name, args.target]
    for option in ("data", "method", "epochs", "table", "row", "split", "prior", "paper"):
        value = getattr(args, option)
        if value and (option, value) != ("split", "test"):
            words += [f"--{option}", Path(value).name if option == "data" else str(value)]
    for option in ("seeds", "set"):
        if getattr(args, option):
            words += [f"--{option}", *map(str, getattr(args, option))]
    return shlex.join(words)


def collect(run, split="test"):
    """What a finished run folder says of a split."""
    folder = Path(run)
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    # the last epoch of each stage is evaluated
    stages = {record["stage"]: record.get(split) for record in log}
    keep = ("overall", "macro", "many", "medium", "few", "geometric_mean", "ece", "nll", "experts", "epoch")
    metrics = json.loads((folder / "eval" / split / "metrics.json").read_text("utf-8"))
    with (folder / "eval" / split / "per_class.csv").open(encoding="utf-8") as file:
        recalls = {row["class"]: float(row["recall"]) for row in csv.DictReader(file) if row["recall"]}
    return {
        "metrics": {key: metrics[key] for key in keep},
        **({"recall": recalls} if len(recalls) <= MOST_CLASSES else {}),
        "stages": {name: {key: scores[key] for key in keep[:5]} for name, scores in stages.items() if scores},
        "seconds": round(sum(record["seconds"] for record in log), 1),
    }


def main():
    args = parse()
    if args.minutes:
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        signal.setitimer(signal.ITIMER_REAL, 60 * args.minutes)
    name = args.name if args.prior is None else f"{args.name}-prior-{Path(args.prior).stem}"
    changes, seeds, machine = dict(pair.split("=", 1) for pair in args.set), {}, {}
    for seed in args.seeds:
        out = Path(args.out) / args.name / f"seed-{seed}"
        try:
            train(
                args.target, data=args.data, method=args.method, epochs=args.epochs, seed=seed, out=out,
                set=changes, resume=True,
            )  # fmt: skip
            split = evaluate(out, prior=args.prior)["split"] if args.prior is not None else args.split
        except KeyboardInterrupt:
            print(f"stopped in {out}; the same command goes on", file=sys.stderr)
            return UNFINISHED
        except InputError as error:
            print(f"error: {error}", *error.details, sep="\n  ", file=sys.stderr)
            return 2
        seeds[str(seed)] = collect(out, split)
        machine = json.loads((out / "env.json").read_text("utf-8"))
        result = {
            "table": args.table, "row": args.row or args.name, "paper": args.paper,
            "command": command(args), "machine": machine, "seeds": seeds,
        }  # fmt: skip
        path = Path(args.results) / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
