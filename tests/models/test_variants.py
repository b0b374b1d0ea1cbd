"""Options that other long-tail methods need of their networks: what each computes, trains, stores and refuses."""

import operator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.models import ExpertModel, ModelOptions, build_model, count_parameters, fold_batch_norm
from longtail.predict.operators import OPERATORS

pytestmark = pytest.mark.slow


def network(**options: object) -> ExpertModel:
    torch.manual_seed(0)
    return build_model(ModelOptions(**{"name": "resnet8"} | options), 10, ("first", "second"))


def images(count: int = 4, size: int = 16) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def trained(model: ExpertModel) -> ExpertModel:
    """Batch norms with statistics of some images, and away from the identity that they start as."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(-0.5, 0.5, generator=generator)
        for _ in range(3):
            model.train()(images(16))
    return model


def named(model: ExpertModel, parameters: list[nn.Parameter]) -> list[str]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for parameter in parameters]


VARIANTS: list[dict[str, object]] = [
    {"shared_head": True},
    {"shared_head": True, "head": "linear"},
    {"shared_head": True, "num_experts": 1},
    {"shared_head": True, "name": "test_resnet"},
    {"width_factor": 1.5},
    {"expert_width_factor": 0.75, "shared_stages": 1, "num_experts": 2},
    {"expert_width_factor": 0.75, "shared_stages": 0, "num_experts": 2},
    {"shortcut": "A"},
    {"shortcut": "A", "expert_width_factor": 0.75, "shared_stages": 1},
    {"name": "resnet34-small", "num_experts": 2, "width_factor": 0.125},
    {"name": "resnet50", "num_experts": 1, "width_factor": 0.25, "shortcut": "A"},
    {"branch_norm": True, "shared_stages": 3},
    {"branch_norm": True, "shared_stages": 3, "gates": False, "shared_head": True, "head": "linear"},
    {"detach_trunk": (False, True, True)},
    {"name": "test_resnet", "detach_trunk": (True, False, True)},
]


@pytest.mark.parametrize("options", VARIANTS)
def test_every_variant_has_the_shapes_of_any_network_and_trains(options: dict[str, object]) -> None:
    model = network(**options)
    features, logits, aux = model(images())
    experts = model.num_experts
    assert features.shape == (experts, 4, model.feature_dim)
    assert logits.shape == (experts, 4, 10)
    assert aux["classifier"].shape == (experts, 10, model.feature_dim)
    (features.sum() + logits.square().sum()).backward()
    used = [p for name, p in model.named_parameters() if not name.startswith("heads.second.")]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in used)


@pytest.mark.parametrize("options", VARIANTS)
def test_every_variant_folds_and_is_rebuilt_from_its_description(options: dict[str, object]) -> None:
    asked = ModelOptions(**{"name": "resnet8"} | options)
    model = trained(network(**options)).eval()
    described = ModelOptions(**asked.model_dump(mode="json"))
    assert described == asked
    again = build_model(described, 10, ("first", "second")).eval()
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        expected, folded = model(images()), fold_batch_norm(model)(images())
        assert torch.equal(again(images()).logits, expected.logits)
    for a, b in zip(folded[:2], expected[:2], strict=True):
        assert (a - b).abs().max() < 1e-5 * b.abs().max()


@pytest.mark.parametrize(
    "options",
    [
        {"shared_head": True, "head": "linear", "num_experts": 2},
        {"shortcut": "A", "expert_width_factor": 0.75, "shared_stages": 1, "num_experts": 2},
        {"branch_norm": True, "shared_stages": 3, "num_experts": 2, "detach_trunk": (False, True)},
    ],
)
def test_a_variant_is_one_graph(options: dict[str, object]) -> None:
    model = fold_batch_norm(trained(network(**options)))
    size = torch.export.Dim("batch", min=1)
    program = torch.export.export(model, (images(3),), dynamic_shapes=({0: size},)).module()
    torch.testing.assert_close(program(images(5)).logits, model(images(5)).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", VARIANTS)
def test_every_parameter_of_a_variant_has_a_depth(options: dict[str, object]) -> None:
    model = network(**options)
    depths = {name: model.depth(name) for name, _ in model.named_parameters()}
    assert min(depths.values()) == 0
    deepest = max(depths.values())
    assert all((depth == deepest) == name.startswith("heads.") for name, depth in depths.items())


@pytest.mark.parametrize("head", ["cosine", "linear"])
def test_a_shared_head_is_one_classifier_for_all_experts(head: str) -> None:
    own, shared = network(head=head), network(head=head, shared_head=True)
    one = shared.heads["first"]
    assert one.weight.shape == (1, 10, 64)
    per_expert = 10 * 64 + (10 if head == "linear" else 0)
    assert count_parameters(own) - count_parameters(shared) == 2 * per_expert
    features, logits, aux = shared.eval()(images())
    assert all(torch.equal(aux["classifier"][m], one.weight[0]) for m in range(3))
    for m in range(3):
        if head == "linear":
            expected = functional.linear(features[m], one.weight[0], one.bias[0, 0])
        else:
            expected = 30 * functional.normalize(features[m]) @ functional.normalize(one.weight[0]).T
        torch.testing.assert_close(logits[m], expected, rtol=1e-4, atol=1e-4)


def test_a_shared_head_learns_from_every_expert() -> None:
    model = network(shared_head=True).eval()
    whole, *parts = (
        torch.autograd.grad(model(images()).logits[which].sum(), model.heads["first"].weight)[0]
        for which in (slice(None), 0, 1, 2)
    )
    assert all(part.abs().sum() > 0 for part in parts)
    torch.testing.assert_close(whole, sum(parts), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("resnet20", "stages.{}.2.second.conv.weight"),
        ("resnet50", "stages.{}.2.third.conv.weight"),
        ("test_resnet", "stages.{}.0.conv2.weight"),
        ("test_efficientnet", "stages.{}.1.weight"),
        ("test_convnext", "stages.{}.blocks.1.mlp.fc2.weight"),
        ("test_vit", "stages.{}.1.mlp.fc2.weight"),
        ("mobilenetv3_small_050", "stages.{}.0.conv.weight"),
    ],
)
def test_last_convolutions_are_those_of_the_experts_own_stages(name: str, last: str) -> None:
    with torch.device("meta"):
        model = network(name=name)
    own = len(model.experts[0].stages)
    wanted = [f"experts.{m}.{last.format(own - 1)}" for m in range(3)]
    assert named(model, model.last_convolutions()) == wanted


@pytest.mark.parametrize(("name", "stages"), [("resnet20", 3), ("test_vit", 6)])
def test_experts_without_a_stage_of_their_own_have_no_last_convolution(name: str, stages: int) -> None:
    assert network(name=name, shared_stages=stages).last_convolutions() == []
    assert len(network(name=name, shared_stages=0).last_convolutions()) == 3


def test_the_gradient_of_a_last_convolution_is_of_its_expert_alone() -> None:
    model = network()
    model(images()).logits[1].square().sum().backward()
    found = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.last_convolutions()]
    assert found == [False, True, False]


@pytest.mark.parametrize(
    "options",
    [
        {"gates": True},
        {"shared_stages": 3},
        {"shared_stages": 1},
        {"name": "test_resnet"},
        {"name": "test_vit"},
    ],
)
def test_a_detached_expert_computes_the_same_and_does_not_train_the_trunk(options: dict[str, object]) -> None:
    plain = network(**options)
    model = network(**options, detach_trunk=(False, True, False)).eval()
    model.load_state_dict(plain.state_dict())
    image = images(2, 64)
    wanted = plain.eval()(image)
    trunk = [*model.trunk.parameters()]
    for expert in range(3):
        model.zero_grad()
        output = model(image)
        assert torch.equal(output.logits, wanted.logits)
        output.logits[expert].square().sum().backward()
        reached = any(p.grad is not None and p.grad.abs().sum() > 0 for p in trunk)
        assert reached == (expert != 1)
        assert model.heads["first"].weight.grad[expert].abs().sum() > 0
        own = [*model.experts[expert].parameters()]
        assert not own or any(p.grad.abs().sum() > 0 for p in own)


@pytest.mark.parametrize("gates", [True, False])
def test_a_branch_norm_is_each_experts_own_on_the_shared_last_map(gates: bool) -> None:
    model = trained(network(branch_norm=True, shared_stages=3, gates=gates)).eval()
    with torch.no_grad():
        maps = model.trunk(images())
        features = model.extract(images())
        for m, norm in enumerate(model.norms):
            shape = (-1, 1, 1)
            scaled = (maps[-1] - norm.running_mean.view(shape)) / (
                norm.running_var.view(shape) + norm.eps
            ).sqrt()
            seen = scaled * norm.weight.view(shape) + norm.bias.view(shape)
            if gates:
                seen = seen * model.gates[m](maps[m % 2])
            torch.testing.assert_close(features[m], seen.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)
    assert len({id(norm) for norm in model.norms}) == 3


class Logits(nn.Module):
    def __init__(self, model: ExpertModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.model(image).logits
        return logits


@pytest.mark.parametrize(
    "options", [one for one in VARIANTS if "detach_trunk" in one or "branch_norm" in one]
)
def test_a_variant_can_be_exported(options: dict[str, object]) -> None:
    model = Logits(fold_batch_norm(network(**options).eval()))
    with torch.no_grad():
        graph = torch.export.export(model, (images(2),)).run_decompositions({}).graph
    calls = {str(node.target) for node in graph.nodes if node.op == "call_function"}
    assert calls - OPERATORS <= {str(operator.getitem)}
