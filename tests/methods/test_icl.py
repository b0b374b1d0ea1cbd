"""ICL's terms are the loss functions, each in its window, and every key of the recipe alters what it says."""

from typing import Any

import pytest
import torch
from torch import Tensor

from longtail import losses
from longtail.method import Stage
from longtail.methods.icl import DISTILLATION, DIVERSITY, ICL
from longtail.types import Batch, ModelOutput, Progress

M, B, C, D = 3, 12, 5, 8
COUNTS = torch.tensor([50, 20, 7, 1, 3])
PLAIN = {"diversity_stop": 30, "contrastive_start": 120, "classifier_epochs": 20}


def stages(**options: Any) -> tuple[Stage, ...]:
    return ICL.stages(ICL.Options(name="icl", **options), 200)


def build(num_experts: int = M, **options: Any) -> ICL:
    return ICL(ICL.Options(name="icl", **(PLAIN | options)), COUNTS, num_experts, D)


def at(epoch: int, stage: str = "feature", step: int = 0) -> Progress:
    epochs = 180 if stage == "feature" else 20
    return Progress(stage, epoch, epochs, epoch + (0 if stage == "feature" else 180), step, 0)


def example(seed: int = 0, num_experts: int = M) -> tuple[ModelOutput, Batch]:
    g = torch.Generator().manual_seed(seed)
    features, logits = (
        torch.randn(num_experts, B, D, generator=g),
        2 * torch.randn(num_experts, B, C, generator=g),
    )
    target = torch.randint(C - 1, (B,), generator=g)
    return ModelOutput(features, logits), Batch(torch.zeros(B, 3, 4, 4), target, torch.arange(B))


def seen(method: ICL, batches: int = 3) -> ICL:
    """The method after some batches, so that its trackers know something."""
    for seed in range(10, 10 + batches):
        method.observe(*example(seed, method.num_experts), at(100))
    return method


def terms(method: ICL, epoch: int = 130, stage: str = "feature") -> dict[str, float]:
    found = method.loss(*example(0, method.num_experts), at(epoch, stage))
    return {name: value.item() for name, value in found.items()}


def close(found: dict[str, float], expected: dict[str, Tensor]) -> bool:
    assert list(found) == list(expected)
    return all(found[name] == pytest.approx(value.item(), rel=1e-6) for name, value in expected.items())


def by_hand(method: ICL) -> dict[str, Tensor]:
    output, batch = example()
    each = losses.expert_cross_entropy(output.logits, batch.target)
    negatives, valid = method.confusion.most_confused(batch.target, 7)
    contrast = losses.confusion_contrastive(
        output.features, batch.target, method.prototypes.prototypes, negatives, valid, temperature=0.07
    )
    return {
        "parallel": losses.parallel_loss(each, factor=9),
        "distillation": losses.mutual_distillation(output.logits),
        "diversity": losses.adaptive_diversity_floored(output.features),
        "contrastive": contrast.sum(),
        "logit_adjustment": losses.logit_adjusted_cross_entropy(output.logits, batch.target, COUNTS).sum(),
        "cross_entropy": each.sum(),
    }


@pytest.mark.parametrize(
    ("epoch", "stage", "names"),
    [
        (0, "feature", ["parallel", "distillation", "diversity"]),
        (29, "feature", ["parallel", "distillation", "diversity"]),
        (30, "feature", ["parallel", "distillation"]),
        (119, "feature", ["parallel", "distillation"]),
        (120, "feature", ["parallel", "distillation", "contrastive"]),
        (179, "feature", ["parallel", "distillation", "contrastive"]),
        (0, "classifier", ["logit_adjustment"]),
        (19, "classifier", ["logit_adjustment"]),
    ],
)
def test_terms_of_each_window(epoch: int, stage: str, names: list[str]) -> None:
    method = seen(build())
    expected = by_hand(method)
    assert close(terms(method, epoch, stage), {name: expected[name] for name in names})
    assert all(abs(expected[name].item()) > 1e-3 for name in names)


def test_windows_that_overlap() -> None:
    method = build(diversity_stop=50, contrastive_start=40)
    names = {epoch: set(terms(method, epoch)) for epoch in (39, 40, 49, 50)}
    assert names[39] == {"parallel", "distillation", "diversity"}
    assert names[40] == names[49] == {"parallel", "distillation", "diversity", "contrastive"}
    assert names[50] == {"parallel", "distillation", "contrastive"}


