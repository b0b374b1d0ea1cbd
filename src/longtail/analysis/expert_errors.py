"""Do the experts make different mistakes? How often each pair disagrees, and how far their errors go together."""

from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Bool
from matplotlib.figure import Figure
from numpy import ndarray

from longtail.analysis.drawing import color_of, group_axis, mark_of, new_panels, short_name
from longtail.analysis.sources import Runs, evaluation_of, need_experts
from longtail.report.facts.evaluation import Evaluation
from longtail.runs.groups import GROUPS

MEASURES = {"disagreement": "name different classes", "error_correlation": "correlation of errors"}
SETS = ("all", *GROUPS)
KEY = (
    "A mark is a pair of experts, a bar their mean. Correlation of errors: 0 if experts err independently, 1 if on the "
    "same images."
)


def compute(runs: Runs) -> pd.DataFrame:
    """A row for each pair of experts, over all evaluated images and over those of many, medium and few classes.

    Columns run, group, expert_a, expert_b (from 1), images; shares of these: disagreement (they name different
    classes), both_wrong, same_mistake (both name the same wrong class); and error_correlation, in [-1, 1], of being
    wrong (phi), empty where an expert is always right or always wrong.

    Raises:
        InputError: a run has one expert, or no evaluation.
    """
    rows = []
    for name, run in runs.items():
        need_experts(run)
        e = evaluation_of(run)
        rows += [row for group in SETS for row in _pairs(e, name, group)]
    return pd.DataFrame(rows)


def _pairs(e: Evaluation, run: str, group: str) -> list[dict[str, object]]:
    chosen = np.full(len(e.target), True) if group == "all" else e.group[e.target] == GROUPS.index(group)
    votes, wrong = e.votes[:, chosen], (e.votes != e.target)[:, chosen]
    if not chosen.any():
        return []
    return [
        {
            "run": run,
            "group": group,
            "expert_a": a + 1,
            "expert_b": b + 1,
            "images": int(chosen.sum()),
            "disagreement": float((votes[a] != votes[b]).mean()),
            "both_wrong": float((wrong[a] & wrong[b]).mean()),
            "same_mistake": float((wrong[a] & (votes[a] == votes[b])).mean()),
            "error_correlation": phi(wrong[a], wrong[b]),
        }
        for a, b in combinations(range(len(votes)), 2)
    ]


def phi(one: Bool[ndarray, " n"], other: Bool[ndarray, " n"]) -> float | None:
    """Correlation of two events; None where one of them always or never happens.

    >>> round(phi(np.array([True, True, False, False]), np.array([True, False, False, False])), 3)
    0.577
    """
    p, q = one.mean(), other.mean()
    spread = np.sqrt(p * (1 - p) * q * (1 - q))
    return float(((one & other).mean() - p * q) / spread) if spread > 0 else None


def notes(table: pd.DataFrame) -> list[str]:
    """What is not in the table."""
    unknown = int(table["error_correlation"].isna().sum())
    pairs = f"{unknown:,} pair{'s' * (unknown != 1)} of experts"
    return [f"no correlation for {pairs}, of which one is always right or always wrong"] if unknown else []


def plot(table: pd.DataFrame) -> Figure:
    """Two panels, the share of disagreement and the correlation of errors, by group of classes."""
    title = "How different the experts are, by the size of the images' classes"
    runs, groups = list(table.groupby("run", sort=False)), [g for g in SETS if g in set(table["group"])]
    names = [short_name(str(run)) for run, _ in runs]
    figure, panels = new_panels(len(MEASURES), title, [KEY, *notes(table)], runs=names)
    step = 0.7 / len(runs)
    for axes, (measure, label) in zip(panels, MEASURES.items(), strict=True):
        group_axis(axes, groups)
        axes.set_title(label)
        for place, (_, own) in enumerate(runs):
            for at, group in enumerate(groups):
                values = own.loc[own["group"] == group, measure].astype(float).dropna()
                x = at + step * (place - (len(runs) - 1) / 2)
                spread = x + step * 0.5 * (np.arange(len(values)) / max(1, len(values) - 1) - 0.5) * (
                    len(values) > 1
                )
                axes.scatter(
                    spread,
                    values,
                    s=22,
                    color=color_of(place),
                    marker=mark_of(place),
                    clip_on=False,
                    alpha=0.75,
                    linewidths=0,
                )
                if len(values):
                    axes.hlines(
                        values.mean(), x - 0.4 * step, x + 0.4 * step, color=color_of(place), linewidth=1.4
                    )
    panels[0].set_ylabel("share of images")
    panels[0].set_ylim(0, 1.08 * max(table["disagreement"].max(), 0.01))
    low = float(np.nanmin([0.0, table["error_correlation"].astype(float).min()]))
    panels[1].set_ylim(1.08 * low, 1.05)
    return figure
