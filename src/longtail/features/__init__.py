"""Features of images that a frozen backbone computes once and keeps on disk."""

from longtail.features.compute import ImageFeatures, Views, count_missing, features_of, weights_hash
from longtail.features.place import Entry, cache_folder, entries, limit, remove_all, trim

__all__ = [
    "Entry",
    "ImageFeatures",
    "Views",
    "cache_folder",
    "count_missing",
    "entries",
    "features_of",
    "limit",
    "remove_all",
    "trim",
    "weights_hash",
]
