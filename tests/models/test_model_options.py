"""What [model] may ask for: widths, sizes, and what is refused."""

from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from longtail.models import ExpertModel, ModelOptions, build_model, count_parameters
from longtail.models.layers import BasicBlock
from longtail.models.weights import fit_experts
from longtail.recipe import load_recipe, validate
from longtail.types import InputError


def network(**options: object) -> ExpertModel:
    torch.manual_seed(0)
    return build_model(ModelOptions(**{"name": "resnet20"} | options), 10, ("first", "second"))


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
        ({"branch_norm": True}, "set model.shared_stages = 3"),
        ({"name": "resnet50", "branch_norm": True, "shared_stages": 3}, "set model.shared_stages = 4"),
        ({"detach_trunk": [True]}, "has 1 of 3 entries"),
        ({"detach_trunk": [True, True, True]}, "leave one false"),
        ({"detach_trunk": [False, True, True], "shared_stages": 0}, "shares none"),
        ({"name": "test_resnet", "detach_trunk": [True, False]}, "has 2 of 3 entries"),
        ({"name": "test_resnet", "branch_norm": True}, "branch_norm is for our own ResNets"),
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


def test_an_entry_of_detach_trunk_is_true_or_false() -> None:
    with pytest.raises(InputError, match="detach_trunk"):
        validate(
            {"data": {"name": "digits"}, "model": {"detach_trunk": [0, 1, 1]}, "method": {"name": "icl"}}
        )


def test_the_page_of_networks_names_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs/networks.md").read_text()
    missing = [key for key in ModelOptions.model_fields if f"`{key}`" not in page]
    assert not missing


@pytest.mark.parametrize(("foreign", "more"), [("resnet101", {}), ("resnet50", {"shortcut": "A"})])
def test_weights_that_a_resnet_has_no_place_for_are_not_left_out_in_silence(
    foreign: str, more: dict[str, object]
) -> None:
    with torch.device("meta"):
        state = timm.create_model(foreign).state_dict()
        model = network(name="resnet50", num_experts=1, **more)
    with pytest.raises(InputError, match=r"no place for \d+ of its tensors, such as 'layer"):
        fit_experts(model, state, "w.pt")


def test_the_remedy_for_missing_weights_is_an_option_that_was_given() -> None:
    given = {"model.name": "resnet32", "model.head": "linear", "data.path": "photos"}
    with pytest.raises(InputError, match="leave out --frozen") as frozen:
        load_recipe("features", given)
    assert "--pretrained" not in str(frozen.value)
    with pytest.raises(InputError, match="leave out --pretrained"):
        load_recipe("features", given | {"model.frozen": False})
