"""Image sources, long tails, splits, samplers and batches."""

from typing import TYPE_CHECKING

from longtail.on_demand import on_demand

if TYPE_CHECKING:
    from longtail.data.batching import batch_sizes as batch_sizes
    from longtail.data.batching import batches as batches
    from longtail.data.dataset import LongTailData as LongTailData
    from longtail.data.dataset import Notes as Notes
    from longtail.data.dataset import Split as Split
    from longtail.data.files import ImageFiles as ImageFiles
    from longtail.data.images import read_images as read_images
    from longtail.data.loading import load_data as load_data
    from longtail.data.loading import load_test as load_test
    from longtail.data.options import DataOptions as DataOptions
    from longtail.data.profiles import long_tailed_counts as long_tailed_counts
    from longtail.data.samplers import epoch_order as epoch_order
    from longtail.data.samplers import showings as showings
    from longtail.data.source_kinds import source_of as source_of
else:
    __getattr__ = on_demand(
        __name__,
        {
            "DataOptions": "longtail.data.options",
            "ImageFiles": "longtail.data.files",
            "LongTailData": "longtail.data.dataset",
            "Notes": "longtail.data.dataset",
            "Split": "longtail.data.dataset",
            "batch_sizes": "longtail.data.batching",
            "batches": "longtail.data.batching",
            "epoch_order": "longtail.data.samplers",
            "load_data": "longtail.data.loading",
            "load_test": "longtail.data.loading",
            "long_tailed_counts": "longtail.data.profiles",
            "read_images": "longtail.data.images",
            "showings": "longtail.data.samplers",
            "source_of": "longtail.data.source_kinds",
        },
    )

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
]
