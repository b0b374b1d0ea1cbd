"""Averages of weights, sharpness, AdamW and probes: each is what its definition says, and a run goes on with it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_resume import differences
from tiny_runs import STEPS, state_of, stop_at, tiny
from torch import Tensor, nn

from longtail.engine.averaging import WeightAverage, statistics_kept, statistics_taken_again
from longtail.engine.display import Display
from longtail.engine.job import build_job
from longtail.engine.optimizers import PlainAdamW
from longtail.engine.probes import ExpertDivergence, GradientShare
from longtail.engine.processes import ALONE
from longtail.engine.step import StageTraining
from longtail.engine.train import fit
from longtail.method import Stage
from longtail.recipe import load_recipe
from longtail.recipe.options import OptimOptions
from longtail.runs.folder import RunFolder
from longtail.types import InputError, Progress

WORDS: dict[str, dict[str, Any]] = {
    "ema, adamw": {"optim__ema": 0.9, "optim__optimizer": "adamw", "optim__peak_lr": 1e-3},
    "last, sharpness": {"optim__average_last": 2, "optim__sharpness": 0.05},
}
SHORT = {"optim__epochs": 3, "method__classifier_epochs": 1, "run__probes": ["gradient_share", "expert_kl"]}


def average_of(values: dict[str, Tensor], epochs: int = 5, **options: Any) -> WeightAverage:
    return WeightAverage(values, OptimOptions(**options), Stage("only", epochs))


def test_a_moving_average_keeps_its_share_of_itself() -> None:
    weight, expected = torch.zeros(2), torch.zeros(2)
    average = average_of({"w": weight}, ema=0.5)
    for step in range(12):
        weight += 1.0
        average.after_step()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight
    with average.shown():
        torch.testing.assert_close(weight, expected)
    assert weight.tolist() == [12.0, 12.0]
    average.settle()
    torch.testing.assert_close(weight, expected)


def test_the_last_epochs_are_averaged_evenly_and_no_others() -> None:
    weight = torch.zeros(1)
    average = average_of({"w": weight}, average_last=3)
    retaken: list[float] = []
    for epoch in range(5):
        weight.fill_(10.0**epoch)
        average.after_epoch(epoch, lambda: retaken.append(weight.item()))
        with average.shown():
            shown = weight.item()
        assert shown == pytest.approx(
            10.0**epoch if epoch < 2 else sum(10.0**e for e in range(2, epoch + 1)) / (epoch - 1)
        )
    assert retaken == pytest.approx([100, 550, 3700])


def test_statistics_are_plain_means_and_can_be_kept() -> None:
    norm = nn.BatchNorm2d(2)
    batches = [torch.randn(4, 2, 3, 3) + shift for shift in (0.0, 5.0, 1.0)]
    norm(torch.full((4, 2, 3, 3), 100.0) + torch.randn(4, 2, 3, 3))
    with statistics_taken_again(norm) as next_batch:
        for batch in batches:
            next_batch()
            norm(batch)
    mean = norm.running_mean
    assert mean is not None
    torch.testing.assert_close(mean, torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0))
    assert norm.momentum == 0.1
    before = mean.clone()
    with statistics_kept(norm):
        norm(batches[1])
    assert torch.equal(before, mean)


@pytest.mark.parametrize("name", WORDS)
def test_a_run_that_was_stopped_is_resumed_to_the_same_bits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny(**SHORT, **WORDS[name])
    fit(recipe, str(tmp_path / "one"), quiet=True)
    with monkeypatch.context() as patch:
        stop_at(patch, STEPS + 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, str(tmp_path / "other"), quiet=True)
    fit(recipe, str(tmp_path / "other"), resume=True, quiet=True)
    one, other = state_of(tmp_path / "one"), state_of(tmp_path / "other")
    for key in ("model", "method", "optimizer"):
        assert differences(one[key], other[key]) == []
    shipped = [load_file(tmp_path / where / "weights/last.safetensors") for where in ("one", "other")]
    assert differences(*shipped) == []
    for name_of, value in shipped[0].items():
        if not name_of.startswith("method."):
            assert torch.equal(value, one["model"][name_of])  # a stage ends as its average
    records = [json.loads(line) for line in (tmp_path / "one/log.jsonl").read_text().splitlines()]
    assert sum(records[0]["gradient_share"]) == pytest.approx(1)
    assert records[-1]["gradient_share"] is None  # the classifier stage has no gradient there
    assert len(records[-1]["expert_kl"]) == 10
    assert min(kl for kl in records[1]["expert_kl"] if kl is not None) > 0


def test_sharpness_takes_the_gradient_at_the_worst_weights_nearby(tmp_path: Path) -> None:
    """Against the two passes written out."""
    rho, given = 0.1, SHORT | {"optim__precision": "fp64", "optim__momentum": 0.0, "optim__weight_decay": 0.0}
    seen: list[list[Tensor]] = []
    stood: list[bool] = []
    for value in (0.0, rho):
        job = build_job(tiny(**given, optim__sharpness=value), RunFolder(tmp_path), Display(1, quiet=True))
        training = StageTraining(job, 0)
        step = training.epoch(Progress("feature", 0, 2, 0, 0, 3))
        weights = [p for p in job.model.parameters() if p.requires_grad]
        gradients: list[Tensor] = []
        take = training.optimizer.step
        before = [p.detach().clone() for p in weights]

        def keep(
            take: Any = take, weights: Any = weights, gradients: Any = gradients, old: Any = before
        ) -> None:
            stood.append(all(map(torch.equal, weights, old)))
            gradients.extend(torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in weights)
            take()

        training.optimizer.step = keep
        next(step)
        rate = training.optimizer.param_groups[0]["lr"]
        for p, old, gradient in zip(weights, before, gradients, strict=True):
            torch.testing.assert_close(p.detach(), old - rate * gradient)
        seen.append(gradients)
    assert stood == [True, True]
    first, second = seen
    assert any(not torch.equal(a, b) for a, b in zip(first, second, strict=True))
    job = build_job(tiny(**given), RunFolder(tmp_path), Display(1, quiet=True))
    training = StageTraining(job, 0)
    weights = [p for p in job.model.parameters() if p.requires_grad]
    norm = torch.stack([g.norm() for g in first]).norm()
    with torch.no_grad():
        for p, g in zip(weights, first, strict=True):
            p.add_(rho * g / norm)
    gradients = []

    def stop() -> None:
        gradients.extend(torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in weights)

    training.optimizer.step = stop
    next(training.epoch(Progress("feature", 0, 2, 0, 0, 3)))
    for a, b in zip(gradients, second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_the_divergence_of_experts_is_summed_over_ordered_pairs_and_averaged_by_class() -> None:
    logits, target = torch.randn(3, 7, 4), torch.tensor([0, 0, 1, 1, 1, 3, 3])
    probe = ExpertDivergence(4, torch.device("cpu"))
    probe.add(logits[:, :3], target[:3])
    probe.add(logits[:, 3:], target[3:])
    p = logits.double().softmax(-1)
    for label, found in enumerate(probe.by_class(ALONE)):
        rows = [b for b in range(7) if target[b] == label]
        terms = [
            (p[i, b] * (p[i, b].log() - p[j, b].log())).sum()
            for b in rows
            for i in range(3)
            for j in range(3)
            if i != j
        ]
        assert found == (pytest.approx(float(sum(terms)) / len(rows)) if rows else None)


def test_a_step_that_overflowed_has_no_share_of_the_gradient(tmp_path: Path) -> None:
    probe = GradientShare(build_job(tiny(**SHORT), RunFolder(tmp_path), Display(1, quiet=True)).model)
    for size in (1.0, float("inf"), 3.0):
        for number, weight in enumerate(probe._weights):
            weight.grad = torch.full_like(weight, size * (number + 1) / weight.numel() ** 0.5)
        probe.add()
    assert probe.take() == pytest.approx([1 / 3, 2 / 3])


def test_adamw_can_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch refuses to record its own unless it is made for that alone."""
    stream = SimpleNamespace(is_capturing=lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "current_stream", lambda: stream)
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    PlainAdamW([weight], lr=0.1, fused=True).step()
    assert (weight < 1).all()


def test_a_share_of_the_gradient_needs_a_stage_of_each_experts_own(tmp_path: Path) -> None:
    recipe = tiny(model__shared_stages=3, run__probes=["gradient_share"])
    with pytest.raises(InputError, match="shared_stages"):
        fit(recipe, str(tmp_path / "run"), quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"optim.ema": 0.9, "optim.average_last": 2}, "keep one"),
        ({"optim.sharpness": 0.1, "optim.precision": "fp16"}, "sharpness"),
        ({"optim.optimizer": "adamw", "optim.nesterov": True}, "nesterov"),
        ({"run.probes": ["gradients"]}, "gradient_share"),
    ],
)
def test_refusals(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_recipe("icl-digits", given)
