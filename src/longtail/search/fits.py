"""Cross-validation of linear classifiers on features, over the strength of the class prior and weight decay."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Int64
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import cross_entropy

from longtail.engine.display import Display
from longtail.runs.schema import Trial
from longtail.search.linear import can_be_judged, coordinates, cross_validated
from longtail.search.record import trial

FOLDS = 4  # so that each classifier sees as large a part as a short training does
BEGUN_AT = 0.1  # weight decay that is tried first
DECAYS = (0.3, 1.0, 3.0, 0.03, 0.01)
TAUS = (0.5, 1.5)  # strengths of the class counts that are tried beside 0 and 1
AFTER = (0.0, 0.5, 1.0, 1.5)  # the same after plain training
Right = Bool[ndarray, " n"]


@dataclass(frozen=True)
class Fit:
    """A linear classifier of one strength and weight decay, cross-validated.

    Attributes:
        name: what it is, in words.
        settings: keys of the recipe that trains it.
        tau: strength of the class prior.
        decay: weight decay.
        right: (K,) whether each judged image was classified correctly, by a classifier that did not see it.
        loss: mean log loss over the classes.
        seconds: that it took.
    """

    name: str
    settings: Mapping[str, Any]
    tau: float
    decay: float
    right: Right
    loss: float
    seconds: float

    @property
    def kind(self) -> str:
        """What it is but for the decay."""
        return self.name.rpartition(",")[0]


class Fits:
    """Classifiers of several strengths of class counts and decay, cross-validated while there is time."""

    def __init__(
        self,
        features: Float[Tensor, "n d"],
        targets: Int[Tensor, " n"],
        num_classes: int,
        fold: Int[Tensor, " n"],
        until: float,
        display: Display,
        units: Int64[ndarray, " n"] | None = None,
    ) -> None:
        self.x, self.targets, self.fold, self.classes = coordinates(features), targets, fold, num_classes
        self.until, self.display = until, display
        self.judged: Right = can_be_judged(targets, fold).numpy()
        self.truth = self.targets.numpy()[self.judged]
        self.units = None if units is None else units[self.judged]
        self.fits: list[Fit] = []
        self.fitted = 0

    def run(self) -> Fit:
        """The best of what there is time for: strengths 1 and 0 of class counts with each decay, then all others.

        The others begin with the decay that is best, so that a comparison that ends early has tried the likeliest.
        """
        decays = (BEGUN_AT, *DECAYS)
        if self._all([(tau, decay) for decay in decays for tau in (1.0, 0.0)]):
            best = self.best.decay
            nearest = sorted(decays, key=lambda decay: abs(math.log(decay / best)))
            self._all([(tau, decay) for decay in nearest for tau in TAUS])
        return self.best

    def _all(self, wanted: Sequence[tuple[float, float]]) -> bool:
        """Fit these while there is time and something to judge by; whether all were. The very first always is."""
        total = (1 + len(DECAYS)) * (2 + len(TAUS))
        for tau, decay in wanted:
            if self.fits and (not self.judged.any() or time.monotonic() > self.until):
                return False
            self.display.work("comparing classifiers", self.fitted, total)
            self._fit(tau, decay)
        return True

    def _fit(self, tau: float, decay: float) -> None:
        started = time.monotonic()
        after = AFTER if tau == 0 else (0.0,)
        said = cross_validated(self.x, self.targets, self.fold, self.classes, tau, decay, after)
        seconds = time.monotonic() - started
        self.fitted += 1
        for strength, logits in zip(after, said, strict=True):
            right = (logits.argmax(1) == self.targets).numpy()
            loss = self._loss(logits)
            name, settings = _named(tau, strength)
            whole = settings | {"optim.weight_decay": decay}
            self.fits.append(
                Fit(f"{name}, decay {decay:g}", whole, tau or strength, decay, right, loss, seconds)
            )

    def _loss(self, logits: Float[Tensor, "n c"]) -> float:
        """Mean over classes of the mean log loss of the images of each.

        It is what classifiers are chosen by: macro recall jumps by whole per cents with one image of a rare class.
        """
        truth = self.targets[self.judged]
        losses = cross_entropy(logits[self.judged], truth, reduction="none")
        images = torch.bincount(truth, minlength=self.classes)
        sums = torch.zeros(self.classes).index_add_(0, truth, losses)
        return float((sums / images.clamp_min(1)).sum() / (images > 0).sum().clamp_min(1))

    @property
    def best(self) -> Fit:
        """That of the least loss, the first of equal ones."""
        return min(self.fits, key=lambda fit: fit.loss)

    def trials(self, best: Fit) -> tuple[Trial, ...]:
        """Of each method and strength the best decay, the best first; differences are to that."""
        if not self.judged.any():
            return ()
        shown: dict[str, Fit] = {}
        for one in sorted(self.fits, key=lambda fit: fit.loss):
            shown.setdefault(one.kind, one)
        return tuple(self._trial(one, best) for one in shown.values())

    def _trial(self, one: Fit, best: Fit) -> Trial:
        kind = one.kind
        decays = len({fit.decay for fit in self.fits if fit.kind == kind})
        how = f"{FOLDS} folds, the best of {decays} decays" if decays > 1 else f"{FOLDS} folds"
        how += f", log loss {one.loss:.2f}"
        base = None if one is best else best.right[self.judged]
        named = one.name, one.settings, how
        right, chosen = one.right[self.judged], one is best
        return trial(named, right, base, self.truth, one.seconds, chosen=chosen, units=self.units)


def _named(tau: float, after: float) -> tuple[str, dict[str, Any]]:
    if tau == 0 and after == 0:
        return "cross-entropy", {"method.name": "cross_entropy"}
    if tau == 0:
        return f"cross-entropy, logits adjusted by {after:g}", {
            "method.name": "logit_adjustment",
            "method.tau": after,
        }
    name = "balanced softmax" if tau == 1 else f"balanced softmax with tau {tau:g}"
    return name, {"method.name": "balanced_softmax", "method.tau": tau}
