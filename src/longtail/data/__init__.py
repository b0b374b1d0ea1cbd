"""Image sources, long tails, splits, samplers and batches."""

from longtail.data.batching import batch_sizes, batches
from longtail.data.dataset import LongTailData, Notes, Split
from longtail.data.files import ImageFiles
from longtail.data.images import read_images
from longtail.data.loading import load_data, load_test
from longtail.data.options import DataOptions
from longtail.data.profiles import long_tailed_counts
from longtail.data.samplers import epoch_order, showings
from longtail.data.source_kinds import source_of, sources

__all__ = [
    "DataOptions",
    "ImageFiles",
    "LongTailData",
    "Notes",
    "Split",
    "batch_sizes",
    "batches",
    "epoch_order",
    "load_data",
    "load_test",
    "long_tailed_counts",
    "read_images",
    "showings",
    "source_of",
    "sources",
]
