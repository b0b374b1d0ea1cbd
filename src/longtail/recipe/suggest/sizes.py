"""Sizes of images, and the image size that suits them and a network."""

from longtail.data.listing import Listing
from longtail.data.shapes import sample_shapes
from longtail.models.backbone import backbone_input, image_multiple

LOOKED_AT = 64  # images measured
# pixels that smaller images are enlarged to for pretrained weights, so that the last maps are 4x4
ENLARGED = 128
TIMES = 8  # that images are enlarged at most, above that size: more costs, and did worse on 8-pixel digits


def short_side(train: Listing | None) -> int | None:
    """The median of the shorter sides of some images, in pixels; None where none could be measured."""
    shapes = None if train is None else sample_shapes(train, LOOKED_AT)
    return None if shapes is None else shapes.short_side


def largest_size(name: str, side: int | None) -> int:
    """The image size that suits a backbone and images whose shorter side has so many pixels, whatever it costs.

    Args:
        name: of the backbone.
        side: None: unknown, taken to be large.
    """
    own, multiple = backbone_input(name).size, image_multiple(name)
    return (own if side is None else min(own, max(TIMES * side, ENLARGED))) // multiple * multiple
