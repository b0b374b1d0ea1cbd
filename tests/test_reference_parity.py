"""The library's training step against the plain PyTorch program in `benchmarks/`: same weights, same batch."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from longtail.engine.schedule import learning_rate
from longtail.engine.step import freeze
from longtail.method import Method, Stage
from longtail.models import ExpertResNet, build_model
from longtail.recipe import Recipe, load_recipe
from longtail.types import Batch, Progress

C, B = 10, 16
SAME = {
    "model.head": "cosine",
    "method.diversity_form": "cosine_floored",
    "optim.clip_norm": 0.0,
}  # as it has them
COUNTS = [50, 38, 30, 23, 17, 12, 8, 5, 3, 1]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "reference.py"
    spec = importlib.util.spec_from_file_location("reference_program", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.DEVICE = torch.device("cpu")
    return module


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("icl-cifar100-lt", SAME)[0]


def name_in_reference(name: str) -> str:
    """The library's name of a tensor (heads apart) as the plain program has it."""
    name = name.replace(".conv.", ".0.").replace(".norm.", ".1.")
    name = name.replace("trunk.stem.", "stem.").replace("trunk.stages.0.", "stage1.")
    name = name.replace("trunk.stages.1.", "stage2.")
    if name.startswith("experts."):
        _, expert, _, _, rest = name.split(".", 4)
        return f"stage3.{expert}.{rest}"
    return name


def as_reference(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith("heads."):
            bank = 0 if ".feature." in name else 1
            found |= {f"banks.{bank}.{m}.weight": rows for m, rows in enumerate(tensor)}
        else:
            found[name_in_reference(name)] = tensor
    return found


def build(recipe: Recipe, epochs: int = 200) -> tuple[ExpertResNet, Method, tuple[Stage, ...]]:
    torch.manual_seed(0)
    model = build_model(recipe.model, C, ("feature", "classifier"))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.2, 0.2)
    method = recipe.build_method(torch.tensor(COUNTS), model.feature_dim)
    return model.train(), method, type(method).stages(recipe.method, epochs)


def batches(count: int) -> list[tuple[Tensor, Tensor]]:
    g = torch.Generator().manual_seed(1)
    return [
        (torch.randn(B, 3, 16, 16, generator=g), torch.randint(C, (B,), generator=g)) for _ in range(count)
    ]


def off_by(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest entry."""
    return ((found - expected).abs().max() / expected.abs().max().clamp_min(1e-12)).item()


@pytest.mark.parametrize("epoch", [0, 60, 120, 180])
def test_loss_gradients_and_statistics(reference: ModuleType, recipe: Recipe, epoch: int) -> None:
    model, method, stages = build(recipe)
    plain, state = reference.build(C, COUNTS)
    plain.train().load_state_dict(as_reference(model.state_dict()))
    position = int(epoch >= stages[0].epochs)
    stage = stages[position]
    progress = Progress(stage.name, epoch - 180 * position, stage.epochs, epoch, epoch * 7, 0)
    *earlier, (image, target) = batches(4)
    warm_up(reference, model, method, plain, state, earlier)

    if position:
        reference.start_classifier_stage(plain)
    expected = reference.train_step(
        plain, state, torch.optim.SGD(plain.parameters(), lr=0.0), image, target, epoch
    )
    freeze(model, stage)
    batch = Batch(image, target, torch.arange(B))
    output = model(image, bank=stage.bank)
    with torch.no_grad():
        method.observe(output, batch, progress)
    terms = method.loss(output, batch, progress)
    total = torch.stack(list(terms.values())).sum()
    total.backward()

    assert total.item() == pytest.approx(expected, rel=1e-5)
    compare_gradients(model, plain)
    for m in range(3):
        assert off_by(method.confusion.matrix()[m], state.confusion[m]) < 1e-5
        assert off_by(method.prototypes.prototypes[m], state.prototypes[m]) < 1e-5
    buffers = as_reference(dict(model.named_buffers()))
    assert all(
        off_by(buffers[name], value) < 1e-5
        for name, value in plain.named_buffers()
        if value.is_floating_point()
    )


def warm_up(
    reference: ModuleType, model: ExpertResNet, method: Method, plain: nn.Module, state: Any,
    earlier: list[tuple[Tensor, Tensor]],
) -> None:  # fmt: skip
    """Let both see some batches of the feature stage, then start an epoch."""
    before = Progress("feature", 0, 180, 0, 0, 0)
    with torch.no_grad():
        for image, target in earlier:
            method.observe(model(image), Batch(image, target, torch.arange(B)), before)
            reference.observe(state, *plain(image), target)
    method.start_epoch(before)
    for confusion in state.confusion:  # what its train_epoch begins with
        confusion.mul_(reference.CONFUSION_DECAY)


def compare_gradients(model: ExpertResNet, plain: nn.Module) -> None:
    expected = {name: p.grad for name, p in plain.named_parameters() if p.grad is not None}
    found = as_reference({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert found.keys() == expected.keys()
    both = (
        torch.cat([found[name].flatten() for name in expected]),
        torch.cat([g.flatten() for g in expected.values()]),
    )
    assert both[1].norm() > 1e-3
    assert ((both[0] - both[1]).norm() / both[1].norm()).item() < 1e-5


def test_evaluation_outputs_agree(reference: ModuleType, recipe: Recipe) -> None:
    model, _, _ = build(recipe)
    plain, _ = reference.build(C, COUNTS)
    plain.load_state_dict(as_reference(model.state_dict()))
    image, _ = batches(1)[0]
    with torch.no_grad():
        features, logits = plain.eval()(image)
        output = model.eval()(image)
    torch.testing.assert_close(output.features, torch.stack(features), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(output.logits, torch.stack(logits), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("epochs", [200, 30])
def test_windows_and_learning_rates_agree(reference: ModuleType, epochs: int) -> None:
    recipe = load_recipe("icl-cifar100-lt", SAME, epochs=epochs)[0]
    _, state = reference.build(C, COUNTS, epochs=epochs)
    o, steps, done = recipe.optim, 7, 0
    assert (recipe.method.diversity_stop, recipe.method.contrastive_start) == (
        state.diversity_stop, state.contrastive_start,
    )  # fmt: skip
    assert recipe.stages()[0].epochs == state.feature_epochs
    for stage in recipe.stages():
        for step in range(stage.epochs * steps):
            rate = learning_rate(
                step, total_steps=stage.epochs * steps, peak_lr=stage.peak_lr or o.peak_lr,
                warmup_steps=o.warmup_of(stage) * steps, warmup_start_lr=o.warmup_start_lr,
            )  # fmt: skip
            assert rate == pytest.approx(reference.learning_rate(state, done + step / steps), rel=1e-9)
        done += stage.epochs


def test_constants_agree(reference: ModuleType, recipe: Recipe) -> None:
    o, m = recipe.optim, recipe.method
    assert (o.batch_size, o.momentum, o.weight_decay) == (
        reference.BATCH_SIZE, reference.MOMENTUM, reference.WEIGHT_DECAY,
    )  # fmt: skip
    assert (m.temperature, m.num_negatives, m.prototype_decay, m.confusion_decay) == (
        reference.TEMPERATURE, reference.NEGATIVES, reference.PROTOTYPE_DECAY, reference.CONFUSION_DECAY,
    )  # fmt: skip
    assert recipe.model.cosine_scale == reference.COSINE_SCALE
