"""The recipe of each row: its own settings, and what the study's budget makes equal."""

from collections.abc import Mapping
from typing import Any

from longtail.recipe import Recipe, changed, difference, load_recipe, scaled, validate
from longtail.study.study_file import Study, StudyRow
from longtail.types import InputError

SHARED = {
    "data": None,
    "model": ("name", "width_factor", "expert_width_factor", "shortcut"),
    "optim": ("epochs", "batch_size", "precision"),
    "run": None,
}
"""What an equal budget takes from the study's recipe: these keys of a section, None for all of it."""
ROW_DECIDES = ("data.views", "run.probes")
MACHINE = (
    "data.path", "data.root", "data.workers", "optim.precision", "run.device", "run.threads", "run.graphs",
    "run.expert_streams", "run.evaluate_every", "run.evaluate_batch_size", "run.probes",
)  # fmt: skip
"""Keys that say how and where a run is computed, not what: a cell that differs in them alone is the same cell."""


def row_recipe(study: Study, key: str, given: Mapping[str, Any]) -> Recipe:
    """The recipe of a row, without its seed.

    Args:
        study: see there.
        key: of the row.
        given: keys of the recipe that the caller sets, over all others; "optim.epochs" scales the windows.

    Raises:
        InputError: the row's recipe or method does not exist, or a key of it does not fit; the row is named.
    """
    row, given = study.rows[key], dict(given)
    epochs = given.pop("optim.epochs", None)
    try:
        shared = load_recipe(study.recipe, study.set)[0]
        recipe = _own(study, row)
        if study.budget == "equal":
            _refuse_unequal(row)
            recipe = recipe if row.recipe is None else _with_shared(recipe, shared)
            epochs = epochs or study.epochs or shared.optim.epochs
        recipe = changed(recipe if epochs is None else scaled(recipe, epochs), given)
        recipe.stages()
        return recipe
    except InputError as error:
        raise InputError(f"study {study.name}, row {key}: {error}", error.details) from None


def differences(old: Recipe, new: Recipe) -> list[str]:
    """Lines "section.key: old -> new" for the keys that decide a result."""
    return [line for line in difference(old, new) if line.split(": ", 1)[0] not in MACHINE]


def stored_recipe(settings: Mapping[str, Any], like: Recipe) -> Recipe:
    """The recipe of a result file, with the places of another.

    Raises:
        InputError: a key or method of it does not exist any more.
    """
    data = settings["data"] | like.data.model_dump(include={"path", "root"}, exclude_none=True)
    return validate({**settings, "data": data})


def _own(study: Study, row: StudyRow) -> Recipe:
    """The row's recipe at its own length."""
    named = {} if row.method is None else {"method.name": row.method}
    return load_recipe(row.recipe or study.recipe, {**named, **study.set, **row.set})[0]


def _refuse_unequal(row: StudyRow) -> None:
    """Refuse a row that sets for itself what the budget makes equal."""
    for key in row.set:
        section, _, leaf = key.partition(".")
        leaves = SHARED.get(section, ())
        if key not in ROW_DECIDES and (leaves is None or leaf in leaves):
            raise InputError(
                f"{key} is the same for all rows of an equal budget; write it into the study's [set], or set "
                'budget = "published"'
            )


def _with_shared(recipe: Recipe, shared: Recipe) -> Recipe:
    """A recipe with the data, augmentation, batch and network of another; the epochs are scaled afterwards."""
    sections, others = recipe.model_dump(), shared.model_dump()
    for section, leaves in SHARED.items():
        for leaf in leaves or others[section]:
            own = f"{section}.{leaf}" in ROW_DECIDES or (section, leaf) == ("optim", "epochs")
            if leaf in others[section] and not own:
                sections[section][leaf] = others[section][leaf]
    return validate(sections)
