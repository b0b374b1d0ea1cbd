"""The temperature of a trained network, from images that it was not trained on."""

import torch

from longtail.augment import Augment
from longtail.data import Split, batches
from longtail.engine.evaluate import infer
from longtail.method import Method
from longtail.metrics import fit_temperature
from longtail.models import ExpertResNet

MOST = 10_000  # images; more make no difference, and their logits would fill memory where classes are many


def temperature_of(
    model: ExpertResNet,
    method: Method,
    split: Split,
    augment: Augment,
    *,
    bank: str,
    device: torch.device,
    batch_size: int,
    workers: int = 0,
) -> float | None:
    """Fit one temperature to the logits of all experts together; see `evaluate` for the arguments.

    Of more than 10,000 images that many are used, evenly spread over the split.

    Returns:
        The temperature, or None where these images do not settle one; see `longtail.metrics.fit_temperature`.
    """
    count = len(split.targets)
    rows = torch.arange(count) if count <= MOST else torch.arange(MOST) * count // MOST
    stream = batches(split, rows, batch_size, device, workers=workers)
    parts = [(logits.cpu(), b.target.cpu()) for b, logits, _ in infer(model, method, stream, augment, bank)]
    if not parts:
        return None
    logits, targets = (torch.cat(column) for column in zip(*parts, strict=True))
    return fit_temperature(logits, targets)


def temperature_entry(temperature: float | None, fitted_on: str) -> dict[str, object]:
    """What the weights' description says of the temperature: its value, and the images that it comes from."""
    if temperature is None:
        return {"temperature": 1.0}
    return {"temperature": temperature, "temperature_from": fitted_on}
