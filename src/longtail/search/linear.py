"""Linear classifiers on stored features, fitted to convergence and cross-validated in seconds."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from longtail.models.neck import Neck

STEPS = 40  # of L-BFGS, at most


def coordinates(features: Float[Tensor, "n d"]) -> Float[Tensor, "n r"]:
    """Standardised features in coordinates of the space that they span, with a 1 for the bias; r <= min(n, d) + 1.

    A classifier with L2 decay lies in that space, so that a fit in these coordinates is one on the features.
    """
    neck = Neck(1, features.shape[1])
    neck.standardize([features])
    level = neck(features[None])[0]
    if len(level) < level.shape[1]:
        values, vectors = torch.linalg.eigh((level @ level.T).double())
        level = (vectors * values.clamp_min(0).sqrt()).float()
    return torch.cat([level, level.new_ones(len(level), 1)], 1)


def fit(
    x: Float[Tensor, "n r"],
    targets: Int[Tensor, " n"],
    num_classes: int,
    tau: float,
    decay: float,
    start: Float[Tensor, "r c"] | None = None,
) -> Float[Tensor, "r c"]:
    """Weights of the least mean cross-entropy of logits raised by tau * log(class count), plus decay/2 * |weights|^2.

    That is what `balanced_softmax` with `optim.weight_decay` converges to.

    Args:
        x: (N, R), see `coordinates`.
        targets: (N,) classes.
        num_classes: C.
        tau: strength of the class counts, >= 0.
        decay: > 0.
        start: (R, C) weights to begin at; None: 0.
    """
    shift = tau * torch.bincount(targets, minlength=num_classes).clamp_min(1).float().log()
    weight = (x.new_zeros(x.shape[1], num_classes) if start is None else start.clone()).requires_grad_()
    optimizer = torch.optim.LBFGS([weight], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        loss = cross_entropy(x @ weight + shift, targets) + decay / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach()


def can_be_judged(targets: Int[Tensor, " n"], fold: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Which images are of a class that has images outside their own fold, and so in the fits that judge them.

    Args:
        targets: (N,) classes.
        fold: (N,) of each image.

    >>> can_be_judged(torch.tensor([0, 0, 1, 2, 2]), torch.tensor([0, 1, 0, 1, 1]))
    tensor([ True,  True, False, False, False])
    """
    own = torch.zeros(int(fold.max()) + 1, int(targets.max()) + 1, dtype=torch.int64)
    own.index_put_((fold, targets), torch.ones_like(targets), accumulate=True)
    return own.sum(0)[targets] > own[fold, targets]


def cross_validated(
    x: Float[Tensor, "n r"],
    targets: Int[Tensor, " n"],
    fold: Int[Tensor, " n"],
    num_classes: int,
    tau: float,
    decay: float,
    after: Sequence[float] = (0.0,),
) -> Float[Tensor, "t n c"]:
    """What is said of each image by a classifier that was fitted without the images of its fold.

    Args:
        x: (N, R), see `coordinates`.
        targets: (N,) classes.
        fold: (N,) of each image.
        num_classes: C.
        tau: see `fit`, as is `decay`.
        decay: > 0.
        after: T strengths of the class counts that are taken out of the fitted logits (`logit_adjustment`).

    Returns:
        (T, N, C) logits.
    """
    said = x.new_zeros(len(after), len(x), num_classes)
    for number in range(int(fold.max()) + 1):
        kept, held = fold != number, fold == number
        if not held.any() or not kept.any():
            continue
        weight = fit(x[kept], targets[kept], num_classes, tau, decay)
        counts = torch.bincount(targets[kept], minlength=num_classes).clamp_min(1).float().log()
        logits = x[held] @ weight
        for place, strength in enumerate(after):
            said[place, held] = logits - strength * counts
    return said
