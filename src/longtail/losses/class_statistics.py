"""Mean and covariance of the features of each class, and implicit semantic data augmentation from them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from longtail.losses._numeric import upcast, without_autocast


class ClassStatistics(nn.Module):
    """Running mean and covariance of the features of each class for each expert, over all batches so far.

    Batches are joined exactly: the state is that of all features seen, each weighing the same, up to rounding.
    Covariances are divided by the number of features, not by one less. An update costs
    O(M * C * (B + 1) * D^2), with a diagonal O(M * C * B * D); it takes no gradient and needs no host
    synchronisation.

    Attributes:
        counts: (C,) features seen of each class.
        means: (M, C, D), zero where none was seen.
        covariances: (M, C, D, D), or with `diagonal` the variances (M, C, D); zero where none was seen.

    Args:
        num_experts: M >= 1.
        num_classes: C >= 1.
        dim: D >= 1; memory is 4 * M * C * D^2 bytes.
        diagonal: keep the variances alone, for large C and D; memory is then 4 * M * C * D bytes.

    Source: Wang et al., Implicit Semantic Data Augmentation (ISDA), NeurIPS 2019.

    """

    counts: Tensor
    means: Tensor
    covariances: Tensor

    def __init__(self, num_experts: int, num_classes: int, dim: int, *, diagonal: bool = False) -> None:
        super().__init__()
        square = (dim,) if diagonal else (dim, dim)
        self.diagonal = diagonal
        self.register_buffer("counts", torch.zeros(num_classes))
        self.register_buffer("means", torch.zeros(num_experts, num_classes, dim))
        self.register_buffer("covariances", torch.zeros(num_experts, num_classes, *square))

    @torch.no_grad()
    def update(self, features: Float[Tensor, "m b d"], target: Int[Tensor, " b"]) -> None:
        """Add a batch.

        Args:
            features: (M, B, D) of each expert.
            target: (B,) class indices in [0, C); other classes stay as they are.

        """
        features = features.to(self.means.dtype)
        classes = torch.arange(len(self.counts), device=target.device).unsqueeze(1)
        member = (classes == target).to(features.dtype)  # (C, B)
        number = member.sum(1)
        average = member / number.clamp_min(1).unsqueeze(1)
        share = number / (self.counts + number).clamp_min(1)  # of this batch, in all that was seen
        with without_autocast(features):
            means = average @ features
            spread = average @ self._squares(features - means.index_select(1, target)).flatten(2)
        moved = self._squares(means - self.means)
        part = share.view(-1, *[1] * (moved.dim() - 2))
        self.covariances.lerp_(spread.view_as(moved), part).add_(moved * (part * (1 - part)))
        self.means.lerp_(means, share.unsqueeze(1))
        self.counts.add_(number)

    def _squares(self, vectors: Float[Tensor, "m n d"]) -> Float[Tensor, "m n *square"]:
        return vectors.square() if self.diagonal else vectors.unsqueeze(-1) * vectors.unsqueeze(-2)


def implicit_augmentation(
    logits: Float[Tensor, "m b c"],
    target: Int[Tensor, " b"],
    weights: Float[Tensor, "m c d"],
    covariances: Float[Tensor, "m c d d"] | Float[Tensor, "m c d"],
    *,
    strength: float,
    shifts: Float[Tensor, "m c d"] | None = None,
    shift_strength: float = 0.0,
) -> Float[Tensor, "m b c"]:
    """Logits of a linear classifier as if features were drawn from N(h, strength * cov_y), in closed form.

    z_c + strength / 2 * v^T cov_y v + shift_strength * v^T shift_y with v = w_c - w_y: their cross-entropy bounds
    the mean one over infinitely many draws from above.

    Args:
        logits: (M, B, C) of each expert, W h + b.
        target: (B,) class indices in [0, C), y.
        weights: (M, C, D) of the classifiers, w; detach them to stop gradients.
        covariances: (M, C, D, D), or their diagonals (M, C, D), as `ClassStatistics` keeps them. Full ones cost
            M * B * D * max(C, D) numbers of memory.
        strength: >= 0.
        shifts: (M, C, D) where the features of each class are moved, such as towards similar classes.
        shift_strength: of the shifts.

    Returns:
        (M, B, C) logits, at least float32; the target's stays as it is.

    Source: Wang et al., ISDA, NeurIPS 2019; with shifts: Chen et al., RISDA, AAAI 2022.

    Example:
        v = 2 and variance 3: 0.5 * 2 * 3 * 2

        >>> implicit_augmentation(torch.zeros(1, 1, 2), torch.tensor([0]), torch.tensor([[[1.0], [3.0]]]),
        ...                       torch.tensor([[[3.0], [0.0]]]), strength=1.0)
        tensor([[[0., 6.]]])

    """
    logits, weights = upcast(logits), upcast(weights)
    spread = covariances.index_select(1, target).to(weights.dtype)
    own = weights.index_select(1, target)
    with without_autocast(logits):
        if covariances.dim() == 3:  # by parts, as (M, B, C, D) is too large where diagonals are used
            cross = (spread * own) @ weights.transpose(1, 2)
            squares = spread @ weights.square().transpose(1, 2) - 2 * cross
            squares = squares + (spread * own.square()).sum(-1, keepdim=True)
        else:
            apart = weights.unsqueeze(1) - own.unsqueeze(2)
            squares = ((apart @ spread) * apart).sum(-1)
        augmented = logits + strength / 2 * squares
        if shifts is not None:
            shift = shifts.index_select(1, target).to(weights.dtype)
            along = shift @ weights.transpose(1, 2) - (shift * own).sum(-1, keepdim=True)
            augmented = augmented + shift_strength * along
    return augmented
