"""The Triton kernel against the torch form, bit for bit: on the GPU where there is one, else in Triton's interpreter.
It is also compiled for a GPU, without one, because the interpreter takes what the compiler refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from longtail.augment import Augment, fused
from longtail.augment.operations import apply_operations, build_table
from longtail.augment.policies import RANDAUGMENT_LEVELS, RANDAUGMENT_OPERATIONS, Operation, operation
from longtail.augment.sampling import FIRST_STEP, Step

pytestmark = pytest.mark.slow

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
AUTOAUGMENT = ("crop", "flip", "autoaugment", "cutout")
RANDAUGMENT = ("crop", "flip", "randaugment", "cutout")
FILL = 128
EVERY_OPERATION = list(
    dict.fromkeys(
        operation(name, level, RANDAUGMENT_LEVELS, sign)
        for name in (*RANDAUGMENT_OPERATIONS, "invert")
        for level in (4, 30)
        for sign in (1, -1)
    )
)


@pytest.fixture
def device() -> str:
    """Where the kernel runs: see the head of `tests/conftest.py`."""
    pytest.importorskip("triton", reason="needs Triton")
    return "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture
def forms(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Forms for `Augment` to take, by the device of the image; the kernel everywhere unless a test says otherwise."""
    chosen = {"cpu": "kernel", "cuda": "kernel"}
    monkeypatch.setattr(Augment, "form", lambda self, image: chosen[image.device.type])
    return chosen


def some_images(count: int, height: int, width: int) -> Tensor:
    """In turn noise, smooth, three-valued, and flat but for one channel."""
    generator = torch.Generator().manual_seed(height * 1000 + width)
    noise = torch.rand(count, 3, height, width, generator=generator) * 256
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic") * 255
    flat = noise.mean((2, 3), keepdim=True).expand_as(noise).clone()
    flat[:, 1] = noise[:, 1]
    kinds = torch.stack([noise, smooth, (noise / 86).floor() * 100, flat], dim=1)
    return kinds.flatten(0, 1)[:count].clamp(0, 255).floor().to(torch.uint8)


def by_torch(augment: Augment, images: Tensor, index: Tensor, keys: Tensor, forms: dict[str, str]) -> Tensor:
    """What a fresh `Augment` of the same options makes in the torch form on the CPU."""
    forms["cpu"] = "sparse"
    augment._prepared.clear()
    result = augment.apply(images, index, keys)
    augment._prepared.clear()
    forms["cpu"] = "kernel"
    return result


@pytest.mark.parametrize("one", EVERY_OPERATION, ids=lambda one: f"{one.name}({one.value:.3g})")
def test_each_operation_equals_the_torch_form(one: Operation, device: str) -> None:
    """After an inversion, so that the program's lanes without a pixel no longer hold what was read."""
    size = (17, 23)
    images, index = some_images(4, *size).to(device), torch.arange(4, device=device)
    table = build_table([Operation("invert"), one], *size, fill=FILL, device=images.device)
    always = torch.tensor([1 << 32], device=device)
    steps = [
        Step(FIRST_STEP, FIRST_STEP + 1, always, torch.full((1, 2), row, device=device)) for row in range(2)
    ]
    values = torch.arange(256.0, device=device).repeat(3, 1)
    kernel = fused.Fused(table, steps, values, size, crop_padding=0, flip=False, cutout_size=0)
    result = kernel(images, index, Augment.keys(0, 0, 0, device))
    inverted = apply_operations(images, torch.zeros_like(index), table, dense=False)
    expected = apply_operations(inverted, torch.ones_like(index), table, dense=False)
    assert torch.equal(result, expected.float())
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("operations", "options"),
    [
        (AUTOAUGMENT, {}),
        (RANDAUGMENT, {}),
        (RANDAUGMENT, {"randaugment_ops": 3, "randaugment_magnitude": 30, "fill": 7, "cutout_size": 5}),
        (("crop", "cutout"), {"crop_padding": 2, "cutout_size": 1}),
        (("flip",), {}),
        (("crop", "rotation", "color_jitter", "grayscale"), {"jitter_strength": (0.4, 0.0, 0.0, 0.0)}),
        ((), {}),
    ],
)
@pytest.mark.parametrize(
    ("size", "key"), [((32, 32), (0, 0, 0)), ((8, 8), (-5, 199, 1)), ((1, 2), (2**40, 7, 0))]
)
def test_whole_chain_equals_the_torch_form(
    operations: tuple[str, ...],
    options: dict[str, Any],
    size: tuple[int, int],
    key: tuple[int, int, int],
    device: str,
    forms: dict[str, str],
) -> None:
    augment = Augment(operations, MEAN, STD, **options)
    count = 4 if device == "cpu" else 1024
    images, index = some_images(count, *size), torch.arange(count) * 3_000_017 % 2**32
    expected = by_torch(augment, images, index, Augment.keys(*key, "cpu"), forms)
    result = augment.apply(images.to(device), index.to(device), Augment.keys(*key, device))
    assert torch.equal(result.cpu(), expected)


