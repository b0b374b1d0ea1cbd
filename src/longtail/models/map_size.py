"""The size of a network's last feature map, by the network's name, without importing PyTorch."""

import re

DEPTHS = (8, 20, 32, 44, 56)  # of ResNets for small images (He et al. 2016, section 4.2)
FOR_SMALL_IMAGES = (*(f"resnet{depth}" for depth in DEPTHS), "resnet34-small")
STRIDE = 32  # of every other network here that works by convolutions


def map_side(name: str, image_size: int) -> int | None:
    """The side of a network's last map, of square images.

    Args:
        name: of the network, one for photographs.
        image_size: side in pixels of its images.

    Returns:
        Places along that side; None where the name does not say it, or the images are too small for one.

    >>> map_side("resnet50", 100), map_side("convnext_tiny", 100), map_side("vit_tiny_patch16_224", 100)
    (4, 3, 6)
    """
    patch = re.search(r"patch(\d+)", name)
    if patch:
        return image_size // int(patch[1]) or None
    if "vit" in name:
        return None
    return image_size // STRIDE or None if "convnext" in name else -(-image_size // STRIDE)
