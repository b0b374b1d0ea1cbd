"""Initial classifiers fitted to the features of pretrained weights, instead of random ones."""

from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from longtail.engine.features import split_features
from longtail.engine.job import Job
from longtail.method import Stage
from longtail.models.layers import ExpertHeads

MOST = 3_000  # images looked at, as many of each class as there are up to its share, at least
LEAST = 8
DECAY = 0.1  # of the weights on standardised features
_STREAM = 0x66697474  # keeps these draws apart from others that use the same seed
STEPS = 60  # of L-BFGS, at most


def fit_heads(job: Job, stage: Stage) -> None:
    """Fit the linear classifiers of a stage to features of training images as the network stands, not augmented.

    Each is a multinomial logistic regression on features of mean 0 and deviation 1, with the logarithm of the class
    counts added to its logits and an L2 penalty, so that the bare logits suit balanced classes; then it gets the class
    prior that the method's predictions stand for, less what the method adds to the logits when it predicts. One
    expert is fitted to all of these images. Several begin as copies of one network, and equal classifiers would keep
    them equal for ever: each is fitted to a sample of its own, drawn with replacement within each class by the seed.

    Args:
        job: the run, whose classifiers of the stage are written.
        stage: the stage that is about to begin.
    """
    targets = job.data.train.targets.cpu()
    rows = _some(targets, len(job.data.class_names))
    with torch.no_grad():
        features = split_features(job, job.data.train.take(rows.to(job.data.train.targets.device)))
    heads = cast(ExpertHeads, job.model.heads[stage.bank])
    priors = job.method.assumed_log_prior(stage).to(features) - _added(job, stage, features)
    for expert in range(len(heads.weight)):
        prior = priors[expert]
        own = _sample(targets[rows], expert, job.recipe.run.seed) if len(heads.weight) > 1 else slice(None)
        weight, bias = fit_linear(features[expert][own], targets[rows][own].to(features.device), len(prior))
        with torch.no_grad():
            heads.weight[expert].copy_(weight)
            heads.bias[expert, 0].copy_(bias + prior - prior.mean())


def _sample(targets: Int64[Tensor, " n"], expert: int, seed: int) -> Int64[Tensor, " n"]:
    """(N,) places drawn with replacement, of each class as many as it has."""
    rng, drawn = np.random.default_rng([_STREAM, seed, expert]), torch.empty_like(targets)
    for c in range(int(targets.max()) + 1):
        own = (targets == c).nonzero().flatten()
        if len(own):
            drawn[own] = own[torch.from_numpy(rng.integers(len(own), size=len(own)))]
    return drawn


@torch.no_grad()
def _added(job: Job, stage: Stage, features: Float[Tensor, "m n d"]) -> Float[Tensor, "m c"]:
    """What the method adds to the logits when it predicts: what it makes of none."""
    output = job.model.classify(features[:, :1], stage.bank)
    none = output._replace(logits=torch.zeros_like(output.logits))
    return job.method.expert_logits(none)[:, 0].to(features)


def fit_linear(
    features: Float[Tensor, "n d"], targets: Int64[Tensor, " n"], num_classes: int, *, decay: float = DECAY
) -> tuple[Float[Tensor, "c d"], Float[Tensor, " c"]]:
    """Weights and biases whose logits suit balanced classes, whatever the counts of these images.

    Args:
        features: (N, D), any scale.
        targets: (N,) in [0, C).
        num_classes: C.
        decay: half of it times the sum of the squared weights, on standardised features, is added to the mean loss.

    >>> x = torch.tensor([[0.0], [0.1], [0.2], [1.0]])
    >>> weight, bias = fit_linear(x, torch.tensor([0, 0, 0, 1]), 2)
    >>> (x @ weight.T + bias).argmax(1).tolist()
    [0, 0, 0, 1]
    """
    mean, deviation = features.mean(0), features.std(0, correction=0) + 1e-3
    x = (features - mean) / deviation
    shift = torch.bincount(targets, minlength=num_classes).clamp_min(1).to(x).log()
    weight = x.new_zeros(num_classes, x.shape[1], requires_grad=True)
    bias = x.new_zeros(num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        loss = cross_entropy(x @ weight.T + bias + shift, targets) + decay / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    own = weight.detach() / deviation
    return own, bias.detach() - own @ mean


def looked_at(targets: Int64[Tensor, " n"], num_classes: int) -> int:
    """How many of these images classifiers are fitted to."""
    share = _share(num_classes)
    return int(torch.bincount(targets, minlength=num_classes).clamp_max(share).sum())


def _share(num_classes: int) -> int:
    """Images of a class that are looked at, at most."""
    return max(LEAST, MOST // num_classes)


def _some(targets: Int64[Tensor, " n"], num_classes: int) -> Int64[Tensor, " k"]:
    """Rows of at most so many images of each class, evenly spaced over those that it has."""
    share = _share(num_classes)
    kept = []
    for c in range(num_classes):
        rows = (targets == c).nonzero().flatten()
        kept.append(rows[torch.linspace(0, len(rows) - 1, min(share, len(rows))).round().long()])
    return torch.cat(kept)
