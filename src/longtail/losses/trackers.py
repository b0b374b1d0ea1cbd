"""Statistics between batches: a running confusion matrix and a prototype (mean feature) of each class.

State is in registered buffers, so it is saved, restored and moved with its module. Updates take no gradient,
need no host synchronisation and have fixed shapes. Every process that applies the same updates holds the same
state.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from longtail.losses._numeric import without_autocast

SMALLEST_SCALE = 2.0**-20


class ConfusionTracker(nn.Module):
    """Running confusion matrix of each expert, Eq. 4: conf = a * conf + (1 - a) * Count(true -> predicted).

    The printed form, each batch: `decay(a)`, then `update(predicted, target, weight=1 - a)`; at a = 0.1 it
    forgets 90 % at each batch. The released form: `update` each batch, `decay` once an epoch.

    Correct predictions are counted on the diagonal. The matrix is `counts * scale`; `decay` alters the scale.

    Args:
        num_experts: M >= 1.
        num_classes: C >= 1; memory is 4 * M * C^2 bytes.

    """

    counts: Tensor
    scale: Tensor

    def __init__(self, num_experts: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(num_experts, num_classes, num_classes))
        self.register_buffer("scale", torch.ones(()))
        self._scale = 1.0  # the same number on the host, to see when it gets small
        self.register_load_state_dict_post_hook(_read_scale)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update(self, predicted: Int[Tensor, "m b"], target: Int[Tensor, " b"], weight: float = 1.0) -> None:
        """Add `weight` at (m, target, predicted) for each expert and sample, in O(M*B).

        Args:
            predicted: (M, B) each expert's class indices in [0, C).
            target: (B,) class indices in [0, C).
            weight: what one sample adds, > 0.

        """
        experts, classes, _ = self.counts.shape
        row = torch.arange(experts, device=target.device).unsqueeze(1) * classes + target
        cell = (row * classes + predicted).flatten()
        self.counts.view(-1).scatter_add_(0, cell, (weight / self.scale).expand(cell.shape))

    @torch.no_grad()
    def decay(self, factor: float) -> None:
        """Multiply the matrix by `factor` in O(1); the counts are touched only when the scale gets small.

        Inside the capture of a CUDA graph, which cannot branch later, the matrix is multiplied at once.

        Args:
            factor: weight kept on what was counted so far, in (0, 1].

        """
        self.scale.mul_(factor)
        self._scale *= factor
        if self._scale < SMALLEST_SCALE or (self.counts.is_cuda and torch.cuda.is_current_stream_capturing()):
            self.counts.mul_(self.scale)
            self.scale.fill_(1.0)
            self._scale = 1.0

    def matrix(self) -> Float[Tensor, "m c c"]:
        """(M, C, C) running number of samples of class row predicted as class column."""
        return self.counts * self.scale

    @torch.no_grad()
    def most_confused(
        self, target: Int[Tensor, " b"], k: int, include_own: bool = False
    ) -> tuple[Int[Tensor, "m b {k}"], Bool[Tensor, "m b {k}"]]:
        """The K classes that each sample's class is most often predicted as, read from the batch's rows only.

        Args:
            target: (B,) class indices in [0, C).
            k: K >= 1; more than there are classes fills up with entries that are not valid.
            include_own: True lets the class itself compete, as the released form does, where it usually wins.

        Returns:
            (M, B, K) class indices, the most confused first and equal counts by the lower index, on any
            device; and (M, B, K) whether that confusion has been counted and not yet decayed to nothing (below
            the smallest float): other indices mean nothing.

        """
        rows = self.counts.float().index_select(1, target)
        classes = rows.shape[2]
        if not include_own:
            rows.scatter_(2, target.long().expand(len(rows), -1).unsqueeze(2), 0.0)
        # Positive floats order as their bits do: count above, lower index below, and no two keys are equal.
        from_last = torch.arange(classes - 1, -1, -1, device=rows.device)
        keys = (rows.view(torch.int32).long() << 32) | from_last
        best = keys.topk(min(k, classes), -1).values
        indices, valid = classes - 1 - (best & 0xFFFFFFFF), (best >> 32) > 0
        missing = (0, k - best.shape[2])
        return pad(indices, missing), pad(valid, missing, value=False)


def _read_scale(tracker: ConfusionTracker, _: object) -> None:
    tracker._scale = float(tracker.scale)


class PrototypeBank(nn.Module):
    """A running mean feature of each class for each expert, from zero.

    Attributes:
        prototypes: (M, C, D); all-zero where the class has never been seen.

    Args:
        num_experts: M >= 1.
        num_classes: C >= 1.
        dim: D >= 1; memory is 4 * M * C * D bytes.

    """

    prototypes: Tensor

    def __init__(self, num_experts: int, num_classes: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("prototypes", torch.zeros(num_experts, num_classes, dim))

    @torch.no_grad()
    def update(self, features: Float[Tensor, "m b d"], target: Int[Tensor, " b"], decay: float = 0.9) -> None:
        """Move the prototypes of the batch's classes, Eq. 5: p_c = decay * p_c + (1 - decay) * mean h of c.

        The paper keeps 0.1 of the old value, the released form 0.9. Costs O(M * B^2 * D), whatever C.

        Args:
            features: (M, B, D) of each expert.
            target: (B,) class indices in [0, C); other classes stay as they are.
            decay: weight kept on the old value, in [0, 1].

        """
        same = target.unsqueeze(1) == target
        share = same.to(self.prototypes.dtype) / same.sum(1, keepdim=True)
        with without_autocast(features):
            means = share @ features.to(self.prototypes.dtype)
        moved = self.prototypes.index_select(1, target).lerp(means, 1 - decay)
        # Samples of one class write one row: let all of them write the very same values, those of the first.
        first = torch.where(same, torch.arange(len(target), device=target.device), len(target)).amin(1)
        self.prototypes.index_copy_(1, target, moved.index_select(1, first))
