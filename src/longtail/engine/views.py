"""The augmented views of a batch in an epoch, wherever each part of the augmentation is computed."""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float, Int, Int64, Num
from torch import Tensor

from longtail.augment import Augment
from longtail.data import ImageFiles, Split


def crops_on_reading(augments: Sequence[Augment], split: Split) -> bool:
    """Whether the random crop of a view is cut out of images as they are read from disk; all views are then read."""
    return any(map(_crops, augments)) and isinstance(split.images, ImageFiles)


def _crops(augment: Augment) -> bool:
    return "resized_crop" in augment.operations


def view_keys(seed: int, epoch: int, count: int) -> Int64[Tensor, "v 2"]:
    """What the views of an epoch draw from, in main memory.

    Args:
        seed: the run's.
        epoch: epochs finished in the whole run.
        count: V.
    """
    return torch.stack([Augment.keys(seed, epoch, view, "cpu") for view in range(count)])


def view_boxes(
    augments: Sequence[Augment], split: Split, keys: Int64[Tensor, "v 2"]
) -> list["partial[Tensor] | None"]:
    """The box of each image in each view, for `batches`; none where `show` does all, None for a view without a crop.

    Args:
        augments: V, the augmentation of each view.
        split: the images.
        keys: (V, 2) in main memory.
    """
    if not crops_on_reading(augments, split):
        return []
    pairs = zip(augments, keys, strict=True)
    return [partial(augment.boxes, keys=key) if _crops(augment) else None for augment, key in pairs]


def augment_views(
    augments: Sequence[Augment],
    image: Num[Tensor, "n c h w"],
    index: Int[Tensor, " b"],
    keys: Int64[Tensor, "v 2"],
    *,
    cropped: bool,
) -> Float[Tensor, "vb d y x"]:
    """The augmented and normalised views of a batch, one after the other.

    Args:
        augments: V, the augmentation of each view.
        image: (B, 3, H, W), or, where boxes were cut out as they were read, (V*B, 3, H, W); rows of stored
            features (B, 1, 1, 1).
        index: (B,) position of each image in its split.
        keys: (V, 2) on the images' device.
        cropped: whether they were.
    """
    images = image.tensor_split(len(keys)) if cropped else [image] * len(keys)
    parts = zip(augments, images, keys, strict=True)
    views = [augment.apply(one, index, key, cropped=cropped) for augment, one, key in parts]
    return views[0] if len(views) == 1 else torch.cat(views)
