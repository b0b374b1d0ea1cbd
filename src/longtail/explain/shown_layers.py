"""Where heat maps are taken: the last map of each expert, or an earlier one where the last says too little."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from longtail.models import ExpertModel

LEAST = 6
"""Places along a side that a map has to have to say where in an image something is."""


class ShownLayers(NamedTuple):
    """For each expert the module whose output is shown as a map, and what to call these."""

    layers: tuple[nn.Module, ...]
    name: str


def shown_layers(model: ExpertModel, ask: Callable[[], object]) -> ShownLayers:
    """The deepest maps of at least `LEAST` x `LEAST` places; where the network has none so large, its largest.

    The image is never enlarged instead: a network says other things of images larger than those it was trained on.

    Args:
        model: whose experts are explained.
        ask: sends one image through it.
    """
    paths, last = list(_paths(model)), model.last_maps()
    name = "the last map" if len(last) == 1 else "each expert's last map"
    sizes = _sizes({part for path in paths for part in path} | set(last), ask)
    places = sizes[last[0]]
    if min(places) >= LEAST:
        return ShownLayers(tuple(last), name)
    depths = [depth for depth, part in enumerate(paths[0]) if min(sizes.get(part, (0, 0))) > min(places)]
    large = [depth for depth in depths if min(sizes[paths[0][depth]]) >= LEAST]
    if not depths:
        return ShownLayers(tuple(last), f"{name}, the largest there is")
    depth = max(large) if large else min(depths)
    text = f"the map after stage {depth + 1} of {len(paths[0])}, since the last has {places[0]} x {places[1]} places"
    return ShownLayers(tuple(path[depth] for path in paths), text)


def _paths(model: ExpertModel) -> Iterator[Sequence[nn.Module]]:
    """The stages that an image passes on its way to each expert."""
    trunk = getattr(model, "trunk", None)
    shared = [] if trunk is None else list(trunk.stages)
    for expert in model.experts:
        yield [*shared, *expert.stages]  # type: ignore[misc]


def _sizes(parts: set[nn.Module], ask: Callable[[], object]) -> dict[nn.Module, tuple[int, int]]:
    """Height and width of what each part makes, where that is a map (B, D, h, w)."""
    found: dict[nn.Module, tuple[int, int]] = {}

    def look(part: nn.Module, _: object, made: object) -> None:
        if isinstance(made, Tensor) and made.ndim == 4:
            found[part] = (made.shape[-2], made.shape[-1])

    hooks = [part.register_forward_hook(look) for part in parts]
    try:
        with torch.no_grad():
            ask()
    finally:
        for hook in hooks:
            hook.remove()
    return found


@contextmanager
def attached(model: ExpertModel) -> Iterator[None]:
    """Let gradients pass from every expert into the shared stages, whatever training does."""
    before, model.detach_trunk = model.detach_trunk, ()
    try:
        yield
    finally:
        model.detach_trunk = before
