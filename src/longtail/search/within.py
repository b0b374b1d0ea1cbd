"""Training within a budget, on a machine that may be slower than the timed steps said."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from longtail.data import batch_sizes
from longtail.durations import duration
from longtail.engine.display import Display
from longtail.engine.job import Load
from longtail.engine.processes import Processes
from longtail.engine.run_folder import RunFolder
from longtail.engine.train import training
from longtail.recipe import scaled
from longtail.search.budget import Budget
from longtail.search.find import Found
from longtail.types import InputError

LOOKED_AT = 0.12  # share of the steps after which the time is looked at
FEWEST = 8  # steps by which the speed is judged
OVER = 1.08  # times the time that is left; less than this is not worth beginning again for


def fit_within(
    found: Found,
    folder: RunFolder,
    budget: Budget,
    display: Display,
    notes: Sequence[str],
    load: Load,
    processes: Processes,
) -> None:
    """Train into a new folder; begins again with fewer epochs where the first steps say that the time is too short.

    Args:
        found: the settings.
        folder: new or empty.
        budget: what is left of the time.
        display: shows it.
        notes: what to tell before the first step.
        load: gives the data.
        processes: those that train together.

    Raises:
        InputError: see `longtail.engine.train.fit`.
    """
    limit = None if found.recipe.model.frozen else budget
    epochs = _train(found, folder, limit, display, notes, load, processes)
    if epochs is None:
        return
    wanted = found.recipe.optim.epochs
    said = (
        f"cut: {epochs} epochs instead of {wanted}, for the machine is slower than the timed steps said; "
        "the run begins again"
    )
    search = replace(found.search, epochs=epochs, reasons=(*found.search.reasons, said))
    display.epochs = epochs
    _train(
        replace(found, recipe=scaled(found.recipe, epochs), search=search), folder, None, display, [said], load,
        processes,
    )  # fmt: skip


def _train(
    found: Found,
    folder: RunFolder,
    budget: Budget | None,
    display: Display,
    notes: Sequence[str],
    load: Load,
    processes: Processes,
) -> int | None:
    """Train; with a budget, returns with how many epochs to begin again, where the time is too short for all."""
    recipe = found.recipe
    steps_per_epoch = len(batch_sizes(found.timing.images, recipe.optim.batch_size))
    looked_at = max(FEWEST, int(LOOKED_AT * recipe.optim.epochs * steps_per_epoch))
    epochs = None
    steps = training(recipe, folder, display, notes=notes, load=load, chosen=found.search.contents())
    with closing(steps):
        for done, _ in enumerate(steps, 1):
            if done == looked_at and budget is not None:
                epochs = processes.on_first(
                    lambda: _fewer(found, budget, display, looked_at / steps_per_epoch)
                )
                if epochs is not None:
                    break
    if epochs is not None and processes.is_first:
        folder.clear()
    return epochs


def _fewer(found: Found, budget: Budget, display: Display, done: float) -> int | None:
    """How many epochs fit, where all of them do not and a shorter run is possible."""
    recipe, timing = found.recipe, found.timing
    epochs = recipe.optim.epochs
    if display.left is None or done >= epochs:
        return None
    each = display.left / (epochs - done)
    slower = each / (timing.images * timing.image)
    as_measured = replace(timing, image=slower * timing.image, evaluated=slower * timing.evaluated)
    whole = as_measured.run(epochs, recipe.run.evaluate_every)
    if whole - done * each <= OVER * budget.left:
        return None
    fits = max(len(recipe.stages()), as_measured.epochs_within(budget.left, recipe.run.evaluate_every))
    while fits < epochs:
        try:
            scaled(recipe, fits).stages()
        except InputError:
            fits += 1
        else:
            break
    if fits >= epochs:
        return None
    display.say(
        f"{epochs} epochs would take {duration(whole)}, and {duration(max(0.0, budget.left))} are left"
    )
    return fits