def test_replace_mode_leaves_the_contrastive_term_alone() -> None:
    method = seen(build(contrastive_mode="replace", diversity_stop=150))
    assert close(terms(method, 120), {"contrastive": by_hand(method)["contrastive"]})
    assert set(terms(method, 119)) == {"parallel", "distillation", "diversity"}
    without = build(contrastive_mode="replace", contrastive_weight=0.0)
    assert set(terms(without, 120)) == {"parallel", "distillation"}


@pytest.mark.parametrize("name", ["distillation", "diversity", "contrastive"])
def test_a_weight_scales_its_term_and_zero_removes_it(name: str) -> None:
    options = {"diversity_stop": 150}
    whole, double = seen(build(**options)), seen(build(**options, **{f"{name}_weight": 2.5}))
    none = seen(build(**options, **{f"{name}_weight": 0.0}))
    a, b, c = terms(whole), terms(double), terms(none)
    assert b.pop(name) == pytest.approx(2.5 * a.pop(name), rel=1e-6)
    assert a == b == c


def test_rows_of_the_ablation_table() -> None:
    """Table 4: single; experts; with competition and collaboration; with diversity and contrast."""
    off = {
        "competition": False,
        "distillation_weight": 0.0,
        "diversity_weight": 0.0,
        "contrastive_weight": 0.0,
    }
    output, batch = example()
    each = losses.expert_cross_entropy(output.logits, batch.target)
    assert close(terms(build(**off), 0), {"cross_entropy": each.sum()})
    single, own = (
        build(1, **off),
        losses.expert_cross_entropy(example(0, 1)[0].logits, example(0, 1)[1].target),
    )
    assert close(terms(single, 0), {"cross_entropy": own.sum()})
    rest = {"diversity_weight": 0.0, "contrastive_weight": 0.0}
    assert set(terms(build(**rest), 0)) == set(terms(build(**rest), 130)) == {"parallel", "distillation"}


