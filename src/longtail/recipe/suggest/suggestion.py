"""What is suggested for a set of images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Reasons = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Suggestion:
    """Settings for a set of images.

    Attributes:
        base: the shipped recipe to begin with.
        epochs: length of the run; None leaves it to the recipe.
        settings: "section.key" -> value, on top of it.
        reasons: what was chosen and why, for people -> the keys whose values it speaks of.
    """

    base: str
    settings: Mapping[str, Any]
    reasons: Reasons
    epochs: int | None = None
