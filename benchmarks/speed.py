"""The library against benchmarks/reference.py: alternating runs in one process, medians, ratios, targets.

    python benchmarks/speed.py [--data DIR] [--rounds 5] [--json FILE]
    python benchmarks/speed.py --data DIR --workers 12 --whole 10        # and run both programs for 10 epochs

Both sides do the same work: load and augment 128 images of CIFAR-100-LT, one update of ResNet-32 with 3 experts and
all losses of the phase; and evaluate test images. In fp32 on a CPU; on a GPU in bf16 against the plain program's
fp16. DIR is a Parquet folder of CIFAR-100 (default: $LONGTAIL_DATA/cifar100-lt10); without one, made-up images of the
same shape stand in. benchmarks/README.md explains the tables.
"""

import argparse

import torch

import start
from floor import image_flop, product_rate, step_flop
from parts import PARTS, library_parts, reference_parts
from record import about, head_line, judge, save, show, table, targets_table
from sides import ON_CUDA, TEST_IMAGES, TINY, Library, Reference, Sizes, images, load_job, windows
from timing import compare
from whole import compose, reused_stage, run_both

VIEWS, EVERY = 4, 5
QUIET = 1.25  # largest over smallest ratio of a comparison on a machine that does nothing else


def measure_phases(ours, plain, sizes):
    """(compared steps and evaluations, seconds of a step's parts by phase and side, FLOP of a step by phase)."""
    rows, parts, flop = {}, {}, {}
    repeats = sizes.steps or ours.job.steps_per_epoch
    for phase, (first, _) in windows(ours.job.recipe).items():
        ours.phase(first), plain.phase(first)
        row = compare(ours.step, plain.step, sizes.rounds, repeats)
        rows[f"step, {phase}"] = row | {"images": sizes.batch}
        flop[phase] = step_flop(ours, sizes.batch)
        parts[phase] = {
            "library": library_parts(ours, sizes.rounds),
            "reference": reference_parts(plain, sizes.rounds),
        }
    row = compare(ours.evaluate, plain.evaluate, sizes.rounds)
    rows["evaluation"] = row | {"images": len(ours.tested)}
    return rows, parts, flop


def measure_starts(data, rounds):
    """Seconds from a fresh process to its first step, by side; the two large jobs are started once."""
    if rounds == 0:
        return {}
    return {
        "digits": start.seconds("digits", rounds=rounds),
        "library": start.seconds("library", data),
        "reference": start.seconds("reference", data),
    }


def composed_runs(rows, job, data, sizes, starts):
    """Each composed run's seconds by part."""
    recipe, steps = job.recipe, job.steps_per_epoch
    runs = {side: compose(rows, recipe, steps, side) for side in ("reference", "library")}
    if reused := reused_stage(data, sizes, VIEWS):
        seldom = compose(rows, recipe, steps, "library", EVERY)
        runs["library, reuse"] = seldom | {"classifier": sum(reused.values())}
    for name, parts in runs.items():
        side = name.split(",")[0]
        first = sum(max(row[f"{side}_first_s"], 0.0) for row in rows.values())
        parts["start"] = starts.get(side, 0.0) + first
    return runs


def warm(parts):
    """Seconds of a composed run without what happens once."""
    return sum(value for name, value in parts.items() if name != "start")


def judged(rows, parts, runs, starts, workers):
    """Every target of this kind of machine that was measured."""
    own = {part: value for part, value in parts["contrastive"]["library"].items() if part != "data"}
    share = {part: 100 * value / sum(own.values()) for part, value in own.items()}
    plain, contrastive = (rows[f"step, {phase}"]["library_s"] for phase in ("plain", "contrastive"))
    ratio = {name: warm(runs["reference"]) / warm(run) for name, run in runs.items()}
    evaluation = rows["evaluation"]
    found = [
        judge("4", share["losses"] + share["statistics"]),
        judge("5", contrastive / plain),
        judge("6", share["augmentation"]),
        *([judge("14", starts["digits"])] if starts else []),
    ]
    if ON_CUDA:
        return [
            judge("2" if workers else "1", ratio["library"], f"composed, {workers} workers"),
            judge("3", 1e3 * contrastive),
            *found,
            judge("7", 1e3 * evaluation["library_s"] / evaluation["images"] * TEST_IMAGES),
        ]
    steps = {name.removeprefix("step, "): row["ratio"] for name, row in rows.items() if row is not evaluation}
    return [
        *(judge("9", value, phase) for phase, value in steps.items()),
        judge("10", ratio["library"], "composed"),
        *([judge("11", ratio["library, reuse"], "composed")] if "library, reuse" in runs else []),
        *found,
        judge("evaluation", evaluation["ratio"]),
    ]


