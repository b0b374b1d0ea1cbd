"""Temperature scaling of a trained network, fitted on images that it was not trained on."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from longtail.augment import Augment
from longtail.data import Split, batches
from longtail.engine.evaluate import infer
from longtail.method import Method
from longtail.metrics import (
    COLDEST,
    HOTTEST,
    fit_temperature,
    temperature_interval,
    why_no_temperature,
)
from longtail.models import ExpertModel

MOST = 10_000  # images; more make no difference
THIN = 10  # images of a class, below which a temperature says little of it
ROUGH = 2.0  # times the lower end of the interval that the upper end of a rough temperature is
UNSETTLED = (
    100.0  # times, from where a temperature says nothing: ten times of it and a tenth would fit as well
)
MOST_LOGITS = 20_000_000  # in memory, several times over, where classes are many


class Fit(NamedTuple):
    """A fitted temperature, with the images that it was fitted on.

    Attributes:
        temperature: None where the images settle none.
        interval: where 95 % of the temperatures of other such images would lie.
        why: the reason where there is none.
        images: how many were used.
        classes: how many of the classes these show.
        thin: how many of all classes have fewer than 10 of them, or none.
    """

    temperature: float | None
    interval: tuple[float, float] | None
    why: str
    images: int
    classes: int
    thin: int = 0

    @property
    def basis(self) -> str:
        """What a temperature rests on, and how far it may be off."""
        low, high = self.interval or (0.0, 0.0)
        images = f"{self.images:,} image{'s' * (self.images != 1)}"
        classes = f"{self.classes:,} class{'es' * (self.classes != 1)}"
        return f"{images} of {classes}, 95 % interval {low:.3g} to {high:.3g}"

    @property
    def is_rough(self) -> bool:
        """Whether the ends of its interval are more than a factor of `ROUGH` apart."""
        return self.interval is not None and self.interval[1] > ROUGH * self.interval[0]

    @property
    def caveats(self) -> list[str]:
        """What to know before trusting the temperature."""
        apart = f"the upper end of its interval is more than {ROUGH:g} times the lower one"
        rough = [f"it is rough: {apart}"] if self.is_rough else []
        few = f"{self.thin:,} class{'es have' if self.thin > 1 else ' has'} fewer than {THIN} images there"
        return [
            *rough,
            *([f"{few}: it may not hold for {'these' if self.thin > 1 else 'it'}"] if self.thin else []),
        ]


def temperature_of(
    model: ExpertModel,
    method: Method,
    split: Split,
    augment: Augment,
    assumed_log_prior: Float[Tensor, " c"],
    *,
    bank: str,
    device: torch.device,
    batch_size: int,
    workers: int = 0,
) -> Fit:
    """Fit one temperature to the logits of all experts together; see `evaluate` for the arguments.

    The images come with a class prior of their own: long-tailed where they were held out of training, while the logits
    of many methods stand for balanced classes. So the logits are shifted to their class prior before the likelihood is
    taken; a temperature fitted without that would make up for the prior, and so be wrong for every other.

    Of more than 10,000 images (fewer where there are more than 2,000 classes) that many are used, evenly spread over
    the split.
    """
    count = len(split.targets)
    used = min(count, MOST, MOST_LOGITS // len(assumed_log_prior))
    rows = torch.arange(used) * count // max(1, used)
    stream = batches(split, rows, batch_size, device, workers=workers)
    parts = [(logits.cpu(), b.target.cpu()) for b, logits, _ in infer(model, method, stream, augment, bank)]
    if not parts:
        return Fit(None, None, "there are no images", 0, 0)
    logits, targets = (torch.cat(column) for column in zip(*parts, strict=True))
    thin = int((torch.bincount(split.targets, minlength=len(assumed_log_prior)) < THIN).sum())
    shares = torch.bincount(targets, minlength=logits.shape[1]).double()
    ratio = shares.log() - assumed_log_prior.cpu()
    found, classes = fit_temperature(logits, targets, ratio), int((shares > 0).sum())
    if found is None:
        return Fit(None, None, why_no_temperature(logits, targets, ratio), used, classes, thin)
    low, high = temperature_interval(logits, found, ratio)
    if high > UNSETTLED * low:
        why = f"any between {max(low, COLDEST):.2g} and {min(high, HOTTEST):.2g} would fit: give more images"
        return Fit(None, None, why, used, classes, thin)
    return Fit(found, (low, high), "", used, classes, thin)


def temperature_entry(temperature: float | None, fitted_on: str) -> dict[str, object]:
    """What the weights' description says of the temperature: its value, and the images that it comes from."""
    if temperature is None:
        return {"temperature": 1.0}
    return {"temperature": temperature, "temperature_from": fitted_on}
