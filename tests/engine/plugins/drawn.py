"""Cross-entropy with any of the samplers."""

from longtail.losses import expert_cross_entropy
from longtail.method import Method, MethodOptions, Stage


class Drawn(Method):
    class Options(MethodOptions):
        sampler: str = "instance"

    @classmethod
    def stages(cls, options, epochs):
        return (Stage("train", epochs, sampler=options.sampler),)

    def loss(self, output, batch, progress):
        return {"cross_entropy": expert_cross_entropy(output.logits, batch.target).sum()}
