"""TSC: targeted supervised contrastive learning (Li et al. 2022), and with it KCL (Kang et al. 2021).

The first stage trains features alone. Two views of each image, projected (D - D - 128), are anchors and each other's
keys. The positives of an anchor are the other view of its image and K = 6 keys of its class, drawn again (KCL); TSC
adds the target of its class, one of C unit vectors that are as far from each other as can be, as 25 equal keys:

    -1/|P(i)| sum_{p in P(i)} log( exp(s_ip) / sum_{k != i} exp(s_ik) ),    s = cosine / .07,

where k runs over all other views and all C * 25 copies of targets. The second stage trains a classifier on the frozen
features, from class-balanced samples, on a third view of each image by the recipe's own augmentation.

The copies, and targets that belong to classes from the start ("fixed"), are those of the published code for CIFAR. In
the paper and the code for ImageNet-LT a target is one key, in a term of weight .2, and classes get the target that is
nearest to their running centre, at each step; "matched" does so at the start of each epoch. The targets are exact (a
simplex), where the published ones come from descent. Not stated in the paper: the rate and weight decay of the second
stage.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from longtail import draws, losses
from longtail.between_epochs import matched_targets
from longtail.method import Method, MethodOptions, Positive, Stage, StageEpochs, some_views
from longtail.types import Batch, InputError, ModelOutput, Progress


class TSC(Method):
    """Supervised contrastive loss with few positives and evenly spread class targets, then a new classifier.

    Without targets it is KCL.
    """

    paper = 'Li et al., "Targeted Supervised Contrastive Learning for Long-Tailed Recognition", CVPR 2022, '
    paper += (
        'arXiv:2111.13998; of KCL "Exploring Balanced Feature Spaces for Representation Learning", ICLR 2021'
    )
    views = ("simclr", "simclr", "train")
    mixes_images = True
    targets: Tensor
    order: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            positives: keys of the anchor's class that are drawn, beside its image's other view.
            target_copies: how often the targets are keys; 0 is KCL.
            assignment: whether targets belong to classes from the start, or are matched to their centres.
            centre_decay: weight kept on the old centre of a class at each step, for matching.
            temperature: of the cosines.
            projection: values of a projected feature; at least C - 1.
            classifier_epochs, classifier_peak_lr: the second stage.
        """

        positives: int = Field(6, ge=0, le=2**20)
        target_copies: int = Field(25, ge=0, le=10_000)
        assignment: Literal["fixed", "matched"] = "fixed"
        centre_decay: float = Field(0.9, ge=0, le=1)
        temperature: Positive = 0.07
        projection: int = Field(128, ge=1, le=65_536)
        classifier_epochs: Annotated[StageEpochs, Field(ge=1)] = 20
        classifier_peak_lr: Positive = 0.1

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        classes, dim = len(class_counts), options.projection
        if options.target_copies and dim < classes - 1:
            raise InputError(
                f"method.projection = {dim} has no room for evenly spread targets of {classes} classes; "
                f"set it to {classes - 1} or more"
            )
        self.projection = losses.Projection(num_experts, feature_dim, feature_dim, dim)
        self.centres = losses.PrototypeBank(num_experts, classes, dim)
        targets = losses.simplex_targets(classes, dim) if options.target_copies else torch.zeros(classes, dim)
        self.register_buffer("targets", targets, persistent=False)
        self.register_buffer("order", torch.arange(classes))

    @classmethod
    def stages(cls, options: Options, epochs: int) -> tuple[Stage, ...]:
        contrast = Stage(
            "contrast", epochs - options.classifier_epochs, trainable=("[!h]*",)
        )  # all but heads
        classifier = Stage(
            "classifier", options.classifier_epochs, trainable=("heads.*",), sampler="class_balanced", warmup_epochs=0,
            peak_lr=options.classifier_peak_lr, weight_decay=0.0, batch_norm="eval",
        )  # fmt: skip
        return contrast, classifier

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def start_epoch(self, progress: Progress) -> None:
        if progress.stage == "contrast" and self.options.assignment == "matched":
            self.order.copy_(matched_targets(self.centres.prototypes, self.targets))

    def prepare(self, batch: Batch, progress: Progress) -> Batch:
        return some_views(batch, 0, 2) if progress.stage == "contrast" else some_views(batch, 2, 3)

    def observe(self, output: ModelOutput, batch: Batch, progress: Progress) -> None:
        if progress.stage == "contrast" and self.options.assignment == "matched":
            directions = torch.nn.functional.normalize(self.projection(output.features), dim=-1)
            self.centres.update(directions, batch.target.repeat(2), decay=self.options.centre_decay)

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        if progress.stage == "classifier":
            return {"cross_entropy": losses.expert_cross_entropy(output.logits, batch.target).sum()}
        copies, target = self.options.target_copies, batch.target.repeat(2)
        keys = self.targets[self.order].repeat(copies, 1).expand(self.num_experts, -1, -1)
        labels = torch.arange(len(self.order), device=target.device).repeat(copies)
        own = losses.positive_pairs(target, labels, among_anchors=False)
        contrast = losses.supervised_contrastive(
            self.projection(output.features), target, keys, labels,
            temperature=self.options.temperature, positives=torch.cat((self._drawn(batch), own), 1),
        )  # fmt: skip
        return {"contrastive": contrast.sum()}

    def _drawn(self, batch: Batch) -> Bool[Tensor, "a a"]:
        """The positives of each anchor among the anchors: the other view of its image, and a few of its class."""
        images = len(batch.target)
        numbers = draws.uniform(batch, 4 * images)
        numbers = torch.cat(numbers.chunk(2, 1))  # (2B, 2B): view by view, as the anchors
        other_view = torch.arange(2 * images, device=numbers.device).roll(images).unsqueeze(1)
        numbers = numbers.scatter(1, other_view, -1.0)
        pairs = losses.positive_pairs(batch.target.repeat(2))
        return losses.sampled_positives(pairs, numbers, self.options.positives + 1)
