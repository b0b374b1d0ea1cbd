"""All that can go wrong when a batch is divided: images mixed with others of the batch, two views by two policies, a
loss that is no mean over images, weights of the method, and the classifier's weights in the loss."""

from dataclasses import replace

import torch
from torch import nn

from longtail.losses import expert_cross_entropy
from longtail.method import Method


class Pairs(Method):
    views = ("weak", "train")
    mixes_images = True

    def __init__(self, options, class_counts, num_experts, feature_dim):
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.scale = nn.Parameter(torch.ones(feature_dim))

    def prepare(self, batch, progress):
        mixed = [0.75 * view + 0.25 * view.roll(1, 0) for view in batch.image.chunk(2)]
        return replace(batch, image=torch.cat(mixed), aux={"partner": batch.target.roll(1)})

    def loss(self, output, batch, progress):
        twice = expert_cross_entropy(output.logits, batch.target.repeat(2))
        mixed = expert_cross_entropy(output.logits, batch.aux["partner"].repeat(2))
        one, two = (output.features * self.scale).chunk(2, dim=1)
        spread = (one - two).square().mean().sqrt()
        norm = output.aux["classifier"].square().mean()
        return {"cross_entropy": (0.75 * twice + 0.25 * mixed).prod(), "spread": spread, "norm": norm}
