"""How far do the experts' predictions lie apart? KL divergence by class and by group (the paper's Figure 3b)."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from longtail.analysis.asking import divergence
from longtail.analysis.drawing import color_of, group_axis, mark_of, new_panels, short_name
from longtail.analysis.sources import Runs, need_experts, probing
from longtail.report.style import GRID
from longtail.runs import Run, layout
from longtail.runs.groups import GROUPS
from longtail.types import InputError

PROBE = "expert_kl"
COLUMNS = ("run", "level", "name", "group", "train_images", "kl", "kl_of_a_pair", "measured")
SINGLE = 20  # classes up to which a line joins them; above, a mean over neighbours in size
KEY = "KL divergence between two experts' predictions in nats: mean over ordered pairs, and over the images of a class."
LINES = "Lines: means over neighbours in size."


def compute(runs: Runs) -> pd.DataFrame:
    """A row a class, then one for each group and for all classes: the mean of the classes with evaluated images.

    Columns run, level (class, group), name, group, train_images (of a group those of all its classes), kl (nats, summed
    over ordered pairs of experts), kl_of_a_pair (their mean), and measured: "after epoch N" where the run noted it in
    training, else "now", of the images that the run is evaluated on.

    Raises:
        InputError: a run has one expert, or noted nothing and its images or weights are not there.
    """
    rows = [row for name, run in runs.items() for row in _rows(name, run)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"kl": float, "kl_of_a_pair": float})


def _rows(name: str, run: Run) -> Iterator[tuple[object, ...]]:
    experts = need_experts(run)
    pairs = experts * (experts - 1)
    values, measured = _measured(run)
    found = [math.nan if value is None else value for value in values]
    for entry, value in zip(run.classes, found, strict=True):
        yield name, "class", entry["name"], entry["group"], entry["count"], value, value / pairs, measured
    for group in ("all", *GROUPS):
        of = [place for place, entry in enumerate(run.classes) if group in ("all", entry["group"])]
        if known := [found[place] for place in of if not math.isnan(found[place])]:
            images, mean = sum(run.classes[place]["count"] for place in of), float(np.mean(known))
            yield name, "group", group, group, images, mean, mean / pairs, measured


def _measured(run: Run) -> tuple[list[float | None], str]:
    """(C,) the newest divergences that the run noted, else those of its network now."""
    for record in reversed(run.log):
        if (noted := record.get(PROBE)) is not None:
            if len(noted) != len(run.classes):
                raise InputError(
                    f"{run.path / layout.LOG} is damaged (an {PROBE} of {len(noted)} classes where "
                    f"{layout.CLASSES} has {len(run.classes)}); train the run again: {probing(run, PROBE)}"
                )
            return noted, f"after epoch {record['epoch'] + 1}"
    return divergence(run), "now"


def notes(table: pd.DataFrame) -> list[str]:
    """What is not in the picture, and what was not measured alike."""
    missing = table[(table["level"] == "class") & table["kl"].isna()]
    lines = [
        f"{short_name(str(run))}: {len(own):,} class{'es' * (len(own) > 1)} without evaluated images not shown"
        for run, own in missing.groupby("run", sort=False)
    ]
    when = table.groupby("run", sort=False)["measured"].first()
    if when.nunique() > 1:
        lines.append(f"measured {', '.join(f'{short_name(str(run))}: {word}' for run, word in when.items())}")
    return lines


def plot(table: pd.DataFrame) -> Figure:
    """Left the classes from the largest to the smallest, right the groups; a colour a run."""
    runs = list(table.groupby("run", sort=False))
    title = "How far the experts' predictions lie apart"
    shown = table[(table["level"] == "class") & table["kl"].notna()]
    smooth = shown.groupby("run").size().max() > SINGLE
    said = [KEY, *([LINES] if smooth else []), *notes(table)]
    figure, (left, right) = new_panels(
        2, title, said, runs=[short_name(str(run)) for run, _ in runs], size=(4.2, 3.0)
    )
    groups = [g for g in ("all", *GROUPS) if ((table["level"] == "group") & (table["name"] == g)).any()]
    group_axis(right, groups)
    width = 0.75 / len(runs)
    for place, (_, own) in enumerate(runs):
        classes = own[(own["level"] == "class") & own["kl"].notna()]
        classes = classes.sort_values("train_images", ascending=False, kind="stable")
        x, y = np.arange(1, len(classes) + 1), classes["kl_of_a_pair"].to_numpy()
        several = len(y) > SINGLE
        left.plot(
            x, y, color=color_of(place), marker=mark_of(place), markersize=3 if several else 5,
            linewidth=0 if several else 1.4, alpha=0.35 if several else 1,
        )  # fmt: skip
        if several:
            left.plot(x, smoothed(y, len(y) // 10), color=color_of(place), linewidth=1.8)
        means = own[own["level"] == "group"].set_index("name")["kl_of_a_pair"]
        at = np.array([groups.index(group) for group in means.index]) + width * (place - (len(runs) - 1) / 2)
        right.bar(at, means, width=0.9 * width, color=color_of(place), alpha=0.85)
    left.set(xlabel="class, largest first", ylabel="nats", title="by class")
    left.set_ylim(bottom=0)
    left.grid(axis="y", color=GRID, linewidth=0.8)
    right.set_title("by group, mean of classes")
    return figure


def smoothed(values: np.ndarray, reach: int) -> np.ndarray:
    """Means over each value and at most `reach` on either side.

    >>> smoothed(np.array([0.0, 3.0, 6.0]), 1)
    array([1.5, 3. , 4.5])
    """
    ends = [(max(0, at - reach), at + reach + 1) for at in range(len(values))]
    return np.array([values[start:stop].mean() for start, stop in ends])
