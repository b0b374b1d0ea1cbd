"""Batched random augmentation of uint8 images on their own device; no bit depends on how batches are made."""

from longtail.augment.checks import OPERATIONS, check_operations
from longtail.augment.pipeline import Augment

__all__ = ["OPERATIONS", "Augment", "check_operations"]
