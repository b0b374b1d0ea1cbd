"""Classifier re-training, cRT (Kang et al. 2020): features from plain training, then a new balanced classifier.

The first stage is cross-entropy on images as they come. The second freezes the features, batch norm's statistics
included, and trains a new head bank by cross-entropy on class-balanced samples, under a cosine from
`classifier_peak_lr` and with a weight decay of its own. The kind of the fresh classifiers is the recipe's
`model.fresh_head` (the paper's are linear).

The paper has no CIFAR results; those of others retrain for 10 to 30 epochs. The first stage's rate is the recipe's.
"""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from longtail.losses import expert_cross_entropy
from longtail.method import Method, MethodOptions, Positive, Stage, StageEpochs, Weight
from longtail.types import Batch, ModelOutput, Progress


class ClassifierRetraining(Method):
    """Plain training, then a new classifier on frozen features, with class-balanced sampling."""

    paper = 'Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020, '
    paper += "arXiv:1910.09217"

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            classifier_epochs: length of the second stage, the run's last epochs.
            classifier_peak_lr, classifier_decay: where its cosine begins, and its weight decay.
        """

        classifier_epochs: StageEpochs = 20
        classifier_peak_lr: Positive = 0.1
        classifier_decay: Weight = 5e-4

    @classmethod
    def stages(cls, options: Options, epochs: int) -> tuple[Stage, ...]:
        length = options.classifier_epochs
        feature = Stage("feature", epochs - length, bank="feature")
        classifier = Stage(
            "classifier", length, bank="classifier", trainable=("heads.*",), sampler="class_balanced",
            peak_lr=options.classifier_peak_lr, warmup_epochs=0,
            weight_decay=options.classifier_decay, batch_norm="eval",
        )  # fmt: skip
        return (feature, classifier) if length else (feature,)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        return {"cross_entropy": expert_cross_entropy(output.logits, batch.target).sum()}
