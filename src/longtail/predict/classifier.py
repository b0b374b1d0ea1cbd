"""A trained run as a classifier of images: predictions with the experts' votes, and further evaluation."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from longtail.augment import Augment
from longtail.data import find_images, read_images
from longtail.engine.evaluate import Predictions, evaluate, evaluation_batch, infer
from longtail.engine.runtime import start_runtime
from longtail.engine.scores import Classes, prediction_table, write_evaluation
from longtail.method import Method
from longtail.models import build_model
from longtail.predict.evaluated import Evaluated
from longtail.predict.stored import Stored
from longtail.predict.unreadable import Unreadable, unreadable_error, unreadable_lines
from longtail.predict.weights import Tensors, rebuild
from longtail.types import Batch, InputError

Sources = str | Path | Iterable[str | Path]


class Classifier:
    """A run's network with its classes; made by `load`.

    Attributes:
        classes: C names.
        num_experts: M.
        model: the network: M experts' features and logits of normalised images.
        method: the method of its training, which makes predictions of logits.
        device: where it runs.
        description: what rebuilds the network for prediction, as in weights/model.json.
        note: what to know before trusting it: the run is not finished; None where there is nothing to say.
    """

    def __init__(self, stored: Stored, device: str) -> None:
        self.folder, self._status, self.recipe = stored.folder, stored.status, stored.recipe
        self.description, counts = stored.description, stored.class_counts
        self.classes: tuple[str, ...] = tuple(self.description["classes"])
        self.device = start_runtime(device, "fp32").device
        model, method_state = rebuild(self.description, stored.tensors)
        self.model = model.to(memory_format=torch.channels_last).to(self.device)
        self.num_experts = self.model.num_experts
        self.method = self.recipe.build_method(counts, self.model.feature_dim).to(self.device)
        self._start_method(method_state)
        o = self.recipe.data
        self._known = Classes(self.classes, counts, o.many_above, o.few_below)
        self._augment = Augment((), self.description["mean"], self.description["std"])

    @property
    def note(self) -> str | None:
        s = self._status
        if s["status"] == "done":
            return None
        return (
            f"{self.folder.path} is not finished: using its weights after epoch {self.description['epoch']} "
            f"of {s['epochs']}"
        )

    @property
    def _batch_size(self) -> int:
        size = self.description["image_size"]
        return evaluation_batch(self.recipe.run.evaluate_batch_size, self.device, size)

    def predict(self, sources: Sources, *, top_k: int = 1) -> pd.DataFrame:
        """What each image shows.

        Args:
            sources: image files and folders, searched through.
            top_k: classes named for each image, >= 1.

        Returns:
            One row an image: path, label, confidence, agreement (share of the experts that choose the label),
            expert_1 ... expert_M, then label_2, confidence_2, ... Probabilities are in [0, 1].

        Raises:
            InputError: a source does not exist or holds no image, or no image at all can be read.

        Images that cannot be read are left out and named in a warning.
        """
        bad: Unreadable = []
        tables = list(self.stream(_find(sources), bad, top_k=top_k))
        if not tables:
            raise unreadable_error(bad)
        if bad:
            warnings.warn(f"{unreadable_error(bad)}: {', '.join(unreadable_lines(bad))}", stacklevel=2)
        return pd.concat(tables, ignore_index=True)

    def predict_proba(self, sources: Sources) -> np.ndarray:
        """Probabilities (N, C), in the order of `predict`; an image that cannot be read is refused."""
        bad: Unreadable = []
        parts = [logits.softmax(dim=-1).cpu().numpy() for _, logits, _ in self._infer(_find(sources), bad)]
        if bad:
            raise unreadable_error(bad)
        return np.concatenate(parts)

    def stream(
        self, paths: Sequence[Path], unreadable: Unreadable, *, top_k: int = 1
    ) -> Iterator[pd.DataFrame]:
        """`predict` in pieces, so that any number of images takes the same memory.

        Args:
            paths: image files.
            unreadable: filled with (path, reason) of the images that are left out.
            top_k: see `predict`.
        """
        if top_k < 1:
            raise InputError(f"top_k is {top_k}; give 1 or more")
        for ids, logits, each in self._infer(paths, unreadable):
            predictions = Predictions.joined([Predictions.of(logits, each, top_k)])
            yield prediction_table(ids, predictions, self.classes)

    def evaluate(self, data: str | Path | None = None, *, strict: bool = False) -> dict[str, Any]:
        """Evaluate and write `eval/<split>/` into the run folder; see `longtail.evaluate`."""
        images = Evaluated(self.folder, self.recipe, self.classes, self.description["image_size"])
        name, split, _ = images.own(strict) if data is None else images.other(Path(data), strict)
        counts, predictions = evaluate(
            self.model, self.method, split, self._augment,
            bank=self.description["bank"], device=self.device,
            batch_size=self._batch_size, workers=self.recipe.data.workers,
        )  # fmt: skip
        more = {
            "split": name,
            "epoch": self.description["epoch"],
            "reuse_features": self.recipe.run.reuse_features,
            "unknown_classes": dict(split.unknown_classes),
            "unreadable": [f"{path} ({reason})" for path, reason in split.unreadable],
        }
        if data is not None:
            more["data"] = str(Path(data).resolve())
        return write_evaluation(self.folder, name, split, self._known, counts, predictions, more)

    def _start_method(self, state: Tensors) -> None:
        """Bring the method to where training left it, by way of a network of the shape that it was started with."""
        if type(self.method).start is not Method.start:
            banks = tuple(dict.fromkeys(stage.bank for stage in self.recipe.stages()))
            self.method.start(build_model(self.recipe.model, len(self.classes), banks).to(self.device))
        if state:
            self.method.load_state_dict(state)

    def infer(self, stream: Iterator[Batch]) -> Iterator[tuple[Batch, torch.Tensor, torch.Tensor]]:
        """Batches with their joint logits (B, C) and each expert's logits (M, B, C), as the method gives them."""
        return infer(self.model, self.method, stream, self._augment, self.description["bank"])

    def _infer(
        self, paths: Sequence[Path], unreadable: Unreadable
    ) -> Iterator[tuple[tuple[str, ...], torch.Tensor, torch.Tensor]]:
        """For each batch the paths, the joint logits (B, C) and each expert's logits (M, B, C)."""
        size = self._batch_size

        def loaded() -> Iterator[Batch]:
            for start in range(0, len(paths), size):
                chunk = paths[start : start + size]
                images, bad = read_images(chunk, self.description["image_size"])
                unreadable.extend(bad)
                skipped = {path for path, _ in bad}
                rows = [start + n for n, path in enumerate(chunk) if str(path) not in skipped]
                if rows:
                    index = torch.tensor(rows, device=self.device)
                    yield Batch(images.to(self.device), torch.zeros_like(index), index)

        for batch, logits, each in self.infer(loaded()):
            ids = tuple(str(paths[row]) for row in batch.index.tolist())
            yield ids, logits, each


def _find(sources: Sources) -> list[Path]:
    return find_images([sources] if isinstance(sources, str | Path) else list(sources))