def test_one_expert_has_no_terms_between_experts() -> None:
    method = seen(build(1, diversity_stop=150))
    assert set(terms(method)) == {"parallel", "contrastive"}
    output, batch = example(0, 1)
    expected = losses.expert_cross_entropy(output.logits, batch.target).sum().item()
    assert terms(method)["parallel"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("form", list(DIVERSITY))
def test_forms_of_diversity(form: str) -> None:
    found = terms(build(diversity_form=form), 0)["diversity"]
    assert found == pytest.approx(DIVERSITY[form](example()[0].features).item(), rel=1e-6)


@pytest.mark.parametrize("form", list(DISTILLATION))
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_forms_of_distillation(form: str, temperature: float) -> None:
    method = build(distillation_form=form, distillation_temperature=temperature)
    expected = DISTILLATION[form](example()[0].logits, temperature=temperature)
    assert terms(method, 0)["distillation"] == pytest.approx(expected.item(), rel=1e-6)


def test_options_name_every_form() -> None:
    fields = ICL.Options.model_fields
    assert fields["diversity_form"].annotation.__args__ == tuple(DIVERSITY)
    assert fields["distillation_form"].annotation.__args__ == tuple(DISTILLATION)


def test_detached_teachers_get_no_gradient() -> None:
    for detach in (False, True):
        output, batch = example()
        logits = output.logits.requires_grad_()
        method = build(distillation_detach_teacher=detach)
        method.loss(ModelOutput(output.features, logits), batch, at(50))["distillation"].backward()
        size = logits.grad.abs().amax((1, 2))
        assert (size[0] < 1e-6 * size[2]) == detach


def test_the_parallel_factor() -> None:
    one, times, squared = (
        terms(build(parallel_factor=factor), 50)["parallel"]
        for factor in ("one", "num_experts", "num_experts_squared")
    )
    assert (times, squared) == (pytest.approx(3 * one), pytest.approx(9 * one))


@pytest.mark.parametrize(
    ("key", "value", "argument"),
    [
        ("similarity", "dot", "similarity"),
        ("negatives", "mean", "reduction"),
        ("temperature", 0.5, "temperature"),
    ],
)
def test_forms_of_the_contrastive_term(key: str, value: Any, argument: str) -> None:
    method, (output, batch) = seen(build(**{key: value})), example()
    chosen = method.confusion.most_confused(batch.target, 7)
    options = {"temperature": 0.07} | {argument: value}
    expected = losses.confusion_contrastive(
        output.features, batch.target, method.prototypes.prototypes, *chosen, **options
    )
    found = terms(method)["contrastive"]
    assert found == pytest.approx(expected.sum().item(), rel=1e-6)
    assert found != pytest.approx(terms(seen(build()))["contrastive"], rel=1e-3)


@pytest.mark.parametrize(("key", "value"), [("num_negatives", 1), ("own_class", True)])
def test_choice_of_negatives(key: str, value: Any) -> None:
    method, (output, batch) = seen(build(**{key: value})), example()
    chosen = method.confusion.most_confused(
        batch.target, 1 if key == "num_negatives" else 7, include_own=key == "own_class"
    )
    prototypes = method.prototypes.prototypes
    expected = losses.confusion_contrastive(
        output.features, batch.target, prototypes, *chosen, temperature=0.07
    )
    found = terms(method)["contrastive"]
    assert found == pytest.approx(expected.sum().item(), rel=1e-6)
    assert found != pytest.approx(terms(seen(build()))["contrastive"], rel=1e-3)


def test_observe_counts_and_averages() -> None:
    method, (output, batch) = build(), example()
    method.observe(output, batch, at(0))
    confusion, prototypes = torch.zeros(M, C, C), torch.zeros(M, C, D)
    for m in range(M):
        for i, target in enumerate(batch.target.tolist()):
            confusion[m, target, output.logits[m, i].argmax()] += 1
        for target in batch.target.unique().tolist():
            prototypes[m, target] = 0.1 * output.features[m, batch.target == target].mean(0)
    torch.testing.assert_close(method.confusion.matrix(), confusion)
    torch.testing.assert_close(method.prototypes.prototypes, prototypes)


@pytest.mark.parametrize("every", ["epoch", "batch"])
def test_confusion_decays_when_asked(every: str) -> None:
    method, (output, batch) = build(confusion_decay=0.5, confusion_decay_every=every), example()
    for _ in range(2):
        method.observe(output, batch, at(0))
    one = build()
    one.observe(output, batch, at(0))
    factor = 2.0 if every == "epoch" else 0.5 * 0.5 + 0.5  # Eq. 4, twice: a * conf + (1 - a) * counts
    torch.testing.assert_close(method.confusion.matrix(), factor * one.confusion.matrix())
    method.start_epoch(at(1))
    factor *= 0.5 if every == "epoch" else 1.0
    torch.testing.assert_close(method.confusion.matrix(), factor * one.confusion.matrix())


def test_the_classifier_stage_leaves_the_trackers_alone() -> None:
    method = seen(build())
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.start_epoch(at(0, "classifier"))
    method.observe(*example(5), at(0, "classifier"))
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_prototypes_decay_as_asked() -> None:
    slow, fast = seen(build(prototype_decay=0.9), 1), seen(build(prototype_decay=0.1), 1)
    torch.testing.assert_close(fast.prototypes.prototypes, 9 * slow.prototypes.prototypes)


def test_stages_follow_the_options() -> None:
    feature, classifier = stages(classifier_peak_lr=0.03, classifier_batch_norm="eval")
    assert (feature.name, feature.epochs, feature.trainable, feature.warmup_epochs) == (
        "feature",
        180,
        ("*",),
        None,
    )
    assert (classifier.name, classifier.epochs, classifier.trainable) == ("classifier", 20, ("heads.*",))
    assert (classifier.peak_lr, classifier.warmup_epochs, classifier.batch_norm) == (0.03, 0, "eval")
    assert feature.bank != classifier.bank
    assert {feature.sampler, classifier.sampler} == {"instance"}
    (only,) = stages(classifier_epochs=0)
    assert only.epochs == 200


def test_tau_adjusts_the_classifier_stage() -> None:
    output, batch = example()
    for tau in (0.0, 1.5):
        expected = losses.logit_adjusted_cross_entropy(output.logits, batch.target, COUNTS, tau=tau).sum()
        assert close(terms(build(tau=tau), 0, "classifier"), {"logit_adjustment": expected})


@pytest.mark.parametrize("tau", [0.0, 0.6])
def test_feature_tau_adjusts_the_cross_entropies_of_the_feature_stage_alone(tau: float) -> None:
    output, batch = example()
    adjusted = losses.logit_adjust(output.logits, COUNTS, tau=tau)
    expected = M**2 * 1 / (1 / losses.expert_cross_entropy(adjusted, batch.target)).sum()
    method, plain = build(feature_tau=tau), build()
    found, without = terms(method, 40), terms(plain, 40)
    assert found["parallel"] == pytest.approx(expected.item(), rel=1e-5)
    assert {**found, "parallel": 0} == {**without, "parallel": 0}  # experts teach each other as before
    assert terms(method, 0, "classifier") == terms(plain, 0, "classifier")
