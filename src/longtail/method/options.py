"""A method's options: the recipe's [method] section, its ranges, and which of its numbers count epochs."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True)
class Epochs:
    """Marks a recipe's integer as a number of epochs, so that it scales when the user shortens a run.

    Args:
        kind: "window" counts epochs of the first stage, scales in proportion to the run and is rounded down; "start"
            is the edge at which such a window opens; "stage" is the length of a stage: rounded up and never scaled
            below `floor`, because a fresh classifier trained for less has not converged; "warmup" is rounded up.
        floor: fewest epochs of a stage.
    """

    kind: Literal["window", "start", "stage", "warmup"] = "window"
    floor: int = 4

    def scaled(self, value: Any, old: int, new: int) -> Any:
        """`scale` of a number of epochs, or of each of several, of which none falls below 1."""
        if isinstance(value, tuple):
            return tuple(max(1, self.scale(one, old, new)) for one in value)
        return self.scale(value, old, new)

    def scale(self, value: int, old: int, new: int) -> int:
        """`value` epochs of a run of `old` epochs, in a run of `new` epochs."""
        if self.kind in ("window", "start"):
            return value * new // old
        rounded_up = -(-value * new // old)
        if self.kind == "warmup" or value == 0:
            return rounded_up
        return rounded_up if new > old else min(value, max(rounded_up, min(self.floor, new // 2)))


MOST_EPOCHS = 1_000_000
Window = Annotated[int, Field(ge=0, le=MOST_EPOCHS), Epochs("window")]
WindowStart = Annotated[int, Field(ge=0, le=MOST_EPOCHS), Epochs("start")]
StageEpochs = Annotated[int, Field(ge=0, le=MOST_EPOCHS), Epochs("stage")]
Warmup = Annotated[int, Field(ge=0, le=MOST_EPOCHS), Epochs("warmup")]
Weight = Annotated[float, Field(ge=0, le=1e6)]
"""How much a term, a prior or a decay counts."""
Milestones = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MOST_EPOCHS)], ...],
    Field(max_length=100, strict=False),
    Epochs("window"),
]
"""Epochs of a stage at which the learning rate falls, or a loss changes."""
Positive = Annotated[float, Field(gt=0, le=1e6)]
"""A learning rate, a temperature."""


def _marked(options: BaseModel) -> dict[str, Epochs]:
    marks = {
        key: next((mark for mark in field.metadata if isinstance(mark, Epochs)), None)
        for key, field in type(options).model_fields.items()
    }
    return {key: mark for key, mark in marks.items() if mark is not None}


def scaled_epochs(options: BaseModel, old: int, new: int) -> dict[str, Any]:
    """The options that count epochs of a run of `old` epochs, as a run of `new` epochs would have them."""
    return {key: mark.scaled(getattr(options, key), old, new) for key, mark in _marked(options).items()}


def window_starts(options: BaseModel) -> dict[str, int]:
    """The options at which an epoch window opens, in epochs of the first stage."""
    return {key: getattr(options, key) for key, mark in _marked(options).items() if mark.kind == "start"}


class MethodOptions(BaseModel):
    """The recipe's [method] section; a method adds its own keys in a subclass `Options`.

    Every number has a smallest and a largest value: a slip of the keyboard is refused, and not tried.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
