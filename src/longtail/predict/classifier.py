"""A trained run as a classifier of images: predictions with the experts' votes, and further evaluation."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from longtail.augment import Augment
from longtail.data import Split
from longtail.engine.evaluate import evaluate, evaluation_batch, infer
from longtail.engine.runtime import start_runtime
from longtail.engine.scores import Classes, write_evaluation
from longtail.engine.several_views import Answers, check_views
from longtail.engine.temperature import Fit, temperature_entry, temperature_of
from longtail.method import Stage
from longtail.models import build_model, fold_batch_norm
from longtail.predict.evaluated import Evaluated
from longtail.predict.predictor import Predictor
from longtail.predict.prior import Prior, prior_name
from longtail.predict.stored import Stored
from longtail.predict.weights import Tensors, misfit, read_weights, rebuild, weights_digest, write_description
from longtail.types import Batch, InputError

UNKNOWN = (
    "the run does not list what its training images hold, so whether it was trained on these is not known"
)


class Calibration(NamedTuple):
    """What a fitted temperature rests on.

    Attributes:
        temperature: > 0.
        fit: the images and the interval.
        images: their name.
        trained_on: how many more were left out because the run was trained on them; None where that is not known.
    """

    temperature: float
    fit: Fit
    images: str
    trained_on: int | None

    def lines(self) -> list[str]:
        """What to know before trusting it."""
        lines = []
        if self.trained_on is None:
            lines.append(UNKNOWN)
        elif self.trained_on:
            verb = "was" if self.trained_on == 1 else "were"
            lines.append(f"{self.trained_on:,} more {verb} trained on and left out")
        if self.fit.caveats:
            lines.append(f"the temperature: {'; '.join(self.fit.caveats)}; give more images")
        return lines


class Classifier(Predictor):
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
        self._stored, self.folder, self.recipe = stored, stored.folder, stored.recipe
        self.description, self.class_counts = stored.description, stored.class_counts
        self.classes = tuple(self.description["classes"])
        self.device = start_runtime(device, "fp32").device
        model, method_state = rebuild(self.description, stored.tensors)
        self.model = model.to(memory_format=torch.channels_last).to(self.device)
        self.num_experts = self.model.num_experts
        self.method = self.recipe.build_method(self.class_counts, self.model.feature_dim).to(self.device)
        self._start_method(method_state)
        self._stage = self._trained_last()
        o = self.recipe.data
        self._known = Classes(self.classes, self.class_counts, o.many_above, o.few_below)
        self._augment = Augment((), self.description["mean"], self.description["std"])

    @property
    def note(self) -> str | None:
        s = self._stored.status
        if s["status"] == "done":
            return None
        return (
            f"{self.folder.path} is not finished: using its weights after epoch {self.description['epoch']} "
            f"of {s['epochs']}"
        )

    @property
    def flips(self) -> bool:
        return any("flip" in options.augment for options in self.recipe.views().values())

    @property
    def batch_size(self) -> int:
        size = self.description["image_size"]
        return evaluation_batch(self.recipe.run.evaluate_batch_size, self.device, size)

    def logits(self, images: UInt8[Tensor, "b 3 s s"]) -> tuple[Float[Tensor, "b c"], Float[Tensor, "m b c"]]:
        """What is said of images in memory, with gradients where these are on.

        Args:
            images: of the size that the network takes.

        Returns:
            The calibrated joint logits, whose softmax are the probabilities, and each expert's own.
        """
        pixels = self._augment.normalize(images.to(self.device))
        output = self.model(pixels, bank=self.description["bank"])
        return self.method.logits(output) / self.temperature, self.method.expert_logits(output)

    def evaluate(
        self,
        data: str | Path | None = None,
        *,
        strict: bool = False,
        prior: Prior | None = None,
        views: int = 1,
    ) -> dict[str, Any]:
        """Evaluate and write `eval/<split>/` into the run folder; see `longtail.evaluate`."""
        self._need_run("evaluate its run")
        check_views(views, flips=self.flips)
        decision, mix = self.decision(prior), self.mix(prior)
        place = None if data is None else str(Path(data).resolve())
        name, split, notes = (
            self._images.own(strict) if data is None else self._images.other(Path(data), strict)
        )
        name = name if prior is None else f"{name}-prior-{prior_name(prior)}"
        name = name if views == 1 else f"{name}-views-{views}"
        how = {**self._how, "decision": decision, "views": views}
        evaluation = evaluate(self.model, self.method, split, self._augment, **how)
        more = {
            "split": self._images.free_name(name, place, mix),
            "epoch": self.description["epoch"],
            "reuse_features": self.recipe.run.reuse_features,
            "left_out": [one.contents() for one in notes.left_out],
        }
        if "temperature_from" in self.description:
            more["temperature_from"] = self.description["temperature_from"]
        if place is not None:
            known = self._trained_on(split, strict)
            more |= {"data": place, "trained_on": None if known is None else int(known.sum())}
        if mix is not None:
            more["prior"] = mix
        if views > 1:
            more["views"] = views
        return write_evaluation(self.folder, str(more["split"]), split, self._known, evaluation, more)

    def calibrate(self, data: str | Path | None = None, *, strict: bool = False) -> float:
        """`fit_temperature` and return the temperature; what to know before trusting it comes as a warning."""
        found = self.fit_temperature(data, strict=strict)
        for line in found.lines():
            warnings.warn(line, stacklevel=2)
        return found.temperature

    def fit_temperature(self, data: str | Path | None = None, *, strict: bool = False) -> Calibration:
        """Fit the temperature again, use it from now on, and write it into the run's weights.

        Args:
            data: a root with `test/` or a tree of class folders with images that the run was not trained on; default:
                the run's own validation split. Images that it was trained on are left out.
            strict: refuse unreadable images, unknown classes, classes without images, and images trained on.

        Raises:
            InputError: the run has no validation split, it was trained on more than half of the images, they do not
                settle a temperature, this is no run, or it is trained meanwhile.
        """
        self._need_run("calibrate its run and export it again")
        with self.folder.locked():
            return self._calibrate(data, strict)

    def _calibrate(self, data: str | Path | None, strict: bool) -> Calibration:
        if read_weights(self.folder.path)[0] != self.description:
            raise InputError(
                f"{self.folder.path} was trained or calibrated since it was loaded; load it again"
            )
        trained_on: int | None = 0
        if data is None:
            name, split, _ = self._images.validation(strict)
        else:
            name, split, _ = self._images.other(Path(data), strict)
            split, trained_on = self._not_trained_on(split, name, strict)
        prior = self.assumed_log_prior()
        fit = temperature_of(self.model, self.method, split, self._augment, prior, **self._how)
        if fit.temperature is None:
            images = f"{fit.images:,} image{'s' * (fit.images != 1)}"
            raise InputError(
                f"{images} of {name} settle no temperature: {fit.why}; give others with {self.words.data}"
            )
        self.description |= temperature_entry(fit.temperature, name)
        write_description(self.folder, self.description)
        return Calibration(fit.temperature, fit, name, trained_on)

    def _not_trained_on(self, split: Split, name: str, strict: bool) -> tuple[Split, int | None]:
        """The images without those that the run was trained on, and how many these are."""
        known = self._trained_on(split, strict)
        if known is None or not known.any():
            return split, None if known is None else 0
        count = int(known.sum())
        if count > len(split) / 2:
            raise InputError(
                f"{count:,} of {len(split):,} images of {name} were trained on, and of these a run is too sure; "
                f"give images that it was not trained on with {self.words.data}"
            )
        return split.take(torch.from_numpy(np.flatnonzero(~known))), count

    def _trained_on(self, split: Split, strict: bool) -> Bool[np.ndarray, " n"] | None:
        """Whether the run was trained on each image, None where that is not known; strict refuses such images."""
        known = self._images.trained_on(split)
        if strict and known is not None and known.any():
            raise InputError(
                f"{int(known.sum()):,} of {len(split):,} images were trained on; take them away or leave out "
                f"{self.words.strict}"
            )
        return known

    def _need_run(self, remedy: str) -> None:
        if not self._stored.is_run:
            raise InputError(f"{self.folder.path} was exported; {remedy}")

    def _trained_last(self) -> Stage:
        """The stage that the weights come from; older descriptions name its head bank alone."""
        name, bank = self.description.get("stage"), self.description["bank"]
        stages = [
            stage for stage in self.recipe.stages() if stage.bank == bank and name in (None, stage.name)
        ]
        if not stages:
            raise InputError(
                f"the weights of {self.folder.path} come from the stage {name!r}, which its method does not have any "
                "more; train again"
            )
        return stages[-1]

    def images(self, data: str | Path | None = None) -> Split:
        """The images that `evaluate` scores: the run's own test split, else its validation split, or others.

        Raises:
            InputError: there are none.
        """
        self._need_run("give its run")
        found = (
            self._images.own(strict=False) if data is None else self._images.other(Path(data), strict=False)
        )
        return found[1]

    def features(self, stream: Iterator[Batch]) -> Iterator[tuple[Batch, Float[Tensor, "m b d"]]]:
        """Batches of uint8 images with each expert's features of them (M, B, D)."""
        folded = fold_batch_norm(self.model)
        for batch in stream:
            with torch.inference_mode():
                features = folded.extract(self._augment.normalize(batch.image))
            yield batch, features

    def infer(self, stream: Iterator[Batch]) -> Answers:
        return infer(self.model, self.method, stream, self._augment, self.description["bank"])

    def assumed_log_prior(self) -> Float[Tensor, " c"]:
        return self.method.assumed_log_prior(self._stage).cpu().double().log_softmax(dim=-1)

    @property
    def fingerprint(self) -> str:
        """Changes with the weights and with the temperature."""
        return weights_digest(self._stored.weights)

    @property
    def _images(self) -> Evaluated:
        return Evaluated(self.folder, self.recipe, self.classes, self.description, self.words)

    @property
    def _how(self) -> dict[str, Any]:
        return {
            "bank": self.description["bank"],
            "device": self.device,
            "batch_size": self.batch_size,
            "workers": self.recipe.data.workers,
        }

    def _start_method(self, state: Tensors) -> None:
        """Bring the method to where training left it, by way of a network of the shape that it was started with."""
        if not state:
            return
        banks = tuple(dict.fromkeys(stage.bank for stage in self.recipe.stages()))
        self.method.start(build_model(self.recipe.model, len(self.classes), banks).to(self.device))
        try:
            self.method.load_state_dict(state)
        except RuntimeError as error:
            raise misfit(self.description, error) from None
