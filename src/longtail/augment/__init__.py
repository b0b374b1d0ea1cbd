"""Batched random augmentation of uint8 images on their own device; no bit depends on how batches are made."""

from longtail.augment.pipeline import OPERATIONS, Augment

__all__ = ["OPERATIONS", "Augment"]
