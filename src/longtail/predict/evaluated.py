"""Which images a finished run is evaluated on, and what that evaluation is called."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from longtail.caller_words import PYTHON, Words
from longtail.data import DataOptions, Notes, Split, load_data, load_test, source_of
from longtail.data.content import to_text
from longtail.data.source_kinds import read_source
from longtail.data.sources import published
from longtail.data.walking import walk_images
from longtail.recipe import Recipe
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.types import InputError

Part = tuple[str, Split, Notes]
"""The name under `eval/`, the images, and what to tell of them."""


@dataclass(frozen=True)
class Evaluated:
    """Finds images for a run.

    Attributes:
        folder, recipe: of the run.
        classes: C names that the run knows.
        description: of its network: what images it takes.
        words: of the caller.
    """

    folder: RunFolder
    recipe: Recipe
    classes: tuple[str, ...]
    description: Mapping[str, Any]
    words: Words = PYTHON

    def own(self, strict: bool) -> Part:
        """The run's test split, or else its validation split.

        Raises:
            InputError: it has neither, or what was held out is not known any more.
        """
        options = self._options(strict)
        source = read_source(options)
        for part, listing in (("test", source.test), ("val", source.val)):
            if listing is not None:
                return part, *load_test(options, self.classes, part)
        held_out = self._held_out(options)
        if held_out is None:
            raise InputError(
                f"{self.folder.path} was trained without a test split; give images with {self.words.data}"
            )
        return held_out

    def validation(self, strict: bool) -> Part:
        """The run's validation split.

        Raises:
            InputError: it has none, or what was held out is not known any more.
        """
        options = self._options(strict)
        if read_source(options).val is not None:
            return "val", *load_test(options, self.classes, "val")
        part = self._held_out(options)
        if part is None:
            raise InputError(
                f"{self.folder.path} was trained without a validation split; give images that it was not trained on "
                f"with {self.words.data}"
            )
        return part

    def _held_out(self, options: DataOptions) -> Part | None:
        """What training held out of its own images, drawn again."""
        data = load_data(options, seed=self.recipe.run.seed)
        if data.val is None:
            return None
        if data.index_hash != self.folder.read(layout.ENVIRONMENT).index_hash:
            raise InputError(
                f"the images of {options.path} have changed since training, so what was held out is not known any "
                f"more; give other images with {self.words.data}"
            )
        return "val", data.val, data.notes

    def other(self, data: Path, strict: bool) -> Part:
        """Images from elsewhere, matched to the classes by name.

        Raises:
            InputError: there are none that the run could be evaluated on.
        """
        if not data.exists():
            raise InputError(
                f"{data} does not exist; give a folder with test/ or with a folder for each class"
            )
        own, kind = self.recipe.data.name, source_of(data)
        known = published(own)
        if (
            own in ("cifar10", "cifar100")
            and (kind == "parquet" or (kind == "folder" and not any(walk_images(data))))
        ) or (known and known.lists_in(data)):
            options = self._options(strict, path=str(data))
        else:
            same = kind == own or (known and kind in ("list", "inaturalist"))
            root = self.recipe.data.root if same else None
            options = self._options(
                strict, name=kind, path=str(data), root=root, group_by=None, two_labels="leave_out"
            )
        return _name(data), *load_test(options, self.classes)

    def trained_on(self, split: Split) -> Bool[np.ndarray, " n"] | None:
        """Whether the run was trained on each of the images, by what they hold; None where it does not list that."""
        if split.contents is None or not (self.folder.path / layout.SPLITS).is_file():
            return None
        listed = self.folder.splits("restore it, or remove it to go without this check")
        if "content" not in listed:
            return None
        trained = listed.loc[listed["split"] == "train", "content"]
        return np.isin(to_text(split.contents), trained[trained != ""].unique())

    def _options(self, strict: bool, **changed: Any) -> DataOptions:
        o, about = self.recipe.data, self.description
        known = {
            "image_size": about["image_size"],
            "mean": tuple(about["mean"]),
            "bits": about.get("bits", 16),
        }
        return o.model_copy(update={**known, "strict": strict or o.strict, **changed})

    def free_name(self, name: str, data: str | None, prior: Mapping[str, float] | None) -> str:
        """The name, numbered where `eval/` has it from other images or with another class prior."""
        names = chain([name], (f"{name}-{number}" for number in count(2)))
        return next(own for own in names if self._origin(own) in (None, (data, prior)))

    def _origin(self, name: str) -> tuple[Any, Any] | None:
        """Images and class prior behind `eval/<name>`; None where there is no such evaluation."""
        if not (self.folder.path / layout.metrics(name)).exists():
            return None
        found = self.folder.metrics(name)
        return found.get("data"), found.get("prior")


def _name(data: Path) -> str:
    """What images are called: `photos`, and `photos-test` for `photos/test`."""
    place = data.resolve()
    name = place.stem if place.is_file() else place.name
    return f"{place.parent.name}-{name}" if name in ("test", "val") else name
