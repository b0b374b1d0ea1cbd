"""Cross-entropy with any of the samplers."""

from longtail.losses import expert_cross_entropy
from longtail.method import Method, MethodOptions, Stage


class Drawn(Method):
    class Options(MethodOptions):
        sampler: str = "instance"

    def __init__(self, options, class_counts, num_experts, feature_dim):
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.sampler = options.sampler

    def stages(self, epochs):
        return (Stage("train", epochs, sampler=self.sampler),)

    def loss(self, output, batch, progress):
        return {"cross_entropy": expert_cross_entropy(output.logits, batch.target).sum()}
