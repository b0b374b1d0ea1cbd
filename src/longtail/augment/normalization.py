"""From uint8 to normalised floats."""

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor


def normalized(
    image: UInt8[Tensor, "b 3 h w"], scale: Float32[Tensor, "3 3 1 1"]
) -> Float32[Tensor, "b 3 h w"]:
    """(image / 255 - mean) / std; 255 is a tensor, or an accelerator would multiply by its reciprocal."""
    if not image.is_contiguous(memory_format=torch.channels_last):
        full, mean, std = scale
        result = image.float().div_(full).sub_(mean).div_(std)
        return result.contiguous(memory_format=torch.channels_last)
    # Row by row: on a CPU, three channels that lie side by side are too few to be worked on together.
    full, mean, std = scale.flatten(1).repeat(1, image.shape[-1])
    rows = image.permute(0, 2, 3, 1).flatten(2)
    result = rows.float().div_(full).sub_(mean).div_(std)
    return result.view(len(image), *image.shape[-2:], 3).permute(0, 3, 1, 2)
