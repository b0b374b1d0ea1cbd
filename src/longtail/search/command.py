"""`longtail train FOLDER --minutes N`: from the plan of a command to a run with settings from a search."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from longtail.data.source_kinds import ReadSource
from longtail.engine.display import Display
from longtail.engine.job import Load, data_of
from longtail.engine.runtime import start_runtime
from longtail.engine.timing import Timing
from longtail.recipe import Recipe, changed
from longtail.recipe.plan import Plan, plan
from longtail.recipe.plan.places import newest_asked
from longtail.recipe.suggest.sizes import largest_size, short_side
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.search.budget import DEFAULT_MINUTES, FEWEST, SEARCH, Budget, SearchTime
from longtail.search.comparing import FEATURES
from longtail.search.find import Found, find_settings
from longtail.search.heads import COMPARED, SHARE, Heads, at_size, compare_heads, frozen
from longtail.search.picture_fits import choose_fit
from longtail.search.probing import affordable, probe
from longtail.types import InputError


def minutes_of(planned: Plan, minutes: float | None, target: str) -> float:
    """The minutes that a command has to find settings in; 0 where they are settled.

    Raises:
        InputError: minutes are given for settings that are settled.
    """
    if planned.is_open:
        return DEFAULT_MINUTES if minutes is None else minutes
    if minutes is None:
        return 0.0
    if planned.folder is not None:
        raise InputError(f"{target} is resumed with the settings that it was begun with; leave out --minutes")
    if planned.recipe.model.frozen:
        raise InputError(
            "--frozen trains classifiers alone, in seconds, and looks for no settings; leave out --minutes"
        )
    if Path(target).is_dir() or Path(target).suffix not in ("", ".toml"):
        raise InputError(
            "--epochs fixes the length of the run, which --minutes is to find; leave one of them out"
        )
    raise InputError(
        f"{target} is a recipe, which settles settings and length; leave out --minutes, or give a folder of images"
    )


def training_seconds(minutes: float | None, epochs: int | None, runs: int = 1) -> float | None:
    """Seconds of training in each of `runs` runs that share so many minutes; None where no time is given.

    Args:
        minutes: asked for; None: the default, unless a length is asked for.
        epochs: the length asked for.
        runs: that share the time.
    """
    granted = DEFAULT_MINUTES if minutes is None else minutes
    is_given = granted and (epochs is None or minutes is not None)
    return 60 * granted * (1 - SEARCH) / max(1, runs) if is_given else None


def question(planned: Plan, given: Mapping[str, Any], minutes: float) -> dict[str, Any]:
    """What a command asks for, as search.json says it."""
    return {"images": planned.recipe.data.path, "minutes": minutes, "given": dict(given)}


def begun(
    planned: Plan, given: dict[str, Any], minutes: float, out: str | Path | None, read: ReadSource
) -> Plan | None:
    """The plan of resuming the run that the same command began; None where there is none."""
    folder = newest_asked(question(planned, given, minutes)) if out is None else Path(out)
    if folder is None or not (folder / layout.RECIPE).is_file():
        return None
    settled = {key: value for key, value in given.items() if key != "data.path"}
    return plan(str(folder), settled, None, True, read)


def search(
    planned: Plan,
    given: Mapping[str, Any],
    budget: Budget,
    out: str | Path | None,
    display: Display,
    load: Load,
    read: ReadSource,
    *,
    runs: int = 1,
) -> Found:
    """Read the images, and find the settings of a plan.

    Raises:
        InputError: the images cannot be read, or the run folder is not free.
    """
    if out is not None:
        RunFolder(out).check_free()
    network = [f"chosen: {why}" for why, keys in planned.reasons.items() if keys == ("model.name",)]
    for note in (*network, *planned.notes):  # no search changes the network
        display.say(note)
    recipe = planned.recipe
    apart = "; features of training images, which a run on features needs too, are counted apart"
    display.say(
        f"budget: {budget.minutes:g} min for all (--minutes), at most a third of it to compare settings"
        f"{'' if isinstance(frozen(recipe, given), str) else apart}"
    )
    device = start_runtime(recipe.run.device, recipe.optim.precision, threads=recipe.run.threads).device
    with display:
        display.say(
            f"timing a few steps of fine-tuning {recipe.model.name} on images of {recipe.data.image_size} pixels"
        )
        first = probe(recipe, read)
        time, started = SearchTime(budget), budget.left
        recipe, heads, smaller, said = _heads(recipe, given, first, time, display, load, read, device)
        left, cuts = time.after / runs, list[str]()
        if heads is None or left >= FEWEST:
            recipe, first, cuts = affordable(recipe, first, read, given, left)
        data = data_of(recipe, device, load)
        found = find_settings(
            recipe, data, given, budget, display, first, runs=runs, heads=heads, seconds=time.left
        )
    reasons = (*said, *([] if found.recipe.model.frozen else cuts), *found.search.reasons)
    spent = round(started - budget.left, 1)
    short_of = (*_smaller(recipe, planned.recipe, found.recipe, smaller), *found.search.no_time_for)
    record = replace(found.search, reasons=reasons, seconds=spent, no_time_for=short_of)
    found = replace(found, search=record)
    kept = (f"chosen: {why}" for why in planned.reasons_of(found.recipe))
    for line in (*found.search.lines(), *kept):
        if line not in (*network, *said):
            display.say(line)
    display.say(_run_line(found.recipe))
    asked = question(planned, given, budget.minutes)
    return replace(found, search=replace(found.search, asked=asked))


def _smaller(tried: Recipe, suggested: Recipe, final: Recipe, features: str) -> list[str]:
    """The images that the time was too short for, in a run on features or a fine-tuning."""
    if final.model.frozen:
        return [features] if features else []
    is_cut = tried.data.image_size != suggested.data.image_size
    return [f"images of {suggested.data.image_size} pixels"] if is_cut else []


def _run_line(recipe: Recipe) -> str:
    """What of a run's settings the search may have changed, beside those that the summary of the run names."""
    data, rate = recipe.data, recipe.optim.peak_lr
    return f"the run: images of {data.image_size} pixels, fit {data.fit}, learning rate {rate:g}"


