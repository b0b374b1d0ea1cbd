"""What a recipe asks for that its stages are too short for."""

from collections.abc import Iterator, Sequence

from longtail.data.dataset import counted
from longtail.method import MethodOptions, Stage, window_starts
from longtail.recipe.options import OptimOptions

ADAMW_RATE = 0.01  # each of AdamW's steps moves a weight by about the rate; more than this is a rate for SGD


def too_short(method: MethodOptions, optim: OptimOptions, stages: Sequence[Stage]) -> Iterator[str]:
    """What to tell the user: windows and falls of the learning rate that are never reached, warm-ups that never end,
    averages over more epochs than there are, rates that rise where they should fall, and
    rates that are too high for AdamW.

    Args:
        method: the recipe's [method] section.
        optim: its [optim] section.
        stages: the run's stages.
    """
    for key, start in window_starts(method).items():
        if start >= stages[0].epochs:
            yield f"{key} = {start} is never reached: {_length(stages[0])}"
    rates = {stage.name: stage.peak_lr or optim.peak_lr for stage in stages}
    high = [f"{rate:g} in the {name} stage" for name, rate in rates.items() if rate > ADAMW_RATE]
    if optim.optimizer == "adamw" and high:
        yield f"the learning rate is {' and '.join(high)}, which fits sgd; adamw is usual with about 0.001"
    for position, stage in enumerate(stages):
        late = [epoch for epoch in optim.milestones_of(stage, first=position == 0) if epoch >= stage.epochs]
        if late:
            yield f"the learning rate never falls at epoch {', '.join(map(str, late))}: {_length(stage)}"
        warmup = optim.warmup_of(stage)
        if warmup and warmup >= stage.epochs:
            yield f"the learning rate's warm-up of {counted(warmup, 'epoch')} never ends: {_length(stage)}"
        if optim.average_last > stage.epochs:
            yield f"average_last = {optim.average_last} averages over fewer: {_length(stage)}"
        peak, end = (
            stage.peak_lr or optim.peak_lr,
            optim.final_lr if stage.final_lr is None else stage.final_lr,
        )
        if end > peak and not optim.milestones_of(stage, first=position == 0):
            yield f"the learning rate of the {stage.name} stage rises, from {peak:g} to final_lr = {end:g}"


def _length(stage: Stage) -> str:
    return f"the {stage.name} stage has {counted(stage.epochs, 'epoch')}"
