"""A method for two experts alone, with a window whose default is meant for 200 epochs."""

from typing import ClassVar

from longtail.losses import expert_cross_entropy
from longtail.method import Method, MethodOptions, WindowStart


class TwoOnly(Method):
    needs: ClassVar = {"num_experts": 2}

    class Options(MethodOptions):
        start: WindowStart = 160

    def loss(self, output, batch, progress):
        return {"cross_entropy": expert_cross_entropy(output.logits, batch.target).sum()}