def _heads(
    recipe: Recipe,
    given: Mapping[str, Any],
    timing: Timing,
    time: SearchTime,
    display: Display,
    load: Load,
    read: ReadSource,
    device: torch.device,
) -> tuple[Recipe, Heads | None, str, list[str]]:
    """The best classifiers on features, which images the time was too short for, and what was said of them.

    The recipe is returned with the `data.fit` that is best by such features. What is decided is said at once.
    """
    on_features = frozen(recipe, given)
    if isinstance(on_features, str):
        why = f"no {FEATURES}: {on_features}"
        display.say(why)
        return recipe, None, "", [why]
    if "data.image_size" not in given:
        size = largest_size(recipe.model.name, short_side(read(recipe.data).train))
        ratio = (size / (recipe.data.image_size or size)) ** 2
        on_features = changed(on_features, {"data.image_size": size})
        timing = replace(timing, evaluated=ratio * timing.evaluated)
    own = on_features.data.image_size
    on_features, compute, cuts = at_size(on_features, timing, given, SHARE * time.budget.left)
    smaller = f"images of {own} pixels" if cuts else ""
    for line in cuts or [f"features for the classifiers: of images of {own} pixels"]:
        display.say(line)
    data = data_of(on_features, device, load)
    if "data.fit" not in given:
        fit, said = choose_fit(on_features, data, read, compute, COMPARED * time.left, display)
        for line in said:
            display.say(line)
        cuts = [*cuts, *said]
        if fit != recipe.data.fit:
            recipe, on_features = (changed(one, {"data.fit": fit}) for one in (recipe, on_features))
            data = data_of(on_features, device, load)
    heads = compare_heads(on_features, data, compute, COMPARED * time.left, display)
    time.leave_out(heads.computing)
    return recipe, heads, smaller, cuts