def step_table(rows, rounds):
    lines = []
    for name, row in rows.items():
        ours, plain = (f"{row['images'] / row[key]:.0f}" for key in ("library_s", "reference_s"))
        lines.append(
            [name, ours, plain, f"{row['ratio']:.2f}", f"{row['ratio_min']:.2f}-{row['ratio_max']:.2f}"]
        )
    title = (
        f"speed against benchmarks/reference.py: images per second, medians of {rounds} alternating rounds"
    )
    return table(title, ["", "library", "reference", "ratio", "min-max"], lines)


def part_table(phases):
    lines = []
    for phase, sides in phases.items():
        for side, parts in sides.items():
            times = [*(parts[part] for part in PARTS), sum(parts.values())]
            lines.append([f"{phase}, {side}", *(f"{1e3 * value:.1f}" for value in times)])
    title = "parts of a step, ms (the reference augments as it loads its data)"
    return table(title, ["", *PARTS, "sum"], lines)


def floor_table(rows, flop, one_image, rate):
    lines = []
    for name, row in rows.items():
        work = row["images"] * one_image if name == "evaluation" else flop[name.removeprefix("step, ")]
        least = work / rate
        times = [f"{1e3 * value:.1f}" for value in (least, row["library_s"])]
        lines.append([name, f"{work / 1e9:.1f}", *times, f"{row['library_s'] / least:.2f}"])
    title = f"floor: the same FLOP in a matrix product, {rate / 1e9:.0f} GFLOP/s"
    return table(title, ["", "GFLOP", "floor ms", "library ms", "time / floor"], lines)


def run_table(runs):
    parts = list(runs["reference"])
    lines = [[name, *(f"{runs[name][part]:.0f}" for part in parts), f"{warm(runs[name]):.0f}",
              f"{warm(runs['reference']) / warm(runs[name]):.2f}",
              f"{sum(runs['reference'].values()) / sum(runs[name].values()):.2f}"] for name in runs]  # fmt: skip
    title = "200 epochs, seconds, composed: epochs x steps x median step + evaluations x median evaluation"
    return table(title, ["", *parts, "sum, no start", "ratio", "ratio with start"], lines)


def start_table(starts):
    lines = [[name, f"{value:.1f}"] for name, value in starts.items()]
    return table("from a fresh process to the end of its first step, seconds", ["", "s"], lines)


def whole_table(both):
    title = f"both programs, {both['epochs']} epochs, {both['workers']} workers, seconds, all included"
    ratio = both["reference"] / both["library"]
    line = [f"{both['library']:.1f}", f"{both['reference']:.1f}", f"{ratio:.2f}"]
    return table(title, ["library", "reference", "ratio"], [line])


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="DIR")
    parser.add_argument("--rounds", type=int, default=Sizes.rounds)
    parser.add_argument("--steps", type=int, default=Sizes.steps, help="timed as one; 0 is a whole epoch")
    parser.add_argument("--evaluated", type=int, default=Sizes.evaluated, help="images of an evaluation")
    parser.add_argument("--starts", type=int, default=3, help="fresh processes that are timed; 0 is none")
    parser.add_argument("--workers", type=int, default=0, help="of the reference's data loader")
    parser.add_argument("--whole", type=int, metavar="EPOCHS", help="also run both programs for so long")
    parser.add_argument("--tiny", action="store_true", help="only show that the program runs")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def measure(args, data):
    """Everything, as raw figures and as tables."""
    sizes = TINY if args.tiny else Sizes(evaluated=args.evaluated, steps=args.steps, rounds=args.rounds)
    torch.backends.cudnn.benchmark = True
    ours, size = Library(load_job(data, sizes.batch), sizes.evaluated), 256 if args.tiny else 0
    rate = product_rate(size)
    rows, parts, flop = measure_phases(ours, Reference(data, sizes, args.workers), sizes)
    rate, starts = max(rate, product_rate(size)), measure_starts(data, args.starts)
    runs = composed_runs(rows, ours.job, data, sizes, starts)
    found = judged(rows, parts, runs, starts, args.workers)
    tables = [
        targets_table(found), step_table(rows, sizes.rounds), floor_table(rows, flop, image_flop(ours.job), rate),
        part_table(parts), run_table(runs),
    ]  # fmt: skip
    uneven = [name for name, row in rows.items() if row["ratio_max"] > QUIET * row["ratio_min"]]
    result = {
        "uneven": uneven,
        "rows": rows,
        "parts": parts,
        "runs": runs,
        "starts": starts,
        "flop_per_s": rate,
    }
    if starts:
        tables.append(start_table(starts))
    if args.whole:
        result["whole"] = run_both(data, args.whole, args.workers)
        tables.append(whole_table(result["whole"]))
    return result | {"tables": tables, "targets": found}


def main():
    args = parse()
    result = about("speed.py")
    with images(args.data, args.tiny) as (data, shown):
        result |= {"images": shown} | measure(args, data)
    print(f"{head_line(result)}; images: {shown}")
    for each in result["tables"]:
        show(each)
    if result["uneven"]:
        print(f"\nNOT QUIET: the ratios of {'; '.join(result['uneven'])} spread widely; measure again")
    save(args.json, result)


if __name__ == "__main__":
    main()
