"""Losses as pure functions of logits, features and labels; what carries state between batches is a module."""

from longtail.losses.class_groups import equal_mass_groups, ordered_groups, tail_groups
from longtail.losses.class_statistics import ClassStatistics, implicit_augmentation
from longtail.losses.classification import (
    expert_cross_entropy,
    focal_factor,
    focal_loss,
    logit_adjust,
    logit_adjusted_cross_entropy,
    parallel_loss,
    sample_cross_entropy,
    spread_adjustments,
)
from longtail.losses.contrastive import confusion_contrastive
from longtail.losses.distillation import (
    kl_divergence,
    mutual_distillation,
    mutual_distillation_ordered,
    pairwise_kl,
)
from longtail.losses.diversity import (
    adaptive_diversity,
    adaptive_diversity_floored,
    adaptive_diversity_squared,
    feature_distance,
)
from longtail.losses.margins import ldam_margins, target_margin
from longtail.losses.momentum import KeyQueue, moving_average_copy, update_moving_average
from longtail.losses.projection import Projection
from longtail.losses.supervised import (
    parametric_contrastive,
    positive_pairs,
    sampled_positives,
    simplex_targets,
    supervised_contrastive,
)
from longtail.losses.trackers import ConfusionTracker, PrototypeBank
from longtail.losses.weighting import (
    binary_soft_cross_entropy,
    class_weights,
    soft_cross_entropy,
    weighted_cross_entropy,
)

__all__ = [
    "ClassStatistics",
    "ConfusionTracker",
    "KeyQueue",
    "Projection",
    "PrototypeBank",
    "adaptive_diversity",
    "adaptive_diversity_floored",
    "adaptive_diversity_squared",
    "binary_soft_cross_entropy",
    "class_weights",
    "confusion_contrastive",
    "equal_mass_groups",
    "expert_cross_entropy",
    "feature_distance",
    "focal_factor",
    "focal_loss",
    "implicit_augmentation",
    "kl_divergence",
    "ldam_margins",
    "logit_adjust",
    "logit_adjusted_cross_entropy",
    "moving_average_copy",
    "mutual_distillation",
    "mutual_distillation_ordered",
    "ordered_groups",
    "pairwise_kl",
    "parallel_loss",
    "parametric_contrastive",
    "positive_pairs",
    "sample_cross_entropy",
    "sampled_positives",
    "simplex_targets",
    "soft_cross_entropy",
    "spread_adjustments",
    "supervised_contrastive",
    "tail_groups",
    "target_margin",
    "update_moving_average",
    "weighted_cross_entropy",
]
