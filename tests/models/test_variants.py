"""Options that other long-tail methods need of their networks: what each computes, trains, stores and refuses."""

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.models import ExpertModel, ModelOptions, build_model, count_parameters, fold_batch_norm
from longtail.models.layers import BasicBlock
from longtail.models.weights import fit_experts
from longtail.recipe import validate
from longtail.types import InputError


def network(**options: object) -> ExpertModel:
    torch.manual_seed(0)
    return build_model(ModelOptions(**{"name": "resnet20"} | options), 10, ("first", "second"))


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
    asked = ModelOptions(**{"name": "resnet20"} | options)
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


def widths(model: ExpertModel, expert: int = 0) -> list[int]:
    stages = [*model.trunk.stages, *model.experts[expert].stages]
    return [
        [part for part in stage.modules() if isinstance(part, nn.Conv2d)][-1].out_channels for stage in stages
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"width_factor": 4.0}, [64, 128, 256]),
        ({"width_factor": 0.5, "shared_stages": 3}, [8, 16, 32]),
        ({"expert_width_factor": 0.75, "shared_stages": 1}, [16, 24, 48]),
        ({"expert_width_factor": 0.75}, [16, 32, 48]),
        ({"width_factor": 2.0, "expert_width_factor": 0.75, "shared_stages": 1}, [32, 48, 96]),
        ({"name": "resnet50", "expert_width_factor": 0.75, "shared_stages": 2}, [256, 512, 768, 1536]),
        ({"name": "resnext50_32x4d", "width_factor": 0.5}, [128, 256, 512, 1024]),
    ],
)
def test_widths_are_multiplied(options: dict[str, object], expected: list[int]) -> None:
    with torch.device("meta"):
        model = network(**{"gates": True} | options)
        assert widths(model) == widths(model, 2) == expected
        assert model.feature_dim == expected[-1]
        assert model.extract(torch.empty(2, 3, 64, 64)).shape == (3, 2, expected[-1])


def test_the_stem_belongs_to_the_experts_where_no_stage_is_shared() -> None:
    def stem(**options: object) -> tuple[int, ...]:
        with torch.device("meta"):
            model = network(**options)
        return next(part for part in model.modules() if isinstance(part, nn.Conv2d)).weight.shape

    assert stem(expert_width_factor=0.5, shared_stages=0) == (8, 3, 3, 3)
    assert stem(expert_width_factor=0.5, shared_stages=1) == (16, 3, 3, 3)
    assert stem(name="resnet50", width_factor=0.5) == (32, 3, 7, 7)


@pytest.mark.parametrize(
    ("options", "classes_head", "parameters"),
    [
        ({"name": "resnet20", "shortcut": "A"}, 650, 269_722),
        ({"name": "resnet32", "shortcut": "A"}, 650, 464_154),
        ({"name": "resnet34-small"}, 5_130, 21_797_672 - 7_680 - 513_000 + 5_130),
    ],
)
def test_parameters_are_those_of_the_papers(
    options: dict[str, object], classes_head: int, parameters: int
) -> None:
    """He et al.'s networks; torchvision's ResNet-34 with a 3x3 stem and fewer classes."""
    with torch.device("meta"):
        model = network(num_experts=1, gates=False, head="linear", **options)
    assert count_parameters(model) == parameters
    assert sum(p.numel() for p in model.heads["first"].parameters()) == classes_head


@pytest.mark.parametrize(
    ("inputs", "outputs", "before", "after"), [(4, 8, 2, 2), (16, 24, 4, 4), (3, 6, 1, 2)]
)
def test_shortcut_a_takes_every_second_pixel_between_channels_of_zeros(
    inputs: int, outputs: int, before: int, after: int
) -> None:
    block = BasicBlock(inputs, outputs, 2, zero_init=True, shortcut="A")
    x = torch.rand(2, inputs, 6, 6)
    expected = torch.zeros(2, outputs, 3, 3)
    expected[:, before : outputs - after] = x[:, :, ::2, ::2]
    assert torch.equal(block(x), expected)
    assert not list(block.shortcut.parameters())


def test_the_resnet_34_for_small_images_keeps_their_size_in_its_first_stage() -> None:
    with torch.device("meta"):
        model = network(name="resnet34-small", shared_stages=4)
        maps = model.trunk(torch.empty(2, 3, 32, 32))
    assert [tuple(each.shape[1:]) for each in maps] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    convolutions = [m for m in model.trunk.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(convolutions) + 1 == 34


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"width_factor": 0.3}, r"0.3 makes stage 1 4.8 channels wide.*multiples of 1; take 0.25 or 0.3125"),
        ({"width_factor": 0.01}, "take 0.0625$"),
        ({"name": "resnext50_32x4d", "width_factor": 0.3}, "multiples of 64; take 0.25 or 0.5"),
        ({"expert_width_factor": 0.7}, r"stage 3 44.8 channels wide.*take 0.6875 or 0.703125"),
        ({"expert_width_factor": 0.5, "shared_stages": 3}, "leaves them none"),
        ({"expert_width_factor": 0.25, "shortcut": "A"}, r"widths fall \(\(16, 32, 16\)\)"),
        ({"name": "resnet50", "pretrained": True, "shortcut": "A"}, "another model.shortcut"),
        ({"name": "resnet50", "pretrained": True, "width_factor": 2.0}, "another model.width_factor"),
        ({"name": "resnet34-small", "pretrained": True}, "no ImageNet weights for resnet34-small"),
        ({"name": "test_resnet", "width_factor": 2.0}, "width_factor is for our own ResNets"),
        ({"name": "test_resnet", "expert_width_factor": 0.75}, "expert_width_factor is for our own ResNets"),
        ({"name": "test_resnet", "shortcut": "A"}, "shortcut is for our own ResNets"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(wrong: dict[str, object], said: str) -> None:
    key = next(iter(wrong)) if "name" not in wrong else list(wrong)[1]
    with pytest.raises(InputError, match=said) as refused:
        validate(
            {"data": {"name": "digits"}, "model": {"name": "resnet20"} | wrong, "method": {"name": "icl"}}
        )
    assert "\n" not in str(refused.value)
    assert key in str(refused.value)


@pytest.mark.parametrize(("foreign", "more"), [("resnet101", {}), ("resnet50", {"shortcut": "A"})])
def test_weights_that_a_resnet_has_no_place_for_are_not_left_out_in_silence(
    foreign: str, more: dict[str, object]
) -> None:
    with torch.device("meta"):
        state = timm.create_model(foreign).state_dict()
        model = network(name="resnet50", num_experts=1, **more)
    with pytest.raises(InputError, match=r"no place for \d+ of its tensors, such as 'layer"):
        fit_experts(model, state, "w.pt")
