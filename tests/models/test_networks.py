"""Expert networks: sizes, shapes, and what each option does."""

from itertools import product

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from longtail.models import (
    ExpertHeads,
    ExpertResNet,
    ModelOptions,
    build_model,
    count_parameters,
    fold_batch_norm,
)
from longtail.models.layers import BasicBlock, ConvBN, FusionGate

DEPTHS = ("resnet8", "resnet20", "resnet32", "resnet44", "resnet56")


def network(classes: int = 10, banks: tuple[str, ...] = ("first",), **options: object) -> ExpertResNet:
    torch.manual_seed(0)
    return build_model(ModelOptions(**{"name": "resnet20"} | options), classes, banks)


def images(count: int = 4, size: int = 16) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def worn(model: nn.Module) -> nn.Module:
    """Batch norms as after some training, not as the identity that they start as."""
    generator = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
            for tensor in (module.running_var, module.weight.data):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return model


@pytest.mark.parametrize(
    ("options", "classes", "parameters"),
    [
        ({"name": "resnet8", "num_experts": 1, "gates": False, "head": "linear"}, 10, 75_290 + 2_752),
        ({"name": "resnet20", "num_experts": 1, "gates": False, "head": "linear"}, 10, 269_722 + 2_752),
        ({"name": "resnet32", "num_experts": 1, "gates": False, "head": "linear"}, 10, 464_154 + 2_752),
        ({"name": "resnet44", "num_experts": 1, "gates": False, "head": "linear"}, 10, 658_586 + 2_752),
        ({"name": "resnet56", "num_experts": 1, "gates": False, "head": "linear"}, 10, 853_018 + 2_752),
        ({"name": "resnet32", "num_experts": 3}, 100, 1_257_808),
        ({"name": "resnet50", "num_experts": 1, "head": "linear"}, 1000, 25_557_032),
        ({"name": "resnext50_32x4d", "num_experts": 1, "head": "linear"}, 1000, 25_028_904),
    ],
)
def test_parameter_counts(options: dict[str, object], classes: int, parameters: int) -> None:
    """He et al.'s counts with shortcuts A, and 2,752 for the two 1x1 shortcuts; of large ones torchvision's counts."""
    assert count_parameters(network(classes, **options)) == parameters


def test_further_banks_do_not_count() -> None:
    one, two = network(banks=("a",)), network(banks=("a", "b"))
    assert count_parameters(one) == count_parameters(two)
    assert sum(p.numel() for p in two.parameters()) > count_parameters(two)


@pytest.mark.parametrize(
    ("experts", "shared", "gates", "head"),
    list(product((1, 2, 3), range(4), (True, False), ("cosine", "linear"))),
)
def test_shapes(experts: int, shared: int, gates: bool, head: str) -> None:
    model = network(7, num_experts=experts, shared_stages=shared, gates=gates, head=head)
    features, logits, aux = model(images(2, 8))
    assert features.shape == (experts, 2, model.feature_dim)
    assert logits.shape == (experts, 2, 7)
    assert list(aux) == ["classifier", "scale"]
    assert aux["classifier"] is model.heads["first"].weight
    assert len(model.gates) == (experts if gates else 0)
    assert len(model.trunk.stages) == shared
    assert all(len(expert.stages) == 3 - shared for expert in model.experts)
    (features.sum() + logits.square().sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("head", "fresh", "kinds"),
    [
        ("linear", "cosine", ["linear", "cosine", "cosine"]),
        ("cosine", "linear", ["cosine", "linear", "linear"]),
        ("linear", None, ["linear", "linear", "linear"]),
    ],
)
def test_fresh_banks_may_be_of_another_kind(head: str, fresh: str | None, kinds: list[str]) -> None:
    model = network(banks=("a", "b", "c"), head=head, fresh_head=fresh)
    assert [model.heads[name].kind for name in "abc"] == kinds
    assert [model.heads[name].bias is None for name in "abc"] == [kind == "cosine" for kind in kinds]


