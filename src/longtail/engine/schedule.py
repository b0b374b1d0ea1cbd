"""The learning rate as a pure function of the step."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from longtail.method import Stage
from longtail.recipe.options import OptimOptions


def learning_rate(
    step: int,
    *,
    total_steps: int,
    peak_lr: float,
    warmup_steps: int = 0,
    warmup_start_lr: float = 0.0,
    milestones: Sequence[int] = (),
    decay_factor: float = 0.1,
    final_lr: float = 0.0,
    hold: int = 1,
) -> float:
    """Linear warm-up to `peak_lr`, then half a cosine to `final_lr` at `total_steps`, or steps down at milestones.

    Args:
        step: steps done in the stage, 0 <= step < total_steps.
        total_steps: steps of the stage.
        peak_lr: rate at the end of the warm-up.
        warmup_steps: length of the warm-up; 0 starts at the peak.
        warmup_start_lr: rate of the first step of a warm-up; above the peak it is a way down.
        final_lr: where the cosine ends.
        milestones: instead of the cosine, steps from which on the rate is multiplied once more by `decay_factor`.
        hold: steps, >= 1, through which the rate stays what it was at the first of them.

    >>> [round(learning_rate(s, total_steps=6, peak_lr=1.0, warmup_steps=2, warmup_start_lr=0.5), 3) for s in range(6)]
    [0.5, 0.75, 1.0, 0.854, 0.5, 0.146]
    """
    step = step // hold * hold
    if step < warmup_steps:
        return warmup_start_lr + (peak_lr - warmup_start_lr) * step / warmup_steps
    if milestones:
        return peak_lr * decay_factor ** sum(step >= milestone for milestone in milestones)
    done = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return final_lr + (peak_lr - final_lr) * 0.5 * (1 + math.cos(math.pi * done))


def stage_rate(stage: Stage, optim: OptimOptions, steps: int, *, first: bool) -> Callable[[int], float]:
    """The learning rate of a stage as a function of its steps.

    Args:
        stage: one of the run's.
        optim: the recipe's [optim] section.
        steps: of an epoch.
        first: whether it is the run's first stage.
    """
    milestones = optim.milestones_of(stage, first=first)
    start = optim.warmup_start_lr if stage.warmup_start_lr is None else stage.warmup_start_lr
    return partial(
        learning_rate,
        total_steps=stage.epochs * steps,
        peak_lr=stage.peak_lr or optim.peak_lr,
        warmup_steps=optim.warmup_of(stage) * steps,
        warmup_start_lr=start,
        hold=steps if optim.lr_changes == "epoch" else 1,
        milestones=[epoch * steps for epoch in milestones],
        decay_factor=stage.decay_factor or optim.decay_factor,
        final_lr=optim.final_lr if stage.final_lr is None else stage.final_lr,
    )
