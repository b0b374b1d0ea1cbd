"""Shortens a stopped run, so that it ends earlier than its recipe says."""

from longtail.engine.checkpoint import load_state, save_state
from longtail.recipe import Recipe, scaled
from longtail.runs import layout
from longtail.runs.folder import RunFolder


def finished_epochs(folder: RunFolder, recipe: Recipe) -> int:
    """How many epochs of a stopped run are kept."""
    state = load_state(folder, recipe)
    return 0 if state is None else len(state["records"])


def shorten(folder: RunFolder, recipe: Recipe, epochs: int) -> Recipe:
    """Give a stopped run fewer epochs, so that it is resumed with a schedule of that length; returns its recipe.

    What is finished stays as it was trained; the windows of the recipe and the learning rate of the epochs that follow
    are those of the shorter run.

    Args:
        folder: of the run, which nothing trains into.
        recipe: what it was begun with, of one stage.
        epochs: at least as many as are finished.

    Raises:
        InputError: the folder holds no such run.
    """
    shorter, state = scaled(recipe, epochs), load_state(folder, recipe)
    if state is not None:
        save_state(folder, state | {"recipe": shorter.model_dump(mode="json")})
    folder.write_text(layout.RECIPE, shorter.to_toml())
    return shorter
