"""Margin losses: the target's cosine has to exceed the others by a margin that is larger for rarer classes."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from longtail.losses._numeric import upcast


def ldam_margins(counts: Int[Tensor, " c"], *, largest: float = 0.5) -> Float[Tensor, " c"]:
    """Margins of classes, largest * (n_min / n_c)^(1/4).

    Args:
        counts: (C,) training images of each class, in any order. A class without any counts as one image.
        largest: margin of the smallest class, in cosines.

    Returns:
        (C,) float32 margins in (0, largest].

    Source: Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS 2019.

    Example:
        >>> ldam_margins(torch.tensor([16, 1]))
        tensor([0.2500, 0.5000])

    """
    images = counts.clamp_min(1).float()
    return largest * (images.amin() / images) ** 0.25


def target_margin(
    cosines: Float[Tensor, "m b c"],
    target: Int[Tensor, " b"],
    margins: Float[Tensor, " c"],
    *,
    scale: float | Float[Tensor, " b"] = 30.0,
) -> Float[Tensor, "m b c"]:
    """Logits with a margin taken off the target's cosine: scale * (cos_c - margin_y [c = y]).

    Args:
        cosines: (M, B, C) of each expert: logits of a cosine head over its scale.
        target: (B,) class indices in [0, C), y.
        margins: (C,) of each class, in cosines, as `ldam_margins` gives them.
        scale: > 0: one number, or (B,) one for each sample.

    Returns:
        (M, B, C) logits, at least float32.

    Source: Cao et al., NeurIPS 2019.

    Example:
        >>> target_margin(torch.zeros(1, 1, 2), torch.tensor([1]), torch.tensor([0.1, 0.5]), scale=10.0)
        tensor([[[ 0., -5.]]])

    """
    cosines = upcast(cosines)
    taken_off = margins.to(cosines.dtype).index_select(0, target).unsqueeze(1)
    is_target = target.unsqueeze(1) == torch.arange(cosines.shape[2], device=target.device)
    factor = scale.unsqueeze(1) if isinstance(scale, Tensor) else scale
    return factor * (cosines - taken_off * is_target)
