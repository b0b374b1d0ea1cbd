"""What lies between features and classifiers."""

import torch

from longtail.models import ModelOptions, build_model
from longtail.models.neck import Neck


def test_features_of_the_images_that_it_was_set_by_have_mean_0_and_deviation_1() -> None:
    torch.manual_seed(0)
    features = torch.randn(101, 3) * torch.tensor([2.0, 0.5, 1e-7]) + torch.tensor([5.0, -1.0, 3.0])
    neck = Neck(2, 3)
    neck.standardize(features.split(40))
    level = neck(features.unsqueeze(0))
    assert level.shape == (2, 101, 3)
    torch.testing.assert_close(level[0, :, :2].mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(level[1, :, :2].std(0, correction=0), torch.ones(2))
    assert level[:, :, 2].abs().max() < 1e-3  # a channel that says nothing is not blown up


def test_a_hidden_layer_is_each_expert_s_own() -> None:
    torch.manual_seed(0)
    neck, features = Neck(2, 3, hidden_units=4), torch.randn(1, 5, 3)
    assert neck.weight is not None
    hidden = neck(features)
    for expert in range(2):
        torch.testing.assert_close(hidden[expert], (features[0] @ neck.weight[expert].T).relu())
    assert not torch.equal(hidden[0], hidden[1])


def test_a_network_that_is_not_frozen_may_have_hidden_layers_too() -> None:
    options = ModelOptions(name="resnet8", num_experts=2, hidden_units=16, head="linear")
    model = build_model(options, 4, ("first",))
    output = model(torch.randn(3, 3, 32, 32))
    assert output.features.shape == (2, 3, 16)
    output.logits.sum().backward()
    assert model.neck is not None
    assert model.neck.weight is not None
    assert model.neck.weight.grad is not None
    assert torch.equal(model.neck.mean, torch.zeros(64))
