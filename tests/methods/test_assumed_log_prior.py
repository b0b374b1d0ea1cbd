"""What a method's predictions assume of the class prior: exchanged for another mix they are the true posterior.

The problem is made up and small: an image is one of four kinds, and how often each kind is of each class is known. A
network without limits, a table of logits, is trained by the method's own loss until nothing is left to gain. Then
softmax(logits + log mix - assumed log prior) has to be Bayes' rule for images that come with that mix.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import longtail
from longtail.method import Stage
from longtail.methods import available
from longtail.types import Batch, ModelOutput, Progress

KINDS = torch.tensor([[18, 4, 1], [12, 8, 1], [4, 3, 1], [2, 1, 1]])  # (K, C) training images
COUNTS = KINDS.sum(0)  # 36, 16, 4
MIX = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
REPEATS = {"instance": (1, 1, 1), "square_root": (2, 3, 6), "class_balanced": (4, 9, 36)}
CLASSIFIER = "classifier"
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("cross_entropy", "train", {}),
    ("class_balanced", "train", {"beta": 0.9}),
    ("class_balanced", "train", {"start": 1, "beta": 0.9}),
    ("weight_balancing", "feature", {}),
    ("weight_balancing", CLASSIFIER, {"beta": 0.9}),
    ("risda", "feature", {}),
    ("crt", "feature", {}),
    ("crt", CLASSIFIER, {}),
    ("lws", "feature", {}),
    ("lws", "scale", {}),
    ("balanced_softmax", "train", {}),
    ("tsc", CLASSIFIER, {}),
    ("bcl", "train", {}),
    ("bcl", "train", {"tau": 0.5}),
    ("balanced_softmax", "train", {"tau": 0.5}),
    ("logit_adjustment", "train", {}),
    ("logit_adjustment", "train", {"tau": 1.5}),
    ("icl", CLASSIFIER, {}),
    ("icl", CLASSIFIER, {"tau": 0.7}),
    ("icl", "feature", {"contrastive_weight": 0.0}),
    ("icl", "feature", {"contrastive_weight": 0.0, "feature_tau": 0.7}),
    ("sade", "train", {}),
    ("sade", "train", {"tau": 1.5}),
    ("balpoe", "train", {"mixup_alpha": 0.0}),
    ("balpoe", "train", {"mixup_alpha": 0.0, "tau_first": -1.0, "tau_last": 2.0}),
    ("shike", CLASSIFIER, {}),
    ("shike", CLASSIFIER, {"tau": 0.7}),
    ("shike", "feature", {"mining_weight": 0.0}),
    ("tcl", "train", {"calibration_weight": 0.0}),
    ("lgla", "train", {"angular_weight": 0.0}),
    ("lgla", "train", {"angular_weight": 0.0, "tau": 1.5}),
    ("ncl", "train", {"hard_weight": 0.0}),
    ("ncl_plus", "train", {"hard_weight": 0.0}),
    ("mdcs", "train", {}),
    ("mdcs", "train", {"lambda_first": 0.5}),
]
WITHOUT_BAYES: dict[str, str] = {
    "ace": "each class is the mean of the experts that own it",
    "reslt": "branches that do not see the largest classes are added",
    "ride": "the margin is taken off the target alone, and experts flee from each other",
    "gcl": "it sees mixed images and noise alone",
    "h2t": "it sees mixed images and mixed features alone",
    "mislas": "it sees mixed images alone, and labels are smoothed",
    "ib": "an image weighs by what the network makes of it",
    "kps": "cosines are raised in training alone, and the margin is taken off the target alone",
    "ldam": "the margin is taken off the target alone",
    "manifold_mixup": "it sees mixed features alone",
    "tau_norm": "normalised logits are no logarithm of a probability",
    "mixup": "it sees mixed images alone",
    "bbn": "in training its two halves see different images",
    "dbn_mix": "it sees mixed images alone, and predicts without the temperatures it is trained with",
    "glmc": "it sees mixed images alone",
    "sbcl": "the margin is taken off the target alone",
    "paco": "the softmax is over keys beside classes, and a class weighs more than a key of it",
    "focal": "its minimum is flatter than the posterior, and in another way for each image",
}
"""Methods whose best logits are no posterior, whatever they assume, and why."""


def trained(name: str, stage: Stage, **options: Any) -> Tensor:
    """softmax of a method's best logits for each kind, with the class prior exchanged: (K, C)."""
    cls = available()[name]
    experts = cls.needs.get("num_experts", 1)
    experts = experts if isinstance(experts, int) else experts[0]
    method = cls(cls.Options(name=name, **options), COUNTS, experts, 2)
    shown = KINDS * torch.tensor(REPEATS[stage.sampler])
    kind, target = torch.nonzero(shown, as_tuple=True)
    times = shown[kind, target]
    kind, target = kind.repeat_interleave(times), target.repeat_interleave(times)
    table = torch.zeros(experts, len(KINDS), len(COUNTS), dtype=torch.float64, requires_grad=True)
    features = torch.zeros(experts, len(kind), 2, dtype=torch.float64)
    aux = {"classifier": torch.zeros(experts, len(COUNTS), 2, dtype=torch.float64)}
    batch = Batch(torch.zeros(method.num_views * len(kind), 3, 1, 1), target, torch.arange(len(kind)))
    progress = Progress(stage.name, 0, 1, 0, 0, 0)
    batch = method.prepare(batch, progress)
    views = len(batch.image) // len(target)
    features, kind = features.repeat(1, views, 1), kind.repeat(views)
    solver = torch.optim.LBFGS([table], max_iter=500, tolerance_grad=1e-10, tolerance_change=1e-14,
                               line_search_fn="strong_wolfe")  # fmt: skip

    def closure() -> Tensor:
        solver.zero_grad()
        terms = method.loss(ModelOutput(features, table[:, kind], aux), batch, progress)
        total = torch.stack(list(terms.values())).sum()
        total.backward()
        return total

    solver.step(closure)
    output = ModelOutput(features[:, : len(KINDS)], table.detach())
    return (method.logits(output).double() + MIX.log() - method.assumed_log_prior(stage)).softmax(-1)


def test_no_shipped_method_is_left_out() -> None:
    shipped = (Path(longtail.__file__).parent / "methods").glob("[!_]*.py")
    assert {name for name, _, _ in CASES} | WITHOUT_BAYES.keys() == {file.stem for file in shipped}
    assert not {name for name, _, _ in CASES} & WITHOUT_BAYES.keys()


@pytest.mark.parametrize("sampler", list(REPEATS))
@pytest.mark.parametrize(("name", "stage", "options"), CASES)
def test_with_another_class_mix_the_posterior_is_bayes(
    name: str, stage: str, options: dict[str, Any], sampler: Any
) -> None:
    likelihood = KINDS.double() / COUNTS
    bayes = likelihood * MIX / (likelihood * MIX).sum(1, keepdim=True)
    torch.testing.assert_close(
        trained(name, Stage(stage, 1, sampler=sampler), **options), bayes, atol=1e-4, rtol=0
    )
