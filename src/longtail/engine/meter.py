"""Sums of losses over the steps of an epoch, for the log."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from longtail.types import InputError

CHECK_EVERY = 50


class Meter:
    """Sums of an epoch, kept on the device in tensors that stay where they are; read seldom, so that steps do not wait.

    Args:
        device: where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        self._check_every = 1 if device.type == "cpu" else CHECK_EVERY
        self._sums: dict[tuple[str, ...], Tensor] = {}
        self._first_bad: dict[tuple[str, ...], Tensor] = {}
        self._correct = torch.zeros((), dtype=torch.int64, device=device)
        self._step = torch.zeros((), device=device)
        self._one = torch.ones(
            (), device=device
        )  # added beside the terms: in how many steps there were these
        self._images = self._steps = 0

    def start(self, step: int) -> None:
        """Begin an epoch whose first step has this number."""
        for tensor in (*self._sums.values(), self._correct):
            tensor.zero_()
        for tensor in self._first_bad.values():
            tensor.fill_(math.inf)
        self._step.fill_(step)
        self._images = self._steps = 0

    def add(self, terms: Mapping[str, Tensor], logits: Tensor, target: Tensor) -> None:
        """Add a step's terms and correct predictions on the device, without waiting for it."""
        names, values = tuple(terms), torch.stack([*terms.values(), self._one]).float()
        if names not in self._sums:
            self._sums[names] = torch.zeros_like(values)
            self._first_bad[names] = torch.full_like(values, math.inf)
        self._sums[names].add_(values)
        bad = self._first_bad[names]
        torch.minimum(bad, torch.where(values.isfinite(), math.inf, self._step), out=bad)
        self._correct.add_((logits[: len(target)].argmax(dim=-1) == target).sum())
        self._step.add_(1)

    def count(self, images: int) -> None:
        """A step with so many images is done.

        Raises:
            InputError: a term is not finite, in this step or one not looked at yet.
        """
        self._images, self._steps = self._images + images, self._steps + 1
        if self._steps % self._check_every == 0:
            self._check()

    def read(self) -> dict[str, Any]:
        """Mean of each term over the epoch's steps, and the training accuracy in [0, 1]."""
        self._check()
        loss: dict[str, float] = {}
        for names, sums in self._sums.items():
            *totals, steps = sums.tolist()
            for name, total in zip(names if steps else (), totals if steps else (), strict=True):
                loss[name] = loss.get(name, 0.0) + total / self._steps
        return {"loss": loss, "train_accuracy": self._correct.item() / self._images}

    def _check(self) -> None:
        for names, steps in self._first_bad.items():
            for name, step in zip(names, steps.tolist()[:-1], strict=True):
                if step < math.inf:
                    raise InputError(
                        f"loss term {name!r} is not finite at step {int(step)}; lower optim.peak_lr or the "
                        "term's weight (what finished epochs made is kept)"
                    )