@pytest.mark.parametrize("name", DEPTHS)
def test_depths(name: str) -> None:
    model = network(name=name, num_experts=1, gates=False, head="linear")
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(convolutions) + 1 == int(name.removeprefix("resnet"))
    assert model.eval()(images(1)).logits.shape == (1, 1, 10)


@pytest.mark.parametrize("shared", range(4))
@pytest.mark.parametrize("gates", [True, False])
def test_experts_are_independent(shared: int, gates: bool) -> None:
    model = network(num_experts=3, shared_stages=shared, gates=gates).eval()
    with torch.no_grad():
        before = model(images())
        for name, parameter in model.named_parameters():
            if name.startswith(("experts.1.", "gates.1.")):
                parameter.mul_(1.3).add_(0.02)
        model.heads["first"].weight[1].add_(0.5)
        after = model(images())
    for expert in (0, 2):
        assert torch.equal(after.features[expert], before.features[expert])
        assert torch.equal(after.logits[expert], before.logits[expert])
    assert not torch.equal(after.logits[1], before.logits[1])
    own_features = shared < 3 or gates
    assert torch.equal(after.features[1], before.features[1]) != own_features


def test_gates_of_a_large_network_come_from_the_stages_before_the_last_in_turn() -> None:
    model = worn(network(name="resnet50", num_experts=4, gates=True)).eval()
    image = images(1, 32)
    with torch.no_grad():
        shared = model.trunk(image)
        gates = [gate(shared[m % 3]) for m, gate in enumerate(model.gates)]
        last = [expert(shared[-1])[-1] for expert in model.experts]
        features = model(image).features
    for m in range(4):
        torch.testing.assert_close(features[m], (last[m] * gates[m]).mean(dim=(2, 3)))


def test_one_expert_is_the_first_of_many() -> None:
    many, one = network(num_experts=3).eval(), network(num_experts=1).eval()
    state = many.state_dict()
    kept = {name: state[name] for name in one.state_dict() if not name.startswith("heads.")}
    one.load_state_dict(kept | {"heads.first.weight": state["heads.first.weight"][:1]})
    with torch.no_grad():
        alone, together = one(images()), many(images())
    torch.testing.assert_close(alone.features, together.features[:1])
    torch.testing.assert_close(alone.logits, together.logits[:1])


def test_even_gates_are_signed_and_odd_ones_are_not() -> None:
    model = worn(network(num_experts=4)).eval()
    with torch.no_grad():
        shallow, deep = model.trunk(images())
        gates = [gate(deep if m % 2 else shallow) for m, gate in enumerate(model.gates)]
        features = model(images()).features
        ungated = worn(network(num_experts=4, gates=False)).eval()(images()).features
    assert gates[0].shape == gates[1].shape == (4, 64, 4, 4)
    assert all(gate.amin() < 0 for gate in gates[::2])
    assert all(gate.amin() == 0 for gate in gates[1::2])
    assert features[0].amin() < 0
    assert features[1].amin() >= 0
    assert ungated.amin() >= 0


def test_a_gate_multiplies_the_last_map_before_pooling() -> None:
    model = worn(network(num_experts=2)).eval()
    with torch.no_grad():
        maps = model.trunk(images())
        last = model.experts[1](maps[-1])[-1]
        expected = (last * model.gates[1](maps[1])).mean(dim=(2, 3))
        torch.testing.assert_close(model(images()).features[1], expected)


def test_gates_halve_once_for_each_stage() -> None:
    assert [len(FusionGate(*widths)) for widths in ((16, 32, 64), (32, 64))] == [3, 2]
    assert FusionGate(16, 24, 48)(torch.randn(2, 16, 8, 8)).shape == (2, 48, 2, 2)


