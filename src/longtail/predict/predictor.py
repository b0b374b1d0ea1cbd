"""From images to tables of predictions, whatever it is that answers: a run's network, or an exported file."""

import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from longtail.data.framing import Framing, framing_of
from longtail.data.images import decode_all
from longtail.data.left_out import Collector
from longtail.data.opening import Encoded
from longtail.engine.decision import Decision
from longtail.engine.several_views import Answers, averaged, check_views
from longtail.predict.inputs import named_images
from longtail.predict.prior import Prior, class_mix
from longtail.predict.tables import Part, Tabling, finite
from longtail.predict.unreadable import Unreadable, repaired_lines, unreadable_error, unreadable_warning
from longtail.types import Batch, InputError


class Predictor(ABC):
    """Names what images show. A subclass answers for batches of uint8 images, and says what its answers assume.

    Attributes:
        classes: C names.
        class_counts: (C,) training images of each class.
        num_experts: M.
        device: where images are wanted.
        description: what is known of the network, "image_size" and "temperature" among it.
    """

    classes: tuple[str, ...]
    class_counts: Int[Tensor, " c"]
    num_experts: int
    device: torch.device
    description: dict[str, Any]

    @property
    @abstractmethod
    def note(self) -> str | None:
        """What to know before trusting it; None where there is nothing to say."""

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """How many images to ask about at once."""

    @property
    @abstractmethod
    def flips(self) -> bool:
        """Whether training showed mirror images, so that they may be shown in prediction too."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Changes with the weights and with the temperature."""

    @abstractmethod
    def infer(self, stream: Iterator[Batch]) -> Answers:
        """What the experts say of batches of uint8 images, before temperature and class prior."""

    @abstractmethod
    def assumed_log_prior(self) -> Float[Tensor, " c"]:
        """(C,) float64 log of the shares of the classes that the answers stand for."""

    @property
    def bits(self) -> int:
        """How many bits the values of images of 16 bits use, as in training; 16 where the run is older."""
        return int(self.description.get("bits", 16))

    @property
    def framing(self) -> Framing:
        """How images become squares, as in training."""
        return framing_of(self.description.get("fit", "crop"), self.description["mean"])

    @property
    def temperature(self) -> float:
        """What logits are divided by before the softmax; 1 where none was fitted."""
        return float(self.description.get("temperature", 1.0))

    def mix(self, prior: Prior | None) -> dict[str, float] | None:
        """The share of each class that a prior stands for, in the order of `classes`; None for None."""
        if prior is None:
            return None
        shares = class_mix(prior, self.classes, self.class_counts).tolist()
        return dict(zip(self.classes, shares, strict=True))

    def decision(self, prior: Prior | None = None) -> Decision:
        """How logits become probabilities.

        Args:
            prior: the class prior expected in use, see `class_mix`; None leaves predictions as the method gives them.
        """
        shares = self.mix(prior)
        if shares is None:
            return Decision(self.temperature)
        mix = torch.tensor(list(shares.values()), dtype=torch.float64)
        own = self.assumed_log_prior()
        return Decision(self.temperature, (mix.log() - own).float().to(self.device))

    def predict(
        self,
        images: Any,
        *,
        top_k: int = 1,
        prior: Prior | None = None,
        abstain_below: float | None = None,
        views: int = 1,
    ) -> pd.DataFrame:
        """What each image shows.

        Args:
            images: paths of files and folders, or images in memory; see `items_of`. A folder stands for its images in
                sorted order.
            top_k: classes named for each image, >= 1; all of them where there are fewer.
            prior: "uniform", "train", a file or class -> weight: the class prior expected in use.
            abstain_below: leave `label` empty where the confidence is below this, in [0, 1].
            views: how many views of each image are asked about and their probabilities averaged: 1, the image; 2, and
                its mirror image; 5, the image and its corners; 10, these and their mirror images. Mirror images only
                where training showed some.

        Returns:
            One row an image, in the order given, however often it is given: path (`image N` for what lies in memory),
            label, confidence, agreement (share of the experts that choose the best class), expert_1 ... expert_M, then
            label_2, confidence_2, ...; with `abstain_below` also abstained and best_label; with several views
            also views, their number. Probabilities are in [0, 1]
            and calibrated, where the run has a temperature. No image gives no row.

        Raises:
            InputError: something that is no image is given, a folder holds none, or none at all can be read.

        The row of an image that cannot be read has its path alone, and a warning names it. Others name images that
        are damaged beside their pixels and used, and files of a folder that could be images and are left out.
        """
        bad: Unreadable = []
        repaired: Unreadable = []
        beside = Collector()
        named, tabling = named_images(images, beside), self._tabling(top_k, prior, abstain_below, views)
        tables = [tabling(part) for part in self._infer(named, bad, repaired, views)] or [
            tabling(self._nothing())
        ]
        table = pd.concat(tables, ignore_index=True)
        if bad:
            if len(bad) == len(table):
                raise unreadable_error(bad)
            rows = "its row is empty" if len(bad) == 1 else "their rows are empty"
            warnings.warn(unreadable_warning(bad, rows), stacklevel=2)
        _warn_of_repaired(repaired)
        _warn_of_left_out(beside)
        return table

    def predict_proba(
        self, images: Any, *, prior: Prior | None = None, views: int = 1
    ) -> Float[np.ndarray, "n c"]:
        """Calibrated probabilities (N, C), a row an image as in `predict`; one that cannot be read is refused."""
        beside = Collector()
        found = self.probabilities(named_images(images, beside), prior=prior, views=views)
        _warn_of_left_out(beside)
        return found

    def probabilities(
        self, images: Iterable[tuple[str, Encoded]], *, prior: Prior | None = None, views: int = 1
    ) -> Float[np.ndarray, "n c"]:
        """`predict_proba` of named images, in files or in memory."""
        bad: Unreadable = []
        repaired: Unreadable = []
        decision = self.decision(prior)
        said = self._infer(images, bad, repaired, views)
        parts = [finite(decision(part.logits).softmax(dim=-1)).cpu() for part in said]
        if bad:
            raise unreadable_error(bad)
        _warn_of_repaired(repaired)
        return torch.cat([self._nothing().logits.cpu(), *parts]).numpy()

    def stream(
        self,
        paths: Iterable[str | Path],
        unreadable: Unreadable,
        repaired: Unreadable,
        *,
        top_k: int = 1,
        prior: Prior | None = None,
        abstain_below: float | None = None,
        views: int = 1,
    ) -> Iterator[pd.DataFrame]:
        """`predict` in pieces, so that any number of images takes the same memory.

        Args:
            paths: image files, taken as they are needed.
            unreadable: filled with (path, reason) of those whose row has their path alone.
            repaired: filled with (path, what was ignored) of those that are damaged beside their pixels.
            top_k: see `predict`, as are the others.
            prior: the class prior.
            abstain_below: least confidence.
            views: of each image.
        """
        tabling = self._tabling(top_k, prior, abstain_below, views)
        named = ((str(path), Path(path)) for path in paths)
        return (tabling(part) for part in self._infer(named, unreadable, repaired, views))

    def _tabling(self, top_k: int, prior: Prior | None, abstain_below: float | None, views: int) -> Tabling:
        if top_k < 1:
            raise InputError(f"top_k is {top_k}; give 1 or more")
        if abstain_below is not None and not 0 <= abstain_below <= 1:
            raise InputError(f"abstain_below is {abstain_below}; give a confidence from 0 to 1")
        return Tabling(self.classes, self.decision(prior), top_k, abstain_below, views)

    def _nothing(self) -> Part:
        """A part without images."""
        none = torch.empty((self.num_experts, 0, len(self.classes)), device=self.device)
        return Part((), [], none[0], none)

    def _infer(
        self, images: Iterable[tuple[str, Encoded]], unreadable: Unreadable, repaired: Unreadable, views: int
    ) -> Iterator[Part]:
        """The images in their order, a part at a time."""
        check_views(views, flips=self.flips)
        remaining, size, waiting = iter(images), self.batch_size, deque[tuple[tuple[str, ...], list[int]]]()
        nothing = self._nothing()

        def loaded() -> Iterator[Batch]:
            while chunk := list(islice(remaining, size)):
                encoded = (image for _, image in chunk)
                found = decode_all(
                    encoded, len(chunk), self.description["image_size"], bits=self.bits, framing=self.framing
                )
                pixels, bad = found.images, found.bad
                names = tuple(name for name, _ in chunk)
                unreadable.extend((names[row], reason) for row, reason in bad.items())
                repaired.extend((names[row], what) for row, what in found.repaired.items())
                waiting.append((names, [row for row in range(len(chunk)) if row not in bad]))
                if len(pixels):
                    index = torch.arange(len(pixels), device=self.device)
                    yield Batch(pixels.to(self.device), torch.zeros_like(index), index)

        for _, logits, each in averaged(self.infer, loaded(), views, self.temperature):
            while not waiting[0][1]:
                yield Part(*waiting.popleft(), nothing.logits, nothing.each)
            yield Part(*waiting.popleft(), logits, each)
        for part in waiting:
            yield Part(*part, nothing.logits, nothing.each)


def _warn_of_repaired(repaired: Unreadable) -> None:
    if repaired:
        warnings.warn(" ".join(line.strip() for line in repaired_lines(repaired)), stacklevel=3)


def _warn_of_left_out(beside: Collector) -> None:
    if lost := [one.line() for one in beside.found() if one.is_problem]:
        warnings.warn("; ".join(lost), stacklevel=3)
