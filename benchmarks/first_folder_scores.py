"""Scores of first_folder.py's result files, and the table that they make."""

import json
from statistics import fmean, stdev

import numpy as np
import torch

from longtail.metrics import class_groups
from longtail.metrics.pairs import macro_weights, paired_gain_of_runs

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
GROUPS = ("macro", "many", "medium", "few")
HEAD = ["set", "", *GROUPS, "CPU s", "longtail - this", "95 %", "seeds"]


def packed(classes):
    """Class indices, one character each."""
    return "".join(DIGITS[c] for c in classes)


def unpacked(text):
    return np.array([DIGITS.index(letter) for letter in text])


def choices(probabilities, counts):
    """What a softmax names, as it is and divided by the training images of each class."""
    return {
        "": probabilities.argmax(axis=1),
        ", divided": (probabilities / np.asarray(counts)).argmax(axis=1),
    }


def scores(named, target, counts):
    """Mean recall over all classes and over those of each group; None where a group has no class."""
    recall = np.array([(named[target == c] == c).mean() for c in range(len(counts))])
    groups = np.array(class_groups(torch.tensor(counts)))
    chosen = {"macro": groups != "", **{name: groups == name for name in GROUPS[1:]}}
    return {name: float(recall[rows].mean()) if rows.any() else None for name, rows in chosen.items()}


def sides(result):
    """Side -> seed -> named classes; a side that can be divided gives two."""
    found = {}
    for run in result["runs"]:
        for ending, named in run["named"].items():
            found.setdefault(run["side"] + ending, {})[run["seed"]] = unpacked(named)
    return found


def gain(ours, other, target, num_classes):
    """Macro recall of one side minus that of another over the seeds that both have, with a 95 % interval."""
    seeds = sorted(ours.keys() & other.keys())
    right, wrong = (np.stack([side[s] == target for s in seeds]) for side in (ours, other))
    return paired_gain_of_runs(right, wrong, macro_weights(target, np.ones(num_classes, bool)))


def title(result):
    """The set, the budget of longtail (15 minutes by default), and the threads where there are several."""
    minutes, threads = result.get("minutes"), result["threads"]
    more = "" if threads == 1 else f", {threads} threads"
    return f"{result['set']}, {15 if minutes is None else minutes:g} min{more}"


def rows(result):
    """A line for each side: means over seeds in per cent, CPU seconds, and what longtail has more."""
    target, counts = unpacked(result["target"]), result["counts"]
    found, lines = sides(result), []
    for side, seeds in found.items():
        each = [scores(named, target, counts) for named in seeds.values()]
        spent = [run["cpu_s"] for run in result["runs"] if run["side"] == side.removesuffix(", divided")]
        line = [
            title(result),
            side,
            *(_mean([s[name] for s in each]) for name in GROUPS),
            f"{fmean(spent):.0f}",
        ]
        if side == "longtail" or "longtail" not in found or not found["longtail"].keys() & seeds.keys():
            line += ["", ""]
        else:
            value, low, high = gain(found["longtail"], seeds, target, len(counts))
            line += [f"{100 * value:+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}"]
        lines.append([*line, str(len(seeds))])
    return lines


def _mean(values):
    if None in values:
        return "-"
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * fmean(values):.1f}{spread}"


def estimates(result):
    """A line for each run of longtail that said how long training would take: seconds said and needed."""
    return [
        [title(result), run["side"], str(run["seed"]), str(result["threads"]), f"{run['estimate_s']:.0f}",
         f"{run['needed_s']:.0f}", f"{run['needed_s'] / run['estimate_s']:.2f}", f"{run['wall_s']:.0f}"]
        for run in result["runs"]
        if run.get("estimate_s")
    ]  # fmt: skip


ESTIMATES_HEAD = ["set", "", "seed", "threads", "training said, s", "needed, s", "needed / said", "all, s"]


SHORT_HEAD = [
    "training images",
    "longtail",
    "plain loop",
    "divided by counts",
    "fastai",
    "longtail - best other (95 %)",
    "seeds",
]


def short(result):
    """One line: mean macro recall of each side, and what longtail has more than the best of the others."""
    target, counts = unpacked(result["target"]), result["counts"]
    found = sides(result)
    macros = {
        side: [scores(named, target, counts)["macro"] for named in seeds.values()]
        for side, seeds in found.items()
    }
    others = [side for side in macros if not side.startswith("longtail")]
    best = max(others, key=lambda side: fmean(macros[side]))
    value, low, high = gain(found["longtail"], found[best], target, len(counts))
    shown = [
        _mean(macros[side]) if side in macros else "-"
        for side in ("longtail", "plain", "plain, divided", "fastai")
    ]
    size = f"{title(result)}: {sum(counts):,} of {len(counts)} classes"
    seeds = str(len(found["longtail"].keys() & found[best].keys()))
    return [size, *shown, f"{100 * value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})", seeds]


def read(paths):
    return [json.loads(path.read_text("utf-8")) for path in paths]
