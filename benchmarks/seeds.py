"""Several seeds at once against the same seeds one after another: whole runs, everything counted.

    python benchmarks/seeds.py [--data DIR] [--seeds 8] [--epochs 4] [--json FILE]

The shipped recipe for CIFAR-100-LT, without evaluation before the end. Both ways train the same runs; the program
stops if their scores differ on a processor, where they have to be equal bit for bit.
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


def measure(data, seeds, epochs, folder):
    """Seconds of both ways, by name."""
    changes = {"optim.precision": PRECISION, "run.evaluate_every": 0}
    given = {"data": data, "epochs": epochs, "set": changes, "quiet": True}
    train(RECIPE, seed=99, out=folder / "warm", **given)  # libraries load, kernels are chosen

    def alone():
        return [train(RECIPE, seed=seed, out=folder / f"alone-{seed}", **given) for seed in seeds]

    one, separately = seconds(alone)
    many, together = seconds(lambda: train_seeds(RECIPE, seeds, out=folder / "together", **given))
    pairs = zip(one, many.runs, strict=True)
    if not ON_CUDA and any(a.metrics != b.metrics for a, b in pairs):
        raise SystemExit("the runs differ; the times mean nothing")
    return {"one after another": separately, "at once": together}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="DIR")
    parser.add_argument("--seeds", type=int, default=8, help="how many")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--tiny", action="store_true", help="only show that the program runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    result = about("seeds.py")
    with images(args.data, args.tiny) as (data, shown), TemporaryDirectory() as folder:
        times = measure(data, range(args.seeds), args.epochs, Path(folder))
    ratio = times["one after another"] / times["at once"]
    title = f"{args.seeds} seeds, {args.epochs} epochs of {RECIPE} each, seconds"
    tables = [table(title, ["", "s"], [[name, f"{value:.1f}"] for name, value in times.items()])]
    found = [judge("8", ratio)] if ON_CUDA else []
    tables += [targets_table(found)] if found else []
    print(f"{head_line(result)}; images: {shown}; at once {ratio:.2f} times as fast")
    for each in tables:
        show(each)
    save(
        args.json,
        result | {"images": shown, "seconds": times, "ratio": ratio, "tables": tables, "targets": found},
    )


if __name__ == "__main__":
    main()
