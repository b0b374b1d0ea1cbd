"""Do features separate rare classes? t-SNE of ten classes equally spaced in size (the paper's Figure 5)."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy import ndarray

from longtail.analysis.asking import features_of
from longtail.analysis.drawing import new_panels, short_name
from longtail.analysis.sources import Runs
from longtail.printable import printable
from longtail.runs import Run
from longtail.types import InputError

CLASSES = 10
IMAGES = 100  # of a class, at most
COLORS = (
    "#0B57A4",
    "#2E9BD6",
    "#1F8F82",
    "#6BAA2C",
    "#8A6A00",
    "#E0A100",
    "#E8702A",
    "#B3261E",
    "#C02876",
    "#5B3FA0",
)
SHAPES = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
JOINT = "all experts"
COLUMNS = ("run", "features", "path", "class", "train_images", "class_images", "x", "y", "silhouette")
KEY = (
    "Features are scaled to length 1; those of all experts are put side by side. Silhouette: how much closer an image "
    "is to its own class than to the next, in the features themselves (1 best, 0 between). In a t-SNE it matters which "
    "images are neighbours; distances and sizes of clusters mean little."
)


def compute(runs: Runs, seed: int = 0) -> pd.DataFrame:
    """A row for each run, each expert's and the joint features, and each image of ten classes.

    The classes lie equally spaced in the order of training images, among those with evaluated images; of each the first
    100 images are taken. Columns run, features (expert N, or all experts), path, class, train_images, class_images (how
    many evaluated ones the class has), x and y of t-SNE, and silhouette (of the cosine distance, in [-1, 1]).

    Raises:
        InputError: a run has no weights or images, or only one class has evaluated images.
    """
    rows = [row for name, run in runs.items() for row in _rows(name, run, seed)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def spaced_classes(counts: Int[ndarray, " c"], tested: Int[ndarray, " t"], wanted: int) -> Int[ndarray, " k"]:
    """At most `wanted` of the tested classes, equally spaced in the order of their counts, the largest first.

    >>> spaced_classes(np.array([5, 50, 20, 1, 10]), np.array([0, 1, 2, 3, 4]), 3)
    array([1, 4, 3])
    """
    ordered = tested[np.argsort(-counts[tested], kind="stable")]
    places = np.linspace(0, len(ordered) - 1, min(wanted, len(ordered)))
    return np.asarray(ordered[np.round(places).astype(int)])


def _chosen(run: Run, targets: Int[ndarray, " n"], counts: Int[ndarray, " c"]) -> Int[ndarray, " k"]:
    """The rows of the images, class by class."""
    tested = np.unique(targets)
    if len(tested) < 2:
        raise InputError(
            f"{run.path} is evaluated on images of a single class; this figure needs two classes or more"
        )
    return np.concatenate(
        [np.flatnonzero(targets == c)[:IMAGES] for c in spaced_classes(counts, tested, CLASSES)]
    )


def _rows(name: str, run: Run, seed: int) -> Iterator[tuple[object, ...]]:
    targets: list[np.ndarray] = []

    def choose(all_targets: np.ndarray, counts: np.ndarray) -> np.ndarray:
        targets.append(all_targets)
        return _chosen(run, all_targets, counts)

    features, target, paths = features_of(run, choose)
    images = np.bincount(targets[0], minlength=len(run.classes))
    unit = features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)
    for which, points in _sets(unit):
        places, silhouettes = embedded(points, target, seed)
        for path, c, (x, y), silhouette in zip(paths, target, places, silhouettes, strict=True):
            entry = run.classes[c]
            yield (
                name,
                which,
                path,
                entry["name"],
                entry["count"],
                int(images[c]),
                float(x),
                float(y),
                float(silhouette),
            )


def _sets(unit: Float[ndarray, "m n d"]) -> Iterator[tuple[str, ndarray]]:
    """The features of each expert, and of all side by side where there are several."""
    yield from ((f"expert {m}", points) for m, points in enumerate(unit, 1))
    if len(unit) > 1:
        yield JOINT, np.concatenate(list(unit), axis=1)


def embedded(
    points: Float[ndarray, "n d"], target: Int[ndarray, " n"], seed: int
) -> tuple[Float[ndarray, "n 2"], Float[ndarray, " n"]]:
    """Places in the plane, and the silhouette of each point; its classes are those of `target`."""
    from sklearn.manifold import TSNE
    from sklearn.metrics import silhouette_samples

    perplexity = min(30.0, max(1.0, (len(points) - 1) / 3))
    start = "pca" if min(points.shape) >= 2 else "random"
    places = TSNE(perplexity=perplexity, init=start, random_state=seed, n_jobs=1).fit_transform(points)
    alone = len(np.unique(target)) >= len(points)
    silhouette = np.zeros(len(points)) if alone else silhouette_samples(points, target, metric="cosine")
    return places, silhouette


def notes(table: pd.DataFrame) -> list[str]:
    """What is not in the picture."""
    lines = []
    for run, own in table.groupby("run", sort=False):
        classes = own.drop_duplicates("class")
        shown = own[own["features"] == own["features"].iloc[0]].groupby("class", sort=False).size()
        cut = int((classes["class_images"].to_numpy() > shown.reindex(classes["class"]).to_numpy()).sum())
        lines.append(
            f"{short_name(str(run))}: {len(classes)} classes equally spaced in the order of training images"
        )
        if cut:
            lines[-1] += f"; of {cut} of them the first {IMAGES} images alone"
    return lines


def plot(table: pd.DataFrame) -> Figure:
    """A row a run: a panel for each expert and one for all; a colour and a mark a class, the largest first."""
    panels = list(table.groupby(["run", "features"], sort=False))
    across = max(own["features"].nunique() for _, own in table.groupby("run", sort=False))
    several = table["run"].nunique() > 1
    title = "t-SNE of the features of evaluated images"
    figure, axes = new_panels(
        len(panels), title, [KEY, *notes(table)], columns=min(across, 4), size=(3.2, 2.9)
    )
    handles: dict[str, Line2D] = {}
    for place, ((run, which), own) in zip(axes, panels, strict=True):
        head = f"{short_name(str(run))}\n" if several else ""
        place.set_title(f"{head}{which}: silhouette {own['silhouette'].mean():.2f}", fontsize=9)
        _points(place, own, handles)
    figure.legend(
        handles=list(handles.values()),
        loc="outside right upper",
        frameon=False,
        fontsize=8,
        title="training images",
        title_fontsize=8,
    )
    return figure


def _points(axes: Axes, own: pd.DataFrame, handles: dict[str, Line2D]) -> None:
    classes = own.drop_duplicates("class")
    for place, (name, count) in enumerate(zip(classes["class"], classes["train_images"], strict=True)):
        points = own[own["class"] == name]
        color, mark = COLORS[place % len(COLORS)], SHAPES[place % len(SHAPES)]
        axes.scatter(points["x"], points["y"], s=12, color=color, marker=mark, alpha=0.75, linewidths=0)
        label = f"{short_name(printable(str(name)), 20)}: {count:,}"
        handles.setdefault(
            label, Line2D([], [], color=color, marker=mark, linewidth=0, markersize=5, label=label)
        )
    axes.set(xticks=[], yticks=[])
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
    axes.set_box_aspect(0.9)
