"""Two views by two policies; what the network was shown is kept."""

from typing import ClassVar

from longtail.losses import expert_cross_entropy
from longtail.method import Method


class TwoPolicies(Method):
    views = ("weak", "strong")
    shown: ClassVar = []  # of each batch: images and rows

    def observe(self, output, batch, progress):
        self.shown.append((batch.image.clone(), batch.index.clone()))

    def loss(self, output, batch, progress):
        return {"cross_entropy": expert_cross_entropy(output.logits, batch.target.repeat(2)).sum()}
