"""What a recipe with a frozen backbone may ask for."""

from collections.abc import Sequence

from longtail.method import Method, Stage
from longtail.models import ModelOptions
from longtail.recipe.options import OptimOptions
from longtail.types import InputError


def check_frozen(
    method: type[Method], name: str, stages: Sequence[Stage], model: ModelOptions, optim: OptimOptions
) -> None:
    """Refuse what has to train the backbone, or to see pixels.

    Args:
        method: the recipe's method.
        name: its name.
        stages: of the run.
        model: the recipe's [model] section.
        optim: its [optim] section.

    Raises:
        InputError: the message names the method and the reason.
    """
    if optim.frozen_stages or optim.frozen_epochs:
        raise InputError(
            "model.frozen = true freezes all stages; leave out optim.frozen_stages and optim.frozen_epochs"
        )
    if method.needs_pixels:
        raise InputError(
            f"{name} does not go with model.frozen, which trains on features: it {method.needs_pixels}; choose another "
            "method"
        )
    for stage in stages:
        useful = stage.trains_classifiers_alone or stage.trains(f"heads.{stage.bank}.weight")
        if not (useful or model.hidden_units):
            raise InputError(
                f"the {stage.name} stage of {name} trains features alone, and a frozen backbone has none to train; "
                "give each expert a hidden layer: --set model.hidden_units=256"
            )
