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

from longtail.data.images import decode_all
from longtail.data.opening import Encoded
from longtail.engine.decision import Decision
from longtail.engine.evaluate import Predictions
from longtail.engine.scores import prediction_table, withhold
from longtail.predict.prior import Prior, class_mix
from longtail.predict.sources import ImageSources, Sources
from longtail.predict.unreadable import Unreadable, unreadable_error, unreadable_lines
from longtail.types import Batch, InputError

Answers = Iterator[tuple[Batch, Tensor, Tensor]]
"""Batches with the joint logits (B, C) and each expert's logits (M, B, C)."""


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
    def fingerprint(self) -> str:
        """Changes with the weights and with the temperature."""

    @abstractmethod
    def infer(self, stream: Iterator[Batch]) -> Answers:
        """What the experts say of batches of uint8 images, before temperature and class mix."""

    @abstractmethod
    def assumed_log_prior(self) -> Float[Tensor, " c"]:
        """(C,) float64 log of the shares of the classes that the answers stand for."""

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
            prior: the class mix expected in use, see `class_mix`; None leaves predictions as the method gives them.
        """
        shares = self.mix(prior)
        if shares is None:
            return Decision(self.temperature)
        mix = torch.tensor(list(shares.values()), dtype=torch.float64)
        own = self.assumed_log_prior()
        return Decision(self.temperature, (mix.log() - own).float().to(self.device))

    def predict(
        self,
        sources: Sources,
        *,
        top_k: int = 1,
        prior: Prior | None = None,
        abstain_below: float | None = None,
    ) -> pd.DataFrame:
        """What each image shows.

        Args:
            sources: image files and folders, searched through.
            top_k: classes named for each image, >= 1.
            prior: "uniform", "train", a file or class -> weight: the class mix expected in use.
            abstain_below: leave `label` empty where the confidence is below this, in [0, 1].

        Returns:
            One row an image: path, label, confidence, agreement (share of the experts that choose the best class),
            expert_1 ... expert_M, then label_2, confidence_2, ...; with `abstain_below` also abstained and
            best_label. Probabilities are in [0, 1] and calibrated, where the run has a temperature.

        Raises:
            InputError: a source does not exist or holds no image, or no image at all can be read.

        Images that cannot be read are left out and named in a warning.
        """
        bad: Unreadable = []
        given = {"top_k": top_k, "prior": prior, "abstain_below": abstain_below}
        tables = list(self.stream(ImageSources(sources), bad, **given))  # type: ignore[arg-type]
        if not tables:
            raise unreadable_error(bad)
        if bad:
            warnings.warn(f"{unreadable_error(bad)}: {', '.join(unreadable_lines(bad))}", stacklevel=2)
        return pd.concat(tables, ignore_index=True)

    def predict_proba(self, sources: Sources, *, prior: Prior | None = None) -> np.ndarray:
        """Calibrated probabilities (N, C), in the order of `predict`; an image that cannot be read is refused."""
        return self.probabilities(_named(ImageSources(sources)), prior=prior)

    def probabilities(
        self, images: Iterable[tuple[str, Encoded]], *, prior: Prior | None = None
    ) -> np.ndarray:
        """`predict_proba` of named images, in files or in memory; at least one."""
        bad: Unreadable = []
        decision = self.decision(prior)
        parts = [decision(logits).softmax(dim=-1).cpu().numpy() for _, logits, _ in self._infer(images, bad)]
        if bad:
            raise unreadable_error(bad)
        return np.concatenate(parts)

    def stream(
        self,
        paths: Iterable[Path],
        unreadable: Unreadable,
        *,
        top_k: int = 1,
        prior: Prior | None = None,
        abstain_below: float | None = None,
    ) -> Iterator[pd.DataFrame]:
        """`predict` in pieces, so that any number of images takes the same memory.

        Args:
            paths: image files, taken from it as they are needed.
            unreadable: filled with (path, reason) of the images that are left out.
            top_k: see `predict`, as are the others.
            prior: the class mix.
            abstain_below: least confidence.
        """
        if top_k < 1:
            raise InputError(f"top_k is {top_k}; give 1 or more")
        if abstain_below is not None and not 0 <= abstain_below <= 1:
            raise InputError(f"abstain_below is {abstain_below}; give a confidence from 0 to 1")
        decision = self.decision(prior)
        for ids, logits, each in self._infer(_named(paths), unreadable):
            predictions = Predictions.joined([Predictions.of(logits, each, top_k, decision)])
            table = prediction_table(ids, predictions, self.classes)
            yield table if abstain_below is None else withhold(table, abstain_below)

    def _infer(
        self, images: Iterable[tuple[str, Encoded]], unreadable: Unreadable
    ) -> Iterator[tuple[tuple[str, ...], torch.Tensor, torch.Tensor]]:
        """For each batch the names, the joint logits (B, C) and each expert's logits (M, B, C)."""
        remaining, size, names = iter(images), self.batch_size, deque[tuple[str, ...]]()

        def loaded() -> Iterator[Batch]:
            while chunk := list(islice(remaining, size)):
                encoded = (image for _, image in chunk)
                pixels, bad, _ = decode_all(encoded, len(chunk), self.description["image_size"])
                unreadable.extend((chunk[row][0], reason) for row, reason in bad.items())
                if len(pixels):
                    names.append(tuple(name for row, (name, _) in enumerate(chunk) if row not in bad))
                    index = torch.arange(len(pixels), device=self.device)
                    yield Batch(pixels.to(self.device), torch.zeros_like(index), index)

        for _, logits, each in self.infer(loaded()):
            yield names.popleft(), logits, each


def _named(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    return ((str(path), path) for path in paths)
