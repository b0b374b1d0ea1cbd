"""Optional measurements of a run: the experts' shares of the gradient, and the divergence of their predictions."""

from collections.abc import Collection

import torch
from jaxtyping import Float, Int
from torch import Tensor

from longtail.engine.processes import Processes
from longtail.models import ExpertModel
from longtail.types import InputError


def check_probes(probes: Collection[str], model: ExpertModel) -> None:
    """Refuse what cannot be measured.

    Raises:
        InputError: the experts share all stages, so none has a last convolution of its own.
    """
    if "gradient_share" in probes and not model.last_convolutions():
        raise InputError(
            "the probe gradient_share needs experts with a stage of their own; lower model.shared_stages, or leave it "
            "out of run.probes"
        )


class GradientShare:
    """Each expert's share of the gradient: the norm at its own last convolution over the sum of all, a mean over steps.

    The paper's Figures 1 and 3a (ICL, IJCAI 2025, section 3.1).

    Args:
        model: the network.
    """

    def __init__(self, model: ExpertModel) -> None:
        self._weights = model.last_convolutions()
        count, device = len(self._weights), next(model.parameters()).device
        self._sums = torch.zeros(count, device=device)
        self._steps = torch.zeros((), device=device)

    def add(self) -> None:
        """After backward, before the step; waits for nothing."""
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        if not gradients or len(gradients) < len(self._weights):
            return
        norms = torch.stack([gradient.float().norm() for gradient in gradients])
        counts = norms.isfinite().all()  # in fp16 a step may overflow, which is then not taken
        self._sums.add_(torch.where(counts, norms / norms.sum().clamp_min(1e-30), 0.0))
        self._steps.add_(counts)

    def take(self) -> list[float] | None:
        """(M,) shares since this was last asked, which sum to 1; None where the convolutions had no gradients."""
        steps = float(self._steps)
        shares = (self._sums / max(steps, 1.0)).tolist() if steps else None
        self._sums.zero_()
        self._steps.zero_()
        return shares


class ExpertDivergence:
    """KL divergence between the experts' predictions by class, summed over ordered pairs (the paper's Figure 3b).

    Args:
        num_classes: C.
        device: where the logits are.
    """

    def __init__(self, num_classes: int, device: torch.device) -> None:
        self.sums = torch.zeros(num_classes, dtype=torch.float64, device=device)
        self.images = torch.zeros(num_classes, dtype=torch.int64, device=device)

    def add(self, logits: Float[Tensor, "m b c"], target: Int[Tensor, " b"]) -> None:
        """Add a batch of images of these classes."""
        log_p = logits.double().log_softmax(-1)
        pairs = (log_p.exp() * (len(log_p) * log_p - log_p.sum(0))).sum((0, 2))
        self.sums.index_add_(0, target, pairs)
        self.images.index_add_(0, target, torch.ones_like(target))

    def by_class(self, processes: Processes) -> list[float | None]:
        """(C,) mean over the images of each class, in nats; None for a class without images.

        Args:
            processes: those that share the images; on each of them the means are over all.
        """
        processes.add_up(self.sums, self.images)
        means = (self.sums / self.images.clamp_min(1)).tolist()
        return [mean if images else None for mean, images in zip(means, self.images.tolist(), strict=True)]
