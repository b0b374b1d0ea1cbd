"""Grad-CAM (Selvaraju et al., ICCV 2017) of each expert: where an image speaks for a class."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from longtail.types import InputError

NEEDS_CAPTUM = "heat maps need captum; install it with: pip install captum"


def grad_cam(
    expert_logits: Callable[[Tensor], Tensor],
    layers: Sequence[nn.Module],
    image: Num[Tensor, "b 3 height width"],
    target: Int[Tensor, " b"],
) -> Float[Tensor, "m b h w"]:
    """Each expert's Grad-CAM for one class an image, on a map of that expert, by the paper its last one.

    With A (D, h, w) the map and z the expert's logit of the class, the map is
    ReLU(sum_d a_d A_d), a_d the mean of dz / dA_d over the h*w places. Where a cosine classifier follows the mean of A,
    z does not change with the length of that mean, so sum_d a_d A_d averages to zero over the places: such a map
    shows where the evidence is above the image's average.

    Args:
        expert_logits: from images to the logits (M, B, C) that are explained; no statistic of it may change.
        layers: for each expert the module whose output (B, D, h, w) is its map; all of one size.
        image: what `expert_logits` is given.
        target: class indices.

    Returns:
        Maps >= 0 in the units of logits, not scaled; all zero where nothing speaks for the class.

    Raises:
        InputError: captum is not installed.
    """
    try:
        from captum.attr import LayerGradCam
    except ImportError:
        raise InputError(NEEDS_CAPTUM) from None

    maps = []
    for expert, layer in enumerate(layers):
        explained = LayerGradCam(lambda x, m=expert: expert_logits(x)[m], layer)
        found = explained.attribute(image, target.to(image.device), relu_attributions=True)
        maps.append(found.detach().float().squeeze(1))
    return torch.stack(maps)


def brightest_is_one(maps: Float[Tensor, "m b h w"]) -> Float[Tensor, "m b h w"]:
    """Each map divided by its own maximum, into [0, 1]; a map that is zero everywhere stays so."""
    brightest = maps.amax(dim=(-2, -1), keepdim=True)
    return maps / torch.where(brightest > 0, brightest, 1.0)
