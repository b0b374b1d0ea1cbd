"""The learning rate as a pure function of the step."""

import math
from collections.abc import Sequence


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
) -> float:
    """Linear warm-up to `peak_lr`, then half a cosine to `final_lr` at `total_steps`, or steps down at milestones.

    Args:
        step: steps done in the stage, 0 <= step < total_steps.
        total_steps: steps of the stage.
        peak_lr: rate at the end of the warm-up.
        warmup_steps: length of the warm-up; 0 starts at the peak.
        warmup_start_lr: rate of the first step of a warm-up.
        final_lr: where the cosine ends.
        milestones: instead of the cosine, steps from which on the rate is multiplied once more by `decay_factor`.

    >>> [round(learning_rate(s, total_steps=6, peak_lr=1.0, warmup_steps=2, warmup_start_lr=0.5), 3) for s in range(6)]
    [0.5, 0.75, 1.0, 0.854, 0.5, 0.146]
    """
    if step < warmup_steps:
        return warmup_start_lr + (peak_lr - warmup_start_lr) * step / warmup_steps
    if milestones:
        return peak_lr * decay_factor ** sum(step >= milestone for milestone in milestones)
    done = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return final_lr + (peak_lr - final_lr) * 0.5 * (1 + math.cos(math.pi * done))