def test_any_strides_one_image_and_none(device: str, forms: dict[str, str]) -> None:
    augment, images = Augment(AUTOAUGMENT, MEAN, STD), some_images(5, 9, 12)
    index, keys = torch.tensor([29, 0, 7, 7, 13], dtype=torch.int32), Augment.keys(1, 2, 0, "cpu")
    expected = by_torch(augment, images, index, keys, forms)
    for held in (images, images.contiguous(memory_format=torch.channels_last)):
        result = augment.apply(held.to(device), index.to(device), keys.to(device))
        assert torch.equal(result.cpu(), expected)
    one = augment.apply(images[2:3].to(device), index[2:3].to(device), keys.to(device))
    assert torch.equal(one.cpu(), expected[2:3])
    nothing = augment.apply(images[:0].to(device), index[:0].to(device), keys.to(device))
    assert nothing.shape == (0, 3, 9, 12)


def test_form_is_chosen_by_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    augment, there = Augment(AUTOAUGMENT, MEAN, STD), True
    monkeypatch.setattr(fused, "_has_triton", lambda device: there)
    assert augment.form(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)) == "sparse"
    with FakeTensorMode():
        largest = torch.zeros(1, 3, 64, 64, dtype=torch.uint8, device="cuda")
        larger = torch.zeros(1, 3, 64, 65, dtype=torch.uint8, device="cuda")
    assert augment.form(largest) == "kernel"
    assert augment.form(larger) == "dense"
    for operations, options in (
        (("color_jitter",), {}),
        (("blur",), {}),
        (("crop",), {"crop_fill": "reflect"}),
    ):
        assert (
            Augment(operations, MEAN, STD, **options).form(largest) == "dense"
        )  # the kernel does not have it
    assert Augment(("flip",), MEAN, STD, crop_fill="reflect").form(largest) == "kernel"
    there = False
    assert augment.form(largest) == "dense"


def test_without_triton_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    assert not fused._has_triton.__wrapped__(torch.device("cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_captured_graph_takes_other_keys_and_images() -> None:
    augment, images = Augment(AUTOAUGMENT, MEAN, STD), some_images(512, 32, 32).to("cuda")
    batch, index, keys = images[:128].clone(), torch.arange(128, device="cuda"), Augment.keys(0, 0, 0, "cuda")
    assert augment.form(batch) == "kernel"
    augment.apply(batch, index, keys)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = augment.apply(batch, index, keys)
    for epoch in range(3):
        keys.copy_(Augment.keys(0, epoch, 0, "cuda"))
        index.copy_(torch.randperm(512, device="cuda")[:128])
        batch.copy_(images[index])
        graph.replay()
        expected = Augment(AUTOAUGMENT, MEAN, STD)(batch.cpu(), index.cpu(), seed=0, epoch=epoch)
        assert torch.equal(result.cpu(), expected)


def test_it_compiles_for_a_gpu(tmp_path: Path) -> None:
    """Needs no GPU. Nothing spills to memory, and no multiply-add is fused: it would round once, torch rounds twice."""
    pytest.importorskip("triton", reason="needs Triton")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, Path(__file__).with_name("compile_kernel.py"), "32x32", "17x23", "64x64"]
    done = subprocess.run(
        command,
        env=environment | {"TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for found in json.loads(done.stdout):
        assert found["fused_multiply_adds"] == 0
        assert found["stack_bytes"] == 0
        assert 0 < found["shared_bytes"] <= 16384
