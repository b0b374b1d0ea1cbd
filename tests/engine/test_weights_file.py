"""A file of weights is the same, byte for byte, wherever its content is."""

import safetensors.torch
import torch

from longtail.engine.weights_file import pack_weights


def test_the_same_content_makes_the_same_bytes() -> None:
    tensors = {"café": torch.arange(6.0).view(2, 3), "b": torch.ones(3, dtype=torch.bfloat16)}
    made = {pack_weights(tensors, {"classes": ["Füchse", "owls"]}) for _ in range(12)}
    assert len(made) == 1  # safetensors itself orders two entries by chance
    again = safetensors.torch.load(made.pop())
    assert all(torch.equal(again[name], value) for name, value in tensors.items())