@pytest.mark.parametrize(
    "options", [{}, {"gates": False, "head": "linear"}, {"shared_stages": 0}, {"shared_stages": 3}]
)
def test_folding_equals_evaluation_and_leaves_the_model_alone(options: dict[str, object]) -> None:
    model = worn(network(num_experts=2, **options)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = fold_batch_norm(model)
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        expected, found = model.eval()(images()), folded(images())
        training = model.train()(images())
    for a, b in zip(found[:2], expected[:2], strict=True):
        assert (a - b).abs().max() < 1e-5 * b.abs().max()
    assert not torch.allclose(training.logits, expected.logits, atol=1e-2)


def test_folding_takes_the_named_bank() -> None:
    model = worn(network(num_experts=2, banks=("a", "b"))).eval()
    with torch.no_grad():
        torch.testing.assert_close(
            fold_batch_norm(model)(images(), bank="b").logits,
            model(images(), bank="b").logits,
            rtol=1e-5,
            atol=1e-5,
        )


def test_cosine_head_is_its_formula() -> None:
    torch.manual_seed(0)
    head = ExpertHeads(2, 5, 8, "cosine", 30.0)
    torch.testing.assert_close(head.weight.norm(dim=-1), torch.ones(2, 5))
    with torch.no_grad():
        head.weight.mul_(torch.rand(2, 5, 1) + 0.5)
    features = torch.randn(2, 3, 8)
    expected = torch.tensor(
        [
            [
                [30 * functional.cosine_similarity(h, w, dim=0).item() for w in head.weight[m]]
                for h in features[m]
            ]
            for m in range(2)
        ]
    )
    torch.testing.assert_close(head(features), expected)
    torch.testing.assert_close(head(features * 1000), head(features))
    assert head.bias is None
    assert head(torch.zeros(2, 3, 8)).isfinite().all()


def test_linear_head_is_its_formula() -> None:
    torch.manual_seed(0)
    head, features = ExpertHeads(2, 5, 8, "linear", 30.0), torch.randn(2, 3, 8)
    for m in range(2):
        expected = functional.linear(features[m], head.weight[m], head.bias[m, 0])
        torch.testing.assert_close(head(features)[m], expected)


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_heads_compute_in_full_precision_under_autocast(kind: str) -> None:
    torch.manual_seed(0)
    head, features = ExpertHeads(2, 5, 8, kind, 30.0), torch.randn(2, 3, 8)
    expected = head(features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(head(features), expected)


def test_banks_are_independent_and_the_first_is_the_default() -> None:
    model = network(num_experts=2, banks=("a", "b")).eval()
    with torch.no_grad():
        a, b = model(images(), bank="a"), model(images(), bank="b")
        assert torch.equal(model(images()).logits, a.logits)
        assert torch.equal(a.features, b.features)
        assert not torch.equal(a.logits, b.logits)
        model.heads["b"].weight.add_(1.0)
        assert torch.equal(model(images(), bank="a").logits, a.logits)
        assert not torch.equal(model(images(), bank="b").logits, b.logits)
    with pytest.raises(KeyError):
        model(images(), bank="c")


def test_zero_init_starts_a_block_as_its_shortcut() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 6, 6).relu()
    block = BasicBlock(8, 8, 1, zero_init=True)
    assert torch.equal(block(x), x)
    plain, zero = network(zero_init_residual=False), network(zero_init_residual=True)
    seconds = [name for name in zero.state_dict() if name.endswith("second.norm.weight")]
    assert len(seconds) == 3 * 2 + 3 * 3
    for name in seconds:
        assert zero.state_dict()[name].eq(0).all()
        assert plain.state_dict()[name].eq(1).all()


def test_convolutions_start_as_he_et_al_do() -> None:
    torch.manual_seed(0)
    spread = ConvBN(64, 64).conv.weight.std().item()
    assert spread == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


def test_weights_come_from_the_seed() -> None:
    a, b = network(), network()
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "resnet33"},
        {"num_experts": 0},
        {"shared_stages": 4},
        {"head": "x"},
        {"cosine_scale": 0},
        {"extra": 1},
    ],
)
def test_options_refuse(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ModelOptions(**wrong)
