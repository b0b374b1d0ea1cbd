"""What pays in `--frozen`: augmented views, several experts, hidden layers. Judged on training images alone.

    python benchmarks/frozen_forms.py --data DIR --fashion DIR --json benchmarks/results/frozen_forms-1-thread.json

The sets are those of first_folder.py; their test images are not read. Each form's classifiers are trained by four-fold
cross-validation as `longtail train FOLDER --frozen` trains them, and macro recall is over all training images, each
judged by classifiers that did not see it; near duplicates and bursts stay together. Seeds differ in folds and draws;
differences are within a seed.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch

from first_folder_sets import SETS, MissingSourceError, make
from longtail.data.holdout import related_in
from longtail.engine.job import data_of
from longtail.engine.trials import FrozenTrials, folds
from longtail.recipe import changed
from longtail.recipe.plan.command import plan
from record import about, save, show, table

FOLDS = 4
HIDDEN = {"model.hidden_units": 256}
FORMS = {
    "plain images": {"run.reuse_features": 0},
    "4 views": {"run.reuse_features": 4},
    "3 experts": {"run.reuse_features": 0, "model.num_experts": 3},
    "hidden layer": {"run.reuse_features": 0, **HIDDEN},
    "3 experts, hidden layers": {"run.reuse_features": 0, "model.num_experts": 3, **HIDDEN},
}
PLAIN = next(iter(FORMS))
HEAD = ["set", "form", "macro", "- plain images", "seconds: features", "heads"]


def right_of(recipe, trials, seed, groups):
    """(N,) whether each training image was named correctly by classifiers that did not see it."""
    recipe = changed(recipe, {"run.seed": seed})
    fold = folds(trials.targets, FOLDS, seed, groups)
    right = np.zeros(len(fold), dtype=bool)
    for number in range(FOLDS):
        rows, held = ((fold != number).nonzero()[:, 0], (fold == number).nonzero()[:, 0])
        said = trials.logits(recipe, rows, held).argmax(dim=1)
        right[held.numpy()] = (said == trials.targets[held].cpu()).numpy()
    return right


def macro(right, targets):
    return float(np.mean([right[targets == c].mean() for c in np.unique(targets)]))


def measure(folder, seeds, forms):
    """Macro recall of each form by seed, and the seconds that it took."""
    found = {}
    for name in forms:
        settings = FORMS[name]
        given = {"model.frozen": True, "data.validation": 0.0, **settings}
        recipe = plan(str(folder), given, None, False).recipe
        began = time.perf_counter()
        trials = FrozenTrials(recipe)
        computed = time.perf_counter()
        groups = related_in(data_of(recipe, torch.device("cpu")).train, recipe.data).groups
        targets = trials.targets.cpu().numpy()
        scores = [macro(right_of(recipe, trials, seed, groups), targets) for seed in seeds]
        took = {"features_s": computed - began, "heads_s": time.perf_counter() - computed}
        found[name] = {"macro": scores, **{key: round(value, 1) for key, value in took.items()}}
        print(f"{folder.parent.name}: {name}: {scores}", flush=True)
    return found


def spread(values):
    more = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * fmean(values):.1f}{more}"


def rows(sets):
    lines = []
    for name, forms in sets.items():
        for form, found in forms.items():
            gains = [one - other for one, other in zip(found["macro"], forms[PLAIN]["macro"], strict=True)]
            gain = (
                ""
                if form == PLAIN
                else f"{100 * fmean(gains):+.1f} ({100 * min(gains):+.1f} to {100 * max(gains):+.1f})"
            )
            lines.append(
                [
                    name,
                    form,
                    spread(found["macro"]),
                    gain,
                    f"{found['features_s']:.0f}",
                    f"{found['heads_s']:.0f}",
                ]
            )
    return lines


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with ham10000_lt, cifar10-lt10 and cifar100-lt10")
    parser.add_argument("--fashion", type=Path, help="folder of Fashion-MNIST's IDX files")
    parser.add_argument(
        "--sets", nargs="+", choices=SETS, default=[name for name in SETS if name != "ham10000"]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS), help=f"{PLAIN} among them")
    parser.add_argument("--small", action="store_true", help="small forms of the sets")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "first-folder")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if PLAIN not in args.forms:
        parser.error(f"--forms needs {PLAIN!r}, which the others are compared with")
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    result = about("frozen_forms.py") | {"seeds": args.seeds, "sets": {}}
    for name in args.sets:
        try:
            folder = make(name, args.data, args.fashion, args.work.resolve(), small=args.small)
        except MissingSourceError as missing:
            print(f"{name} is left out: {missing}")
            continue
        result["sets"][folder.name] = measure(folder / "train", args.seeds, args.forms)
        result["tables"] = [table("frozen forms", HEAD, rows(result["sets"]))]
        if args.json:
            save(args.json, result)
    for each in result.get("tables", []):
        show(each)


if __name__ == "__main__":
    main()
