"""Several seeds at once against the same seeds one after another: the training alone, and everything counted.

    python benchmarks/seeds.py [--data DIR] [--seeds 8] [--epochs 20] [--json FILE]

The shipped recipe for CIFAR-100-LT, without evaluation before the end. The first epoch, in which kernels are chosen
and steps recorded, is not counted as training. Both ways train the same runs; the program stops if their scores
differ: at all on a CPU, by more than 0.03 on a GPU.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from longtail import train, train_seeds
from record import about, head_line, judge, save, show, table, targets_table
from sides import ON_CUDA, PRECISION, RECIPE, images


def seconds(call):
    """What a call returns, and its wall seconds."""
    began = time.perf_counter()
    found = call()
    return found, time.perf_counter() - began


def trained(runs, *, together):
    """Seconds of the epochs after the first: of all runs at once, or the sum over the runs."""
    spans = [[record["train_seconds"] for record in run.log[1:]] for run in runs]
    return max(map(sum, spans)) if together else sum(map(sum, spans))


def measure(data, seeds, epochs, folder):
    """Seconds of both ways, by name: of training, and of everything."""
    changes = {"optim.precision": PRECISION, "run.evaluate_every": 0}
    given = {"data": data, "epochs": epochs, "set": changes, "quiet": True}
    train(RECIPE, seed=99, out=folder / "warm", **given)  # libraries load, kernels are chosen

    def alone():
        return [train(RECIPE, seed=seed, out=folder / f"alone-{seed}", **given) for seed in seeds]

    one, separately = seconds(alone)
    many, together = seconds(lambda: train_seeds(RECIPE, seeds, out=folder / "together", **given))
    for a, b in zip(one, many.runs, strict=True):
        off = abs(a.metrics["overall"] - b.metrics["overall"])
        if off > (0.03 if ON_CUDA else 0.0):
            raise SystemExit(f"the runs differ by {off:.3f} in overall accuracy; the times mean nothing")
    return {
        "one after another": {"training": trained(one, together=False), "everything": separately},
        "at once": {"training": trained(many.runs, together=True), "everything": together},
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="DIR")
    parser.add_argument("--seeds", type=int, default=8, help="how many")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    result = about("seeds.py")
    with images(args.data) as (data, shown), TemporaryDirectory() as folder:
        times = measure(data, range(args.seeds), args.epochs, Path(folder))
    ratio = {kind: times["one after another"][kind] / times["at once"][kind] for kind in times["at once"]}
    title = f"{args.seeds} seeds, {args.epochs} epochs of {RECIPE} each, seconds"
    rows = [[name, *(f"{value:.1f}" for value in spans.values())] for name, spans in times.items()]
    rows.append(["ratio", *(f"{value:.2f}" for value in ratio.values())])
    tables = [table(title, ["", "training", "everything"], rows)]
    found = [judge("8", ratio["training"])] if ON_CUDA else []
    tables += [targets_table(found)] if found else []
    print(f"{head_line(result)}; images: {shown}")
    for each in tables:
        show(each)
    save(
        args.json,
        result | {"images": shown, "seconds": times, "ratio": ratio, "tables": tables, "targets": found},
    )


if __name__ == "__main__":
    main()
