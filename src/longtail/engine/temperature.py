"""The temperature of a trained network, from images that it was not trained on."""

import torch
from jaxtyping import Float
from torch import Tensor

from longtail.augment import Augment
from longtail.data import Split, batches
from longtail.engine.evaluate import infer
from longtail.method import Method
from longtail.metrics import fit_temperature
from longtail.models import ExpertModel

MOST = 10_000  # images; more make no difference
MOST_LOGITS = 20_000_000  # in memory, several times over, where classes are many


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
) -> float | None:
    """Fit one temperature to the logits of all experts together; see `evaluate` for the arguments.

    The images come with a class mix of their own: long-tailed where they were held out of training, while the logits
    of many methods stand for balanced classes. The mix is exchanged for theirs before their likelihood is taken; a
    temperature fitted without that would make up for the mix, and so be wrong for every other.

    Of more than 10,000 images (fewer where there are more than 2,000 classes) that many are used, evenly spread over
    the split.

    Returns:
        The temperature, or None where these images do not settle one; see `longtail.metrics.fit_temperature`.
    """
    count = len(split.targets)
    used = min(count, MOST, MOST_LOGITS // len(assumed_log_prior))
    rows = torch.arange(used) * count // max(1, used)
    stream = batches(split, rows, batch_size, device, workers=workers)
    parts = [(logits.cpu(), b.target.cpu()) for b, logits, _ in infer(model, method, stream, augment, bank)]
    if not parts:
        return None
    logits, targets = (torch.cat(column) for column in zip(*parts, strict=True))
    shares = torch.bincount(targets, minlength=logits.shape[1]).double()
    return fit_temperature(logits, targets, shares.log() - assumed_log_prior.cpu())


def temperature_entry(temperature: float | None, fitted_on: str) -> dict[str, object]:
    """What the weights' description says of the temperature: its value, and the images that it comes from."""
    if temperature is None:
        return {"temperature": 1.0}
    return {"temperature": temperature, "temperature_from": fitted_on}
