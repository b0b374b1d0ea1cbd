"""SBCL: subclass-balancing contrastive learning (Hou et al. 2023).

The first stage trains features alone, on two views of each image, projected (D - D - 128). Every ten epochs each class
of n_c images is cut into ceil(n_c / max(n_min, 10)) subclasses of images that look alike, by k-means on the directions
of its features, so that subclasses are of about the size of the smallest class. With S(i) the other views of the
anchor's subclass and R(i) those of its class outside it and its image's other one, the loss of anchor i is

    -T/.07 / |S| sum_{p in S} log( e(s_ip / T) / sum_{k != i} e(s_ik / T) )
    - beta / |R| sum_{p in R} log( e(s_ip / T_y) / sum_{k in R or of other classes} e(s_ik / T_y) ),

s being cosines, T = .1, beta = .25 and T_y = T d_y / mean d the class's own temperature: d_c is the mean distance of
its directions from their mean over log(n_c + 10), between the 20th and 80th percentile of all; a class of one subclass
has T. Until the first cut it is supervised contrast, without T/.07. The second
stage trains a classifier on the frozen features, on a third view by the recipe's own augmentation, with LDAM's
margins, and weights of classes from its first fall of the rate on (LDAM-DRW); the rate falls to a hundredth at 70 %
and again at 90 % of it.

Not stated in the paper: that the features before the projection are clustered, from which centre distances are
measured, when weights of classes begin, and the kind of the classifier. It is the recipe's: of linear ones the margin
is taken off the logit, of cosine ones off the cosine, as in LDAM. The code's option to make clusters of equal size is
left out. The first cut of a short run still comes at epoch ten. Experts of one image are clustered together.
"""

from collections.abc import Collection, Mapping
from typing import Annotated

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from longtail import losses
from longtail.between_epochs import class_temperatures, subclasses
from longtail.method import Method, MethodOptions, Positive, Stage, StageEpochs, Weight, some_views
from longtail.types import Batch, ModelOutput, Progress

BASE_TEMPERATURE = 0.07


class SBCL(Method):
    """Contrastive loss on subclasses as large as the smallest class, then a classifier trained with LDAM-DRW."""

    paper = 'Hou et al., "Subclass-balancing Contrastive Learning for Long-tailed Recognition", ICCV 2023, '
    paper += "arXiv:2306.15925"
    views = ("simclr", "simclr", "train")
    mixes_images = True
    subclass: Tensor
    temperature: Tensor
    margins: Tensor
    weight: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            regroup_every: epochs between two cuts into subclasses, and before the first; not scaled with the run.
            smallest_subclass: images a subclass is to have at least.
            class_weight: beta, of the contrast with the rest of the class.
            temperature: T.
            projection: values of a projected feature.
            classifier_epochs, classifier_peak_lr: the second stage.
            max_margin: LDAM's margin of the smallest class.
        """

        regroup_every: int = Field(10, ge=1, le=1_000_000)
        smallest_subclass: int = Field(10, ge=1, le=2**31)
        class_weight: Weight = 0.25
        temperature: Positive = 0.1
        projection: int = Field(128, ge=1, le=65_536)
        classifier_epochs: Annotated[StageEpochs, Field(ge=1)] = 40
        classifier_peak_lr: Positive = 0.1
        max_margin: float = Field(0.5, ge=0, le=2)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.projection = losses.Projection(num_experts, feature_dim, feature_dim, options.projection)
        images, classes = int(class_counts.sum()), len(class_counts)
        self.register_buffer("subclass", torch.zeros(images, dtype=torch.int64))
        self.register_buffer("temperature", torch.full((classes,), options.temperature))
        margins = losses.ldam_margins(class_counts, largest=options.max_margin)
        self.register_buffer("margins", margins, persistent=False)
        self.register_buffer("weight", losses.class_weights(class_counts, rule="effective"), persistent=False)

    @classmethod
    def stages(cls, options: Options, epochs: int) -> tuple[Stage, ...]:
        length = options.classifier_epochs
        contrast = Stage("contrast", epochs - length, trainable=("[!h]*",))  # all but heads
        classifier = Stage(
            "classifier", length, trainable=("heads.*",), peak_lr=options.classifier_peak_lr, warmup_epochs=0,
            milestones=_falls(length), decay_factor=0.01, weight_decay=0.0, batch_norm="eval",
        )  # fmt: skip
        return contrast, classifier

    def phase(self, progress: Progress) -> tuple[str, bool]:
        """The stage, and whether there are subclasses, or weights of classes."""
        contrast, epoch = progress.stage == "contrast", progress.epoch
        return progress.stage, epoch >= (
            self.options.regroup_every if contrast else _falls(progress.epochs)[0]
        )

    def survey_epochs(self, stage: Stage) -> Collection[int]:
        every = self.options.regroup_every
        return range(every, stage.epochs, every) if stage.name == "contrast" else ()

    def survey(
        self, features: Float[Tensor, "m n d"], targets: Int[Tensor, " n"], progress: Progress
    ) -> None:
        counts = torch.bincount(targets, minlength=len(self.class_counts))
        size = counts[counts > 0].min().clamp_min(self.options.smallest_subclass)
        clusters = (counts + size - 1) // size
        together = torch.nn.functional.normalize(features, dim=-1).transpose(0, 1).flatten(1)
        seed = progress.seed * 1_000_003 + progress.total_epoch
        self.subclass.copy_(subclasses(together, targets, clusters, seed=seed % 2**63))
        temperature = self.options.temperature
        self.temperature.copy_(class_temperatures(together, targets, clusters, temperature=temperature))

    def prepare(self, batch: Batch, progress: Progress) -> Batch:
        return some_views(batch, 0, 2) if progress.stage == "contrast" else some_views(batch, 2, 3)

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        stage, later = self.phase(progress)
        if stage == "classifier":
            margins = self.margins * output.aux["scale"]
            logits = losses.target_margin(output.logits, batch.target, margins, scale=1.0)
            weight = self.weight if later else torch.ones_like(self.weight)
            ldam = losses.weighted_cross_entropy(logits, batch.target, weight, normalise=True)
            return {"ldam": ldam.sum()}
        anchors, target = self.projection(output.features), batch.target.repeat(2)
        t = self.options.temperature
        if not later:
            return {"contrastive": losses.supervised_contrastive(anchors, target, temperature=t).sum()}
        same = losses.positive_pairs(self.subclass[batch.index].repeat(2))
        near = losses.supervised_contrastive(anchors, target, temperature=t, positives=same)
        other_view = torch.arange(len(target), device=target.device).roll(len(batch.target)).unsqueeze(1)
        valid = (~same).scatter(1, other_view, True)
        own = self.temperature[target]
        rest = losses.supervised_contrastive(anchors, target, temperature=own, valid=valid)
        weight = self.options.class_weight
        return {"subclass": t / BASE_TEMPERATURE * near.sum(), "class": weight * rest.sum()}

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        """That of the sampler times the weights, where these are on when the stage ends; the margins come on top."""
        prior = super().assumed_log_prior(stage)
        return prior + self.weight.double().log() if stage.epochs > _falls(stage.epochs)[0] else prior


def _falls(length: int) -> tuple[int, int]:
    """The epochs of the second stage at which the rate falls."""
    return -(-length * 7 // 10), -(-length * 9 // 10)
