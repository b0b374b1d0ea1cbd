"""How many places the last map of a network has: known from shapes alone, without its numbers."""

from functools import cache

import torch

from longtail.models import build_model
from longtail.models.options import ModelOptions
from longtail.types import InputError


@cache
def map_side(name: str, image_size: int) -> int | None:
    """The shorter side of a network's last map.

    Args:
        name: of the network.
        image_size: side in pixels of its images.

    Returns:
        Places along that side; None where the network is not known here, or takes no such images.
    """
    sides: list[int] = []
    try:
        with torch.device("meta"), torch.no_grad():
            model = build_model(ModelOptions(name=name, num_experts=1), 2, ("first",)).eval()
            model.last_maps()[0].register_forward_hook(lambda _, __, out: sides.append(min(out.shape[-2:])))
            model.extract(torch.empty(1, 3, image_size, image_size))
    except (InputError, ValueError, RuntimeError, AssertionError):
        return None
    return sides[0]
