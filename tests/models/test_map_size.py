"""What the name of a network says of its last map is what the network does."""

import pytest
import torch

from longtail.models import FOR_SMALL_IMAGES, RESNETS, ModelOptions, build_model
from longtail.models.map_size import map_side


def test_the_networks_for_small_images_are_those_that_begin_so() -> None:
    assert {name for name, layout in RESNETS.items() if layout.small_images} == set(FOR_SMALL_IMAGES)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("resnet50", (33, 100)),
        ("efficientnet_lite0", (33, 100)),
        ("mobilenetv3_small_050", (33, 100)),
        ("convnext_atto", (33, 100)),
        ("vit_tiny_patch16_224", (224,)),
    ],
)
def test_the_name_says_the_side_of_the_last_map(name: str, sizes: tuple[int, ...]) -> None:
    with torch.device("meta"), torch.no_grad():
        model = build_model(ModelOptions(name=name, num_experts=1), 2, ("first",)).eval()
        sides: list[int] = []
        model.last_maps()[0].register_forward_hook(lambda _, __, out: sides.append(min(out.shape[-2:])))
        for size in sizes:
            model.extract(torch.empty(1, 3, size, size))
    assert sides == [map_side(name, size) for size in sizes]


def test_where_the_name_does_not_say_it_there_is_none() -> None:
    assert map_side("flexivit_small", 96) is None
    assert map_side("convnext_atto", 20) is None
