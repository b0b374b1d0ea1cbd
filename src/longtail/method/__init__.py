"""The contract of a method.

A method is one file in `longtail/methods/` holding one subclass of `Method`; the file's name is the method's name.
Only `loss` is mandatory. A method touches no optimizer, device, loop, log or file.
"""

from longtail.method.contract import IN_A_STEP, Method
from longtail.method.options import (
    MOST_EPOCHS,
    Epochs,
    MethodOptions,
    Milestones,
    Positive,
    StageEpochs,
    Warmup,
    Weight,
    Window,
    WindowStart,
    scaled_epochs,
    window_starts,
)
from longtail.method.stage import HeldOut, Stage
from longtail.method.views import some_views

__all__ = [
    "IN_A_STEP",
    "MOST_EPOCHS",
    "Epochs",
    "HeldOut",
    "Method",
    "MethodOptions",
    "Milestones",
    "Positive",
    "Stage",
    "StageEpochs",
    "Warmup",
    "Weight",
    "Window",
    "WindowStart",
    "scaled_epochs",
    "some_views",
    "window_starts",
]
