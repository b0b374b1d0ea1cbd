"""Grad-CAM: known by hand, against a second writing of it, and without a trace left in the network."""

import sys

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from longtail.explain import brightest_is_one, grad_cam, shown_layers
from longtail.explain.shown_layers import attached
from longtail.models import ModelOptions, build_model
from longtail.types import InputError

SIZE = 4


class Corners(nn.Module):
    """Two experts whose maps have two channels: the image's upper left corner, and its lower right one.

    Expert 0 sees class 0 in the first corner and class 1 in the second; expert 1 the other way round; in class 2 each
    sees the opposite of what it sees in class 0.
    """

    def __init__(self) -> None:
        super().__init__()
        corners = torch.zeros(2, SIZE, SIZE)
        corners[0, :2, :2] = 1
        corners[1, 2:, 2:] = 1
        self.corners = nn.Parameter(corners)
        self.maps = nn.ModuleList([nn.Identity(), nn.Identity()])
        first = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        self.register_buffer("weight", torch.stack([first, first.flip(1)]))

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "m b c"]:
        last = image.mean(dim=1, keepdim=True) * self.corners
        pooled = torch.stack([place(last).mean(dim=(2, 3)) for place in self.maps])
        return pooled @ self.get_buffer("weight").mT


def test_each_expert_lights_up_the_corner_that_its_logit_depends_on() -> None:
    model, image = Corners(), torch.ones(3, 3, SIZE, SIZE)
    maps = grad_cam(model, list(model.maps), image, torch.tensor([0, 1, 2]))
    upper, lower, nothing = torch.zeros(3, SIZE, SIZE)
    upper[:2, :2] = 1 / SIZE**2  # dz/dA is 1/16 everywhere and A is 1 in the corner
    lower[2:, 2:] = 1 / SIZE**2
    expected = torch.stack([torch.stack([upper, lower, nothing]), torch.stack([lower, upper, nothing])])
    torch.testing.assert_close(maps, expected)


def by_hand(model: nn.Module, layer: nn.Module, image: Tensor, expert: int, target: Tensor) -> Tensor:
    """The maps before ReLU, from the definition."""
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda module, given, made: kept.append(made))
    logits = model(image).logits[expert]
    hook.remove()
    chosen = logits.gather(1, target[:, None]).sum()
    (gradient,) = torch.autograd.grad(chosen, kept[0])
    return (gradient.mean(dim=(2, 3), keepdim=True) * kept[0]).sum(dim=1)


@pytest.mark.parametrize("gates", [True, False])
@pytest.mark.parametrize("head", ["cosine", "linear"])
def test_equal_to_a_second_writing(gates: bool, head: str) -> None:
    torch.manual_seed(0)
    options = ModelOptions(name="resnet20", num_experts=3, gates=gates, head=head)
    model = build_model(options, 5, ("first",)).eval()
    image, target = torch.randn(2, 3, 32, 32), torch.tensor([4, 1])
    layers = model.last_maps()
    maps = grad_cam(lambda x: model(x).logits, layers, image, target)
    assert maps.shape == (3, 2, 8, 8)
    for expert, layer in enumerate(layers):
        signed = by_hand(model, layer, image, expert, target)
        torch.testing.assert_close(maps[expert], signed.relu().detach())
        if head == "cosine":  # as the docstring says
            torch.testing.assert_close(signed.mean(dim=(1, 2)), torch.zeros(2), atol=1e-6, rtol=0)
    assert not torch.allclose(maps[0], maps[1])


@pytest.mark.parametrize(("name", "places"), [("test_resnet", 2), ("test_vit", 4)])
@pytest.mark.parametrize("shared", [None, 0])
def test_networks_of_timm(name: str, places: int, shared: int | None) -> None:
    torch.manual_seed(0)
    model = build_model(ModelOptions(name=name, num_experts=2, shared_stages=shared), 5, ("first",)).eval()
    image, target = torch.randn(2, 3, 64, 64), torch.tensor([4, 1])
    layers = model.last_maps()
    maps = grad_cam(lambda x: model(x).logits, layers, image, target)
    assert maps.shape == (2, 2, places, places)
    for expert, layer in enumerate(layers):
        torch.testing.assert_close(maps[expert], by_hand(model, layer, image, expert, target).relu().detach())
    assert not torch.allclose(maps[0], maps[1])


@pytest.mark.parametrize("gates", [True, False])
@pytest.mark.parametrize("shared", [0, 3])
def test_last_maps_are_what_is_pooled(gates: bool, shared: int) -> None:
    options = ModelOptions(name="resnet20", num_experts=2, gates=gates, shared_stages=shared)
    model = build_model(options, 3, ("first",)).eval()
    kept: list[Tensor] = []
    for layer in model.last_maps():
        layer.register_forward_hook(lambda module, given, made: kept.append(made))
    features = model.extract(torch.randn(2, 3, 32, 32))
    torch.testing.assert_close(torch.stack([last.mean(dim=(2, 3)) for last in kept]), features)


def test_nothing_is_left_in_the_network() -> None:
    model = build_model(ModelOptions(name="resnet20", num_experts=2), 3, ("first",)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    grad_cam(lambda x: model(x).logits, model.last_maps(), torch.randn(1, 3, 32, 32), torch.tensor([0]))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())


def test_each_map_has_its_own_scale_and_an_empty_one_stays_empty() -> None:
    maps = torch.tensor([[[[0.0, 4.0]]], [[[0.0, 0.0]]], [[[0.1, 0.05]]]])
    expected = torch.tensor([[[[0.0, 1.0]]], [[[0.0, 0.0]]], [[[1.0, 0.5]]]])
    torch.testing.assert_close(brightest_is_one(maps), expected)


def test_without_captum_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    model = Corners()
    with pytest.raises(InputError, match=r"pip install captum$"):
        grad_cam(model, list(model.maps), torch.ones(1, 3, SIZE, SIZE), torch.tensor([0]))


@pytest.mark.parametrize(
    ("name", "size", "places"),
    [
        ("resnet20", 32, 8),
        ("resnet20", 16, 8),
        ("test_resnet", 64, 8),
        ("test_resnet", 8, 2),
        ("test_vit", 64, 4),
    ],
)
def test_maps_are_taken_where_they_have_places_enough(name: str, size: int, places: int) -> None:
    torch.manual_seed(0)
    model = build_model(ModelOptions(name=name, num_experts=2), 5, ("first",)).eval()
    image, target = torch.randn(1, 3, size, size), torch.tensor([3])
    found = shown_layers(model, lambda: model(image))
    maps = grad_cam(lambda x: model(x).logits, found.layers, image, target)
    assert maps.shape[-2:] == (places, places)
    for expert, layer in enumerate(found.layers):
        torch.testing.assert_close(maps[expert], by_hand(model, layer, image, expert, target).relu().detach())
    assert (found.layers == tuple(model.last_maps())) == found.name.startswith("each expert's last map")
    assert not any(part._forward_hooks for part in model.modules())


def test_an_earlier_map_is_reached_where_training_detaches_the_trunk() -> None:
    torch.manual_seed(0)
    options = ModelOptions(name="resnet20", num_experts=2, detach_trunk=(False, True))
    model = build_model(options, 5, ("first",)).eval()
    image, target = torch.randn(1, 3, 16, 16), torch.tensor([3])
    found = shown_layers(model, lambda: model(image))
    with attached(model):
        maps = grad_cam(lambda x: model(x).logits, found.layers, image, target)
    assert bool(maps.flatten(1).any(dim=1).all())
    assert model.detach_trunk == (False, True)
