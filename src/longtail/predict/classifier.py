"""A trained run as a classifier of images: predictions with the experts' votes, and further evaluation."""

import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8

from longtail.augment import Augment
from longtail.data import read_images
from longtail.engine.decision import Decision
from longtail.engine.evaluate import Predictions, evaluate, evaluation_batch, infer
from longtail.engine.run_folder import RunFolder
from longtail.engine.runtime import start_runtime
from longtail.engine.scores import Classes, prediction_table, withhold, write_evaluation
from longtail.engine.temperature import temperature_entry, temperature_of
from longtail.method import Method
from longtail.models import build_model
from longtail.predict.evaluated import Evaluated
from longtail.predict.prior import Prior, class_mix, prior_name
from longtail.predict.sources import ImageSources, Sources
from longtail.predict.unreadable import Unreadable, unreadable_error, unreadable_lines
from longtail.predict.weights import (
    Tensors,
    read_weights,
    rebuild,
    training_counts,
    weights_digest,
    write_description,
)
from longtail.recipe import Recipe, load_recipe
from longtail.types import Batch, InputError


def load(run: str | Path, *, device: str = "auto") -> "Classifier":
    """The classifier that a run has trained, or has trained so far.

    Args:
        run: the run folder.
        device: "auto", "cpu" or "cuda".

    Raises:
        InputError: it is no run folder, or has no weights yet.
    """
    return Classifier(RunFolder(run), device)


