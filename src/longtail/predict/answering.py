"""What answers for batches of images, and what its answers assume: a run's network, or an exported file."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from longtail.caller_words import PYTHON, Words
from longtail.data.framing import Framing, framing_of
from longtail.engine.several_views import Answers
from longtail.types import Batch


class Answering(ABC):
    """Answers for batches of uint8 images, and says what its answers assume.

    Attributes:
        classes: C names.
        class_counts: (C,) training images of each class.
        num_experts: M.
        device: where images are wanted.
        description: what is known of the network, "image_size" and "temperature" among it.
        words: how the caller asks for things; messages say it so.
    """

    classes: tuple[str, ...]
    class_counts: Int[Tensor, " c"]
    num_experts: int
    device: torch.device
    description: dict[str, Any]
    words: Words = PYTHON

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
