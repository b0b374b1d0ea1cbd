"""Batched random augmentation of uint8 images on their own device; no bit depends on how batches are made."""

from longtail.augment.checks import OPERATIONS
from longtail.augment.pipeline import Augment

__all__ = ["OPERATIONS", "Augment"]
