import numpy as np
import pytest
import torch
from torch import Tensor

SIZES = [(8, 8), (32, 32), (33, 17), (7, 12), (2, 5), (1, 1)]


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def images(request: pytest.FixtureRequest) -> Tensor:
    """Noise, smooth (natural-looking), narrow, few-valued, flat and half-flat images of one size, uint8."""
    height, width = request.param
    generator = torch.Generator().manual_seed(height * 1000 + width)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    noise = rand(6, 3, height, width) * 256
    smooth = torch.nn.functional.interpolate(rand(8, 3, 4, 4), size=(height, width), mode="bicubic") * 255
    narrow = rand(4, 1, 1, 1) * 200 + rand(4, 3, height, width) * 40
    few = (rand(4, 3, height, width) * 3).floor() * 100
    flat = (rand(3, 3, 1, 1) * 256).expand(3, 3, height, width)
    half = torch.cat([noise[:2, :1], flat[:2, 1:]], dim=1)
    batch = torch.cat([noise, smooth, narrow, few, flat, half])
    return batch.clamp(0, 255).floor().to(torch.uint8)


@pytest.fixture
def photos() -> Tensor:
    """16 smooth 32 x 32 images with some noise."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((16, 3, 5, 5), dtype=np.float32))
    smooth = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic") * 240
    noisy = smooth + torch.from_numpy(rng.normal(0, 5, (16, 3, 32, 32)).astype(np.float32))
    return noisy.clamp(0, 255).to(torch.uint8)
