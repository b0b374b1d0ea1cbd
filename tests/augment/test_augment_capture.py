"""On an accelerator augmentation waits for nothing: with fake tensors, whatever reads a value or has a shape that hangs
on one fails. What passes can be captured as a graph and replayed with the keys of another epoch."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode

from longtail.augment import Augment

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
DRAWN = ("crop", "flip", "rotation", "color_jitter", "grayscale", "blur", "cutout")
CHAINS = [("crop", "flip", "autoaugment", "cutout"), ("crop", "flip", "randaugment", "cutout"), DRAWN, ()]


def traced(augment: Augment) -> Tensor:
    """The result of `apply` without a value in any tensor."""
    with FakeTensorMode(allow_non_fake_inputs=True):  # the tables of the policy are real
        image = torch.zeros(6, 3, 32, 32, dtype=torch.uint8)
        return augment.apply(image, torch.zeros(6, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("operations", CHAINS)
def test_the_dense_form_reads_no_value(operations: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Augment, "form", lambda self, image: "dense")
    result = traced(Augment(operations, MEAN, STD))
    assert result.shape == (6, 3, 32, 32)
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_reading_would_be_noticed() -> None:
    with pytest.raises(DynamicOutputShapeException):
        traced(Augment(CHAINS[0], MEAN, STD))  # on a CPU the sparse form splits the batch by operation


@pytest.mark.parametrize("operations", CHAINS)
def test_one_keys_tensor_serves_all_epochs(operations: tuple[str, ...], photos: Tensor) -> None:
    augment, index, keys = Augment(operations, MEAN, STD), torch.arange(16), torch.zeros(2, dtype=torch.int64)
    for seed, epoch, view in [(0, 0, 0), (-3, 7, 1), (2**40, 199, 0)]:
        keys.copy_(Augment.keys(seed, epoch, view, "cpu"))
        expected = augment(photos, index, seed=seed, epoch=epoch, view=view)
        assert torch.equal(augment.apply(photos, index, keys), expected)


@pytest.mark.parametrize("operations", CHAINS)
def test_both_torch_forms_give_the_same_bits(
    operations: tuple[str, ...], photos: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, index = photos.repeat(8, 1, 1, 1), torch.arange(128)
    sparse = Augment(operations, MEAN, STD)(images, index, seed=1, epoch=2)
    monkeypatch.setattr(Augment, "form", lambda self, image: "dense")
    assert torch.equal(Augment(operations, MEAN, STD)(images, index, seed=1, epoch=2), sparse)
