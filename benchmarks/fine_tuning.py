"""Image size, epochs and learning rate of a fine-tuning, at about equal CPU seconds. Judged on training images alone.

    python benchmarks/fine_tuning.py --data DIR --fashion DIR --json benchmarks/results/fine_tuning-1-thread.json

The training images are those of first_folder.py. Scores are of up to 1,000 other training images of the same sources
(of HAM10000, of the classes that have such). Each run is what `longtail train FOLDER --epochs E` does otherwise. A form
is PIXELS:EPOCHS:RATE, the rate at batches of 64; smaller batches have less, by the square root. `frozen` stands for
classifiers on features of the plain images. Runs that are there are not repeated.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean, stdev

import pyarrow.parquet as pq

from first_folder_sets import SETS, MissingSourceError, make
from longtail.recipe import load_recipe
from longtail.recipe.suggest.settings import suggest_settings
from record import about, save, show, table

FORMS = (
    "frozen",
    "128:16:6e-4",
    "128:16:3e-4",
    "128:16:1.5e-4",
    "224:5:6e-4",
    "224:5:3e-4",
    "224:5:1.5e-4",
    "224:5:7.5e-5",
)
HEAD = ["set", "form", "macro", "many", "medium", "few", "CPU s", "seeds"]


def words_of(form, folder):
    """What `longtail train` is given for a form."""
    if form == "frozen":
        return ["--frozen", "--set", "run.reuse_features=0"]
    pixels, epochs, rate = form.split(":")
    recipe = load_recipe("finetune", {"data.path": str(folder)})[0]
    batch = suggest_settings(recipe, {}, int(epochs)).settings["optim.batch_size"]
    rate = float(f"{float(rate) * math.sqrt(batch / 64):.3g}")
    return ["--epochs", epochs, "--set", f"data.image_size={pixels}", "--set", f"optim.peak_lr={rate:g}"]


def measure(form, folder, seed, out):
    """Scores of one run, and its CPU seconds."""
    kept = out.with_suffix(".json")
    if kept.is_file():
        return json.loads(kept.read_text("utf-8"))
    words = [sys.executable, "-m", "longtail", "train", folder, *words_of(form, folder), "--out", out]
    words += ["--seed", seed, "--set", "run.evaluate_every=0", "--quiet"]
    cache = {"LONGTAIL_CACHE": str(out.with_suffix(".cache")), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([str(word) for word in words], env=os.environ | cache)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    found = {"form": form, "seed": seed, **scored(folder, out)}
    found["cpu_s"] = round(usage.ru_utime + usage.ru_stime, 1)
    kept.write_text(json.dumps(found), "utf-8")
    return found


def scored(folder, out):
    """Macro recall in per cent of all classes that have images to judge by, and of each group."""
    counts = {place.name: len(list(place.iterdir())) for place in (folder / "train").iterdir()}
    named = pq.read_table(out / "eval" / "test" / "predictions.parquet").to_pydict()
    right = {name: [] for name in counts}
    for path, label in zip(named["path"], named["label"], strict=True):
        file = Path(path)
        if (folder / "test" / file.parent.name / file.name).exists():
            right[file.parent.name].append(label == file.parent.name)
    recall = {name: 100 * fmean(values) for name, values in right.items() if values}
    groups = {"macro": (0, math.inf), "many": (101, math.inf), "medium": (20, 100), "few": (0, 19)}
    found = {
        key: [recall[n] for n in recall if low <= counts[n] <= high] for key, (low, high) in groups.items()
    }
    return {key: round(fmean(values), 2) if values else None for key, values in found.items()}


def rows(sets):
    lines = []
    for name, runs in sets.items():
        for form in dict.fromkeys(run["form"] for run in runs):
            own = [run for run in runs if run["form"] == form]
            scores = [spread([run[key] for run in own]) for key in HEAD[2:6]]
            lines.append([name, form, *scores, f"{fmean(run['cpu_s'] for run in own):.0f}", len(own)])
    return lines


def spread(values):
    if None in values:
        return "-"
    return f"{fmean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with ham10000_lt, cifar10-lt10 and cifar100-lt10")
    parser.add_argument("--fashion", type=Path, help="folder of Fashion-MNIST's IDX files")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=[s for s in SETS if s != "ham10000"])
    parser.add_argument("--forms", nargs="+", default=FORMS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "first-folder")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    result = about("fine_tuning.py") | {"sets": {}}
    for name in args.sets:
        try:
            folder = make(name, args.data, args.fashion, args.work.resolve(), held=True)
        except MissingSourceError as missing:
            print(f"{name} is left out: {missing}")
            continue
        runs = result["sets"].setdefault(name, [])
        for form in args.forms:
            for seed in args.seeds:
                out = args.work.resolve() / f"{name}-{form.replace(':', '-')}-seed{seed}"
                runs.append(measure(form, folder, seed, out))
                print(name, runs[-1], flush=True)
                result["tables"] = [table("fine-tuning", HEAD, rows(result["sets"]))]
                if args.json:
                    save(args.json, result)
    for each in result.get("tables", []):
        show(each)


if __name__ == "__main__":
    main()
