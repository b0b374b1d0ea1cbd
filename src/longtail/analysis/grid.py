"""How do scores depend on two settings? A study's grid as heat maps (the paper's Figure 4)."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from longtail.analysis.drawing import new_panels
from longtail.records import decoded, parse_json, read_bytes
from longtail.report.style import INK
from longtail.study.result import REMEDY, SCORES, Result, read_result
from longtail.study.settings import MACHINE
from longtail.types import InputError

COLUMNS = ("study", "x_key", "x", "y_key", "y", "score", "mean", "sd", "seeds")
WORDS = {"method.diversity_stop": "t_AD", "method.contrastive_start": "t_CL"}
FORM = "give the result files of a study, such as benchmarks/results/figure4.*.json, or a folder of one study's alone"


def results_in(sources: Sequence[str | Path]) -> list[Result]:
    """The result files of one study: files, folders of such files, or the folder of a study with `results/` in it.

    Raises:
        InputError: there is none, one is damaged, or they are of several studies.
    """
    files = [file for source in sources for file in _files(Path(source))]
    results = [read_result(file) for file in files]
    studies = sorted({result.study for result in results if result.study is not None})
    if not studies or any(result.settings is None for result in results if result.study is not None):
        raise InputError(f"{', '.join(map(str, sources))}: no results of a study with their settings; {FORM}")
    if len(studies) > 1:
        raise InputError(f"results of several studies ({', '.join(studies)}) were given; {FORM}")
    return [result for result in results if result.study is not None]


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f"{source} does not exist; {FORM}")
    inner = source / "results"
    folder = inner if inner.is_dir() else source
    return [file for file in sorted(folder.glob("*.json")) if _is_result(file)]


def _is_result(file: Path) -> bool:
    """Whether a JSON file is of this kind; others lie in such folders too."""
    found = parse_json(decoded(read_bytes(file, REMEDY), str(file), REMEDY), str(file), REMEDY)
    return isinstance(found, dict) and "seeds" in found and found.get("study") is not None


def compute(results: Iterable[Result]) -> pd.DataFrame:
    """A row for each place of the grid and each score.

    The two settings are those in which the results differ. Columns study, x_key, x, y_key, y, score (overall, macro,
    many, medium, few), mean and sd between the seeds (n - 1), seeds (how many).

    Raises:
        InputError: the results do not differ in exactly two settings.
    """
    found = list(results)
    settings = [_flat(result.settings or {}) for result in found]
    keys = [key for key in dict.fromkeys(k for each in settings for k in each) if _varies(key, settings)]
    if len(keys) != 2:
        more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
        said = f"differ in {', '.join(keys[:5])}{more}" if keys else "do not differ in any setting"
        raise InputError(
            f"the results {said}, and a grid has exactly two settings; give those of a study whose grid has two"
        )
    y_key, x_key = keys
    places: dict[tuple[Any, Any], list[Any]] = {}
    for result, own in zip(found, settings, strict=True):
        places.setdefault((own.get(x_key), own.get(y_key)), []).extend(result.seeds.values())
    rows = []
    for (x, y), seeds in sorted(places.items(), key=lambda item: tuple(map(_order, item[0]))):
        for score in SCORES:
            values = [value for seed in seeds if (value := getattr(seed.metrics, score)) is not None]
            if values:
                sd = statistics.stdev(values) if len(values) > 1 else None
                rows.append(
                    (found[0].study, x_key, x, y_key, y, score, statistics.fmean(values), sd, len(values))
                )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in one level, but the seed and what does not decide a score; lists as text."""
    return {
        key: value if isinstance(value, int | float | str) else json.dumps(value)
        for section, own in settings.items()
        for leaf, value in own.items()
        for key in [f"{section}.{leaf}"]
        if key not in (*MACHINE, "run.seed", "run.probes")
    }


def _varies(key: str, settings: Sequence[Mapping[str, Any]]) -> bool:
    return len({str(each.get(key)) for each in settings}) > 1


def _order(value: Any) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return not is_number, float(value) if is_number else 0.0, str(value)


def notes(table: pd.DataFrame) -> list[str]:
    """Places of the grid without a result, and how many seeds there are."""
    places = table.drop_duplicates(["x", "y"])
    missing = table["x"].nunique() * table["y"].nunique() - len(places)
    least, most = int(places["seeds"].min()), int(places["seeds"].max())
    seeds = f"{least} seed{'s' * (least > 1)}" if least == most else f"{least} to {most} seeds"
    known = table.loc[table["score"] == "overall", "sd"].astype(float)
    apart = (
        ""
        if known.isna().all()
        else f", whose overall accuracies have a mean sd of {100 * known.mean():.1f} points"
    )
    lines = [f"{len(places)} places, {seeds} each{apart}; the best has a frame"]
    return lines + ([f"places without a result, left blank: {missing}"] if missing else [])


def plot(table: pd.DataFrame) -> Figure:
    """A heat map a score, in per cent; macro is left out where it equals overall everywhere."""
    first = table.iloc[0]
    scores = [score for score in SCORES if score in set(table["score"])]
    if _maps(table, "macro").equals(_maps(table, "overall")):
        scores.remove("macro")
    title = f"Accuracy in % over two settings: study {first['study']}"
    side = max(3.0, 0.55 * table["x"].nunique() + 1.2), max(2.4, 0.42 * table["y"].nunique() + 1.2)
    figure, panels = new_panels(len(scores), title, notes(table), columns=2, size=side)
    for axes, score in zip(panels, scores, strict=True):
        _heat_map(axes, _maps(table, score))
        axes.set(title=score, xlabel=_word(first["x_key"]), ylabel=_word(first["y_key"]))
    return figure


def _word(key: str) -> str:
    return f"{WORDS[key]} ({key})" if key in WORDS else key


def _maps(table: pd.DataFrame, score: str) -> pd.DataFrame:
    own = table[table["score"] == score]
    wide = own.pivot(index="y", columns="x", values="mean")
    return wide.loc[sorted(wide.index, key=_order), sorted(wide.columns, key=_order)]


def _heat_map(axes: Axes, values: pd.DataFrame) -> None:
    numbers = 100 * values.to_numpy(dtype=float)
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    axes.imshow(
        numbers,
        cmap="Blues",
        vmin=low - 0.3 * (high - low + 0.1),
        vmax=high + 0.3 * (high - low + 0.1),
        aspect="auto",
    )
    axes.set_xticks(range(values.shape[1]), [str(x) for x in values.columns])
    axes.set_yticks(range(values.shape[0]), [str(y) for y in values.index])
    axes.tick_params(length=0)
    for (row, column), number in np.ndenumerate(numbers):
        if np.isfinite(number):
            dark = number > (low + high) / 2 + 0.15 * (high - low)
            axes.text(
                column,
                row,
                f"{number:.1f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else INK,
            )
    row, column = np.unravel_index(np.nanargmax(numbers), numbers.shape)
    axes.add_patch(
        Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=1.6, clip_on=False)
    )
    for spine in axes.spines.values():
        spine.set_visible(False)
