"""What shapes images have, what a centred square hides of them, and which `data.fit` suits that."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from longtail.choices import Fit
from longtail.data.listing import Listing

HARDLY = 0.1  # share of an image that a centred square may hide, of nine images in ten, with nothing lost


@dataclass(frozen=True)
class Shapes:
    """The shapes of a set of images.

    Attributes:
        images: how many were measured.
        short_side: their shorter side in pixels, the median of all.
        narrow: width / height that one image in twenty is below.
        wide: width / height that one image in twenty is above.
        hidden: share of an image that its largest centred square hides, the median of all.
        usually_hidden: the same, of one image in ten more than this.
        most_hidden: the same, the largest.
        example: the image of which most is hidden.
    """

    images: int
    short_side: int
    narrow: float
    wide: float
    hidden: float
    usually_hidden: float
    most_hidden: float
    example: str

    @property
    def are_square(self) -> bool:
        """Whether a centred square hides less than a hundredth of any image."""
        return self.most_hidden < 0.01

    @property
    def said(self) -> str:
        """The shapes, and what a centred square hides of them."""
        return (
            f"width / height {_span(self.narrow, self.wide)}; the centred square hides {self.hidden:.0%} of an image "
            f"(median), {self.most_hidden:.0%} at most ({self.example})"
        )

    def lines(self, fit: Fit | None = None) -> tuple[str, ...]:
        """What to say of the images: nothing where all are square.

        Args:
            fit: what was chosen for them; None: nothing yet, and what suits them is named.
        """
        if self.are_square:
            return ()
        best, why = suggest_fit(self)
        advice = f"suggested: --fit {best}, {why}"
        if fit is not None:
            shown = "the square is all that is seen" if fit == "crop" else "the whole image is seen"
            advice = f"data.fit={fit}: {shown}" + (f"; {advice}" if fit == "crop" and best != fit else "")
        return (f"shapes of the images: {self.said}; {advice}",)

    def contents(self) -> dict[str, Any]:
        """The form it has in audit.json."""
        return asdict(self) | {"suggested": suggest_fit(self)[0]}


def shapes_of(sizes: Int64[np.ndarray, "n 2"], ids: Sequence[str]) -> Shapes | None:
    """The shapes of images; None where there is none.

    Args:
        sizes: (N, 2) height and width in pixels, upright.
        ids: N names.

    >>> found = shapes_of(np.array([[36, 64], [36, 64], [30, 60]]), ("a", "b", "c"))
    >>> round(found.hidden, 4), found.most_hidden, found.example
    (0.4375, 0.5, 'c')
    """
    if not len(sizes):
        return None
    height, width = sizes.astype(float).T
    hidden = 1 - np.minimum(height, width) / np.maximum(height, width)
    narrow, wide = np.quantile(width / height, (0.05, 0.95), method="nearest")
    half, usually = np.quantile(hidden, (0.5, 0.9), method="nearest")
    worst = int(hidden.argmax())
    return Shapes(
        len(sizes), int(np.median(sizes.min(axis=1))), float(narrow), float(wide), float(half), float(usually),
        float(hidden[worst]), ids[worst],
    )  # fmt: skip


def sample_shapes(listing: Listing, count: int) -> Shapes | None:
    """The shapes of some images of a listing, spread evenly; None where none can be read.

    Args:
        listing: the images; those whose size it does not know are decoded.
        count: how many.
    """
    from longtail.data.images import measure  # torch: only where images are read
    from longtail.data.threads import in_threads

    rows = np.unique(np.linspace(0, len(listing.targets) - 1, count).astype(np.int64))
    if listing.sizes is not None:
        return shapes_of(listing.sizes[rows], [listing.ids[row] for row in rows])
    measured = zip(rows.tolist(), in_threads(measure, listing.fetch(rows)), strict=True)
    found = [(size, listing.ids[row]) for row, size in measured if isinstance(size, tuple)]
    return shapes_of(np.array([size for size, _ in found]).reshape(-1, 2), [name for _, name in found])


def suggest_fit(shapes: Shapes) -> tuple[Fit, str]:
    """Which `data.fit` suits images of these shapes, and why.

    Where a centred square hides next to nothing: `crop`, which changes nothing. Else `squash`, which shows all of each
    image, as large as it can be. `pad` is not suggested: it scored lowest on the four sets that it was tried on, see
    docs/data.md; where proportions tell classes apart, validation images have to show that it is better.

    >>> frames = shapes_of(np.array([[36, 64]] * 3), ("a", "b", "c"))
    >>> suggest_fit(frames)[0]
    'squash'
    """
    if shapes.usually_hidden <= HARDLY:
        return "crop", "for a centred square hides next to nothing of nearly all images"
    return (
        "squash",
        "which hides nothing; where proportions tell classes apart, compare with pad on validation images",
    )


def _span(narrow: float, wide: float) -> str:
    low, high = f"{narrow:.2f}", f"{wide:.2f}"
    return low if low == high else f"{low} to {high}"
