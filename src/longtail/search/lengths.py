"""The number of epochs of a run that fit into the remaining time."""

from collections.abc import Mapping
from typing import Any

from longtail.data.dataset import counted
from longtail.durations import duration
from longtail.engine.timing import Timing
from longtail.recipe import Recipe, changed, scaled
from longtail.types import InputError

EVALUATED = 0.15  # share of a run's time for evaluations above which they are left to its end


def fitted(
    recipe: Recipe, timing: Timing, left: float, given: Mapping[str, Any], minutes: float
) -> tuple[Recipe, list[str]]:
    """The recipe with as many of its epochs as fit into the time, and what to tell about it."""
    wanted, reasons = recipe.optim.epochs, []
    every = recipe.run.evaluate_every
    evaluating = timing.run(wanted, every) - timing.run(wanted, 0)
    if (
        every
        and "run.evaluate_every" not in given
        and evaluating > EVALUATED * min(left, timing.run(wanted, 0))
    ):
        recipe, every = changed(recipe, {"run.evaluate_every": 0}), 0
        reasons.append("evaluated only after the last epoch, to save time")
    fits = timing.epochs_within(left, every)
    fewest = len(recipe.stages())
    epochs = max(fewest, min(wanted, fits))
    while epochs < wanted:  # stages that are too short to be divided need some more
        try:
            scaled(recipe, epochs).stages()
            break
        except InputError:
            epochs += 1
    if epochs < wanted:
        recipe = scaled(recipe, epochs)
        whole = duration(timing.run(wanted, every))
        reasons.append(
            f"cut: {counted(epochs, 'epoch')} instead of {wanted}, which take {whole}; give more --minutes for all"
        )
    if fits < epochs:
        reasons.append(
            f"{counted(epochs, 'epoch')} will take longer than is left of {minutes:g} min; fewer are not possible"
        )
    speed = f"{1000 * timing.image:.3g} ms an image on {timing.where}, timed"
    reasons.append(
        f"training takes about {duration(timing.run(epochs, every))} ({counted(epochs, 'epoch')}, {speed})"
    )
    return recipe, reasons
