"""Times some steps of a recipe on some images before all are read, and reduces the image size to fit the time."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray

from longtail.data.dataset import LongTailData
from longtail.data.listing import Listing, Source
from longtail.data.loading import load_data
from longtail.data.options import DataOptions
from longtail.data.profiles import count_chosen
from longtail.data.source_kinds import ReadSource
from longtail.engine.fitted_heads import looked_at
from longtail.engine.timing import Timing, of_parts, time_steps
from longtail.models.backbone import image_multiple
from longtail.recipe import Recipe, changed
from longtail.types import InputError

SAMPLE = 256  # images that are read for it
SIZES = (224, 192, 160, 128, 96)  # to choose from, where the suggested one takes too long
GOOD = 8  # epochs that a run should have before its images are larger


def probe(recipe: Recipe, read: ReadSource) -> Timing:
    """Time some steps on some of the images; how many images each part has is an upper bound.

    Raises:
        InputError: there are none to train on.
    """
    source = read(recipe.data)
    if source.train is None:
        raise InputError(f"no training images in {recipe.data.path}; add a split named train")
    boxes = any("resized_crop" in shown.augment for shown in recipe.views().values())
    data = load_some(recipe.data, source, _rows(source.train.targets), boxes=boxes)
    chosen = count_chosen(source.train, recipe.data, source.max_count)
    number = round(chosen * (1 - recipe.data.validation))
    fitted = min(number, looked_at(torch.from_numpy(source.train.targets), len(data.class_names)))
    val, test = (0 if part is None else len(part.targets) for part in (source.val, source.test))
    return of_parts(replace(time_steps(recipe, data), fitted=fitted), number, val or chosen - number, test)


def load_some(
    options: DataOptions, source: Source, rows: Int64[ndarray, " k"], *, boxes: bool
) -> LongTailData:
    """Some images of the training split of a source, of which nothing is held out.

    Args:
        options: of the run.
        source: has a training split.
        rows: of its training split.
        boxes: whether boxes are cut out of images as they are read.

    Raises:
        InputError: none of these images can be read.
    """
    assert source.train is not None
    plain: dict[str, Any] = {
        "validation": 0.0, "imbalance_factor": None, "strict": False, "group_by": None, "max_count": None
    }  # fmt: skip
    known = {key: value for key, value in plain.items() if key in DataOptions.model_fields}
    some = Source(_some(source.train, rows), image_size=source.image_size, mean=source.mean, std=source.std)
    return load_data(options.model_copy(update=known), boxes=boxes, read=lambda _: some)


def affordable(
    recipe: Recipe, timing: Timing, read: ReadSource, given: Mapping[str, Any], seconds: float
) -> tuple[Recipe, Timing, list[str]]:
    """The recipe at the largest image size, up to its own, at which enough epochs fit into the time; what is cut.

    The time of a step is taken to grow with the number of pixels, and is then timed.

    Args:
        recipe: the suggested settings.
        timing: of them.
        read: lists the source.
        given: what was asked for, which is not changed.
        seconds: for the run.
    """
    own = recipe.data.image_size
    wanted = min(GOOD, recipe.optim.epochs)
    if own is None or "data.image_size" in given or timing.epochs_within(seconds, 0) >= wanted:
        return recipe, timing, []
    multiple = image_multiple(recipe.model.name) if not recipe.model.is_for_small_images else 1
    sizes = [size for size in SIZES if size < own and size % multiple == 0]
    if not sizes:
        return recipe, timing, []

    def fits(size: int) -> bool:
        ratio = (size / own) ** 2
        faster = {name: ratio * getattr(timing, name) for name in ("image", "evaluated", "fitting")}
        return replace(timing, **faster).epochs_within(seconds, 0) >= wanted

    size = next(filter(fits, sizes), sizes[-1])
    smaller = changed(recipe, {"data.image_size": size})
    said = f"cut: images of {size} pixels instead of {own}, of which {wanted} epochs would take too long"
    return smaller, probe(smaller, read), [said]


def _rows(targets: Int64[ndarray, " n"]) -> Int64[ndarray, " k"]:
    """Some rows, of each class at least one."""
    first = np.unique(targets, return_index=True)[1]
    spread = np.linspace(0, len(targets) - 1, min(len(targets), SAMPLE)).astype(np.int64)
    return np.unique(np.concatenate([first[:SAMPLE], spread]))


def _some(listing: Listing, rows: Int64[ndarray, " k"]) -> Listing:
    """These rows of a listing."""
    on_disk = listing.on_disk
    return replace(
        listing,
        targets=listing.targets[rows],
        ids=tuple(listing.ids[row] for row in rows),
        fetch=lambda some: listing.fetch(rows[some]),
        on_disk=None if on_disk is None else lambda row: on_disk(int(rows[row])),
        sizes=None if listing.sizes is None else listing.sizes[rows],
        groups=None,
        columns={},
        contents=None if listing.contents is None else listing.contents[rows],
    )
