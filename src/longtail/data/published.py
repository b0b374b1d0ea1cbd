"""The long-tailed sets of photographs that papers report on: the files that list them, and what these have to hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from longtail.data.listing import IMAGENET_MEAN, IMAGENET_STD, PARTS, Source
from longtail.data.options import Triple, TwoLabels
from longtail.data.packed_set import is_packed, read_packed
from longtail.data.rows import NoFileError
from longtail.data.source_form import Place, SourceForm
from longtail.types import InputError

SIDE = 224  # pixels
GROUPS = (100, 20)  # "many" have more training images than the first, "few" fewer than the second
WORDS = {"train": "training", "val": "validation", "test": "test"}
PAGE = "docs/published-sets.md says more"


@dataclass(frozen=True)
class Published:
    """What a published set holds, and how it is given.

    Attributes:
        files: split -> the file that lists its images, in the folder that `data.path` names.
        images: split -> its images; results are those on the test split.
        classes: C.
        groups: classes of many, medium and few training images; None: not compared.
        read: reads a folder's files: the folder, the images' root, what becomes of two labels, and the files.
        steps: where the files come from and how they must lie, a line each.
        mean, std: per channel, of images in [0, 1].
    """

    files: Mapping[str, str]
    images: Mapping[str, int]
    classes: int
    groups: tuple[int, int, int] | None
    read: Callable[[Path, Path | None, TwoLabels, Mapping[str, Path]], Source]
    steps: tuple[str, ...]
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD

    def described(self) -> str:
        """One line."""
        numbers = [f"{number:,} {WORDS[part]}" for part, number in self.images.items()]
        return (
            f"{', '.join(numbers)} images, {self.classes:,} classes: --data FOLDER with {self.files['train']}"
        )

    def lists_in(self, folder: Path) -> dict[str, Path]:
        """Split -> the file that lists it, of those that are in a folder."""
        files = {split: folder / file for split, file in self.files.items()}
        return {split: file for split, file in files.items() if file.is_file()}


def files_of_lists(name: str) -> dict[str, str]:
    """Part -> its list, of a set that is given in lists."""
    return {part: f"{name}_{part}.txt" for part in PARTS}


def form_of(name: str, known: Published) -> SourceForm:
    """How a published set is read."""
    return SourceForm(
        known.described(), partial(_read, name, known), takes_root=True, steps=(*known.steps, _last(known))
    )


def _read(name: str, known: Published, place: Place) -> Source:
    return read_published(name, known, place.given, place.root, place.two_labels)


def read_published(
    name: str, known: Published, folder: Path, root: Path | None = None, two_labels: TwoLabels = "refuse"
) -> Source:
    """A published set, with a remark where it does not hold what was published.

    Args:
        name: its name.
        known: what was published.
        folder: where its lists or annotations are, or what `longtail data pack` made of them.
        root: the folder that their paths start from. Default: theirs.
        two_labels: see `DataOptions`.

    Raises:
        InputError: a file is missing or no image of a split exists, both with the steps to get the set; or see
            `source_of_rows`.
    """
    if is_packed(folder):
        source = read_packed(folder)
    else:
        files = known.lists_in(folder)
        missing = [file for part, file in known.files.items() if part not in files]
        if missing:
            raise InputError(
                f"{folder} has no {', '.join(missing)}, which {name} needs", [*known.steps, _last(known)]
            )
        try:
            source = known.read(folder, root, two_labels, files)
        except NoFileError as error:
            raise InputError(str(error), [*error.details, *known.steps, _last(known)]) from None
    found, remark = _compared(name, known, source)
    return replace(
        source, image_size=SIDE, mean=known.mean, std=known.std, is_flat=False,
        remarks=(*source.remarks, *([remark] if remark else ())), reading=(*source.reading, found),
    )  # fmt: skip


def _last(known: Published) -> str:
    files = ", ".join(known.files.values())
    return f"--data FOLDER: where {files} are; paths start there, or from --set data.root=DIR; {PAGE}"


def _compared(name: str, known: Published, source: Source) -> tuple[str, str]:
    """What the set holds, and how that differs from what was published; "" where it does not."""
    train = source.train
    counts = np.zeros(0, np.int64) if train is None else np.bincount(train.targets)
    counts = counts[counts > 0]
    many, few = int((counts > GROUPS[0]).sum()), int((counts < GROUPS[1]).sum())
    groups = (many, len(counts) - many - few, few)
    numbers = [(f"{WORDS[part]} images", _size(source, part), known.images.get(part, 0)) for part in PARTS]
    numbers = [*numbers, ("classes", len(counts), known.classes)]
    pairs = [(noun, f"{here:,}", f"{there:,}") for noun, here, there in numbers if here or there]
    if known.groups is not None:
        pairs.append(("classes of many/medium/few images", _joined(groups), _joined(known.groups)))
    wrong = [f"{here} {noun} (published: {there})" for noun, here, there in pairs if here != there]
    remark = f"not {name} as published: {', '.join(wrong)}; use the published lists for figures to compare"
    has = ", ".join(f"{here} {noun}" for noun, here, _ in pairs)
    return f"{name}: {has}", remark if wrong else ""


def _size(source: Source, part: str) -> int:
    listing = source.parts.get(part)
    return 0 if listing is None else len(listing.targets)


def _joined(groups: tuple[int, int, int]) -> str:
    return "/".join(f"{group:,}" for group in groups)
