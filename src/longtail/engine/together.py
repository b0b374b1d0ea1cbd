"""Trains several runs of one recipe at once in one process, with shared data."""

import functools
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from longtail.engine.checkpoint import random_state, set_random_state
from longtail.engine.display import Display
from longtail.engine.job import Load, load_on
from longtail.engine.train import training
from longtail.recipe import Recipe
from longtail.runs.folder import RunFolder


def fit_together(
    recipes: Sequence[Recipe],
    folders: Sequence[RunFolder],
    *,
    resume: Sequence[bool],
    quiet: bool = False,
    notes: Sequence[str] = (),
    display: Display | None = None,
    load: Load = load_on,
    chosen: Mapping[str, Any] | None = None,
) -> None:
    """Train several runs, a step of each in turn; each ends as it would have ended alone.

    On a GPU each has a stream of its own, so that the device works on all of them; a small network alone leaves most
    of it idle. On a CPU nothing is gained but that all seeds are there when the first is, and the data are loaded
    once (once a seed where the seed draws the validation split).

    Args:
        recipes: the runs, alike but for the seed.
        folders: their run folders.
        resume: whether each is resumed, see `fit`.
        quiet: print nothing.
        notes: what to tell, once.
        display: shows it; None: one that is made for it.
        load: gives the data.
        chosen: how the settings were chosen, see `training`.

    Raises:
        InputError: as `fit`, for the first run that has something; the others stop where they are and can be resumed.
        KeyboardInterrupt: the user stopped it; all can be resumed.
    """
    load, display = functools.cache(load), display or Display(recipes[0].optim.epochs, quiet=quiet)
    runs: list[Generator[None, None, None]] = []
    turns: list[_Turn] = []
    for recipe, folder, going_on in zip(recipes, folders, resume, strict=True):
        shared_notes = None if runs else notes
        part = display.part(f"seed {recipe.run.seed}")
        runs.append(
            training(recipe, folder, part, resume=going_on, notes=shared_notes, load=load, chosen=chosen)
        )
        turns.append(_Turn(recipe))
    try:
        with display:
            _alternate(runs, turns)
    finally:
        for run in runs:
            run.close()


def _alternate(runs: Sequence[Generator[None, None, None]], turns: Sequence["_Turn"]) -> None:
    waiting = list(zip(runs, turns, strict=True))
    while waiting:
        for one in tuple(waiting):
            run, turn = one
            with turn.taken():
                try:
                    next(run)
                except StopIteration:
                    waiting.remove(one)


class _Turn:
    """What a run has to itself while it takes its turn: a stream of the device, and torch's generators."""

    def __init__(self, recipe: Recipe) -> None:
        on_cuda = recipe.run.device != "cpu" and torch.cuda.is_available()
        self._stream: torch.cuda.Stream | None = torch.cuda.Stream() if on_cuda else None  # type: ignore[no-untyped-call]
        self._random: dict[str, Any] | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        stream: AbstractContextManager[Any] = (
            torch.cuda.stream(self._stream) if self._stream else nullcontext()
        )
        with stream:
            if self._random is not None:
                set_random_state(self._random)
            yield
            if self._random is None and self._stream is not None:
                torch.cuda.synchronize()  # the first turn loads what the others share
            self._random = random_state()
