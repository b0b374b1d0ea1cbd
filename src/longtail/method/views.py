"""Some of a batch's views, for a method whose stages look at different ones."""

from dataclasses import replace

from longtail.types import Batch


def some_views(batch: Batch, start: int, stop: int) -> Batch:
    """The batch with its views from `start` to before `stop` alone; for `prepare` of a method that `mixes_images`.

    Args:
        batch: with all views of each image, (V*B, 3, H, W).
        start: number of the first view that is kept, from 0.
        stop: number of the first after it that is not.
    """
    images = len(batch.target)
    return replace(batch, image=batch.image[start * images : stop * images])