class Classifier:
    """A run's network with its classes; made by `load`.

    Attributes:
        classes: C names.
        num_experts: M.
        model: the network: M experts' features and logits of normalised images.
        device: where it runs.
        description: what rebuilds the network for prediction, as in weights/model.json.
        note: what to know before trusting it: the run is not finished; None where there is nothing to say.
    """

    def __init__(self, folder: RunFolder, device: str) -> None:
        self.folder, self._status = folder, folder.status()
        self.recipe: Recipe = load_recipe(str(folder.path / "recipe.toml"))[0]
        self.description, tensors = read_weights(folder.path)
        self.classes: tuple[str, ...] = tuple(self.description["classes"])
        self.device = start_runtime(device, "fp32").device
        model, method_state = rebuild(self.description, tensors)
        self.model = model.to(memory_format=torch.channels_last).to(self.device)
        self.num_experts = self.model.num_experts
        counts = training_counts(folder, self.classes)
        self._method = self.recipe.build_method(counts, self.model.feature_dim).to(self.device)
        self._start_method(method_state)
        self._stage = next(s for s in reversed(self.recipe.stages()) if s.bank == self.description["bank"])
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

    @property
    def temperature(self) -> float:
        """What logits are divided by before the softmax; 1 where none was fitted."""
        return float(self.description.get("temperature", 1.0))

    def mix(self, prior: Prior | None) -> dict[str, float] | None:
        """The share of each class that a prior stands for, in the order of `classes`; None for None."""
        if prior is None:
            return None
        shares = class_mix(prior, self.classes, self._known.counts).tolist()
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
        own = self._method.assumed_log_prior(self._stage).cpu().double().log_softmax(dim=-1)
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
        bad: Unreadable = []
        decision = self.decision(prior)
        parts = [
            decision(logits).softmax(dim=-1).cpu().numpy()
            for _, logits, _ in self._infer(ImageSources(sources), bad)
        ]
        if bad:
            raise unreadable_error(bad)
        return np.concatenate(parts)

    def logits(
        self, images: UInt8[torch.Tensor, "b 3 s s"]
    ) -> tuple[Float[torch.Tensor, "b c"], Float[torch.Tensor, "m b c"]]:
        """What is said of images in memory, with gradients where these are on.

        Args:
            images: of the size that the network takes.

        Returns:
            The calibrated joint logits, whose softmax are the probabilities, and each expert's own.
        """
        pixels = self._augment.normalize(images.to(self.device))
        output = self.model(pixels, bank=self.description["bank"])
        temperature = self.description.get("temperature", 1.0)
        return self._method.logits(output) / temperature, self._method.expert_logits(output)

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
        for ids, logits, each in self._infer(paths, unreadable):
            predictions = Predictions.joined([Predictions.of(logits, each, top_k, decision)])
            table = prediction_table(ids, predictions, self.classes)
            yield table if abstain_below is None else withhold(table, abstain_below)

    def evaluate(
        self, data: str | Path | None = None, *, strict: bool = False, prior: Prior | None = None
    ) -> dict[str, Any]:
        """Evaluate and write `eval/<split>/` into the run folder; see `longtail.evaluate`."""
        decision = self.decision(prior)
        name, split, _ = self._images.own(strict) if data is None else self._images.other(Path(data), strict)
        evaluation = evaluate(self.model, self._method, split, self._augment, **self._how, decision=decision)
        more = {
            "split": name if prior is None else f"{name}-prior-{prior_name(prior)}",
            "epoch": self.description["epoch"],
            "reuse_features": self.recipe.run.reuse_features,
            "unknown_classes": dict(split.unknown_classes),
            "unreadable": [f"{path} ({reason})" for path, reason in split.unreadable],
        }
        if "temperature_from" in self.description:
            more["temperature_from"] = self.description["temperature_from"]
        if data is not None:
            more["data"] = str(Path(data).resolve())
        if prior is not None:
            more["prior"] = self.mix(prior)
        return write_evaluation(self.folder, str(more["split"]), split, self._known, evaluation, more)

    def calibrate(self, data: str | Path | None = None, *, strict: bool = False) -> float:
        """Fit the temperature anew, use it from now on, and write it into the run's weights.

        Args:
            data: a root with `test/` or a tree of class folders with images that the run was not trained on; default:
                the run's own validation part.
            strict: refuse unreadable images, unknown classes and classes without images.

        Returns:
            The temperature.

        Raises:
            InputError: the run has no validation part, or the images do not settle a temperature.
        """
        if data is None:
            name, split, _ = self._images.validation(strict)
        else:
            name, split, _ = self._images.other(Path(data), strict)
        found = temperature_of(self.model, self._method, split, self._augment, **self._how)
        if found is None:
            raise InputError(
                f"{len(split.targets)} images of {name} settle no temperature: all of them are named rightly, or no "
                "better than by chance; give more images with --data PATH"
            )
        self.description |= temperature_entry(found, name)
        write_description(self.folder, self.description)
        return found

    @property
    def fingerprint(self) -> str:
        """Changes with the weights and with the temperature."""
        return weights_digest(self.folder.path)

    @property
    def _images(self) -> Evaluated:
        return Evaluated(self.folder, self.recipe, self.classes, self.description["image_size"])

    @property
    def _how(self) -> dict[str, Any]:
        return {
            "bank": self.description["bank"],
            "device": self.device,
            "batch_size": self._batch_size,
            "workers": self.recipe.data.workers,
        }

    def _start_method(self, state: Tensors) -> None:
        """Bring the method to where training left it, by way of a network of the shape that it was started with."""
        if type(self._method).start is not Method.start:
            banks = tuple(dict.fromkeys(stage.bank for stage in self.recipe.stages()))
            self._method.start(build_model(self.recipe.model, len(self.classes), banks).to(self.device))
        if state:
            self._method.load_state_dict(state)

    def _infer(
        self, paths: Iterable[Path], unreadable: Unreadable
    ) -> Iterator[tuple[tuple[str, ...], torch.Tensor, torch.Tensor]]:
        """For each batch the paths, the joint logits (B, C) and each expert's logits (M, B, C)."""
        remaining, size, names = iter(paths), self._batch_size, deque[tuple[str, ...]]()

        def loaded() -> Iterator[Batch]:
            while chunk := list(islice(remaining, size)):
                images, bad = read_images(chunk, self.description["image_size"])
                unreadable.extend(bad)
                skipped = {path for path, _ in bad}
                names.append(tuple(str(path) for path in chunk if str(path) not in skipped))
                if names[-1]:
                    index = torch.arange(len(images), device=self.device)
                    yield Batch(images.to(self.device), torch.zeros_like(index), index)
                else:
                    names.pop()

        bank = self.description["bank"]
        for _, logits, each in infer(self.model, self._method, loaded(), self._augment, bank):
            yield names.popleft(), logits, each
