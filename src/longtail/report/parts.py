"""What the templates of the page are given: text that is ready to be shown, tables, pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PureWindowsPath
from typing import Any

from markupsafe import Markup

from longtail.printable import printable
from longtail.report.facts.words import whole
from longtail.runs.groups import ENOUGH

SIDE = 96  # pixels of a thumbnail; what is smaller stays as it is


@dataclass(frozen=True)
class Table:
    """A small table; the first cell of a row is its name.

    Attributes:
        caption: what it holds.
        header: one heading a column.
        rows: text.
        left: columns of words; the others hold numbers and stand right.
        of_groups: whether the rows called many, medium and few are the groups, and bear their marks.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[int] = (0,)
    of_groups: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure with its heading, and with its numbers where no table of the page has them."""

    heading: str
    svg: Markup
    caption: str = ""
    numbers: Table | None = None


@dataclass(frozen=True)
class Thumbnail:
    """A picture as a `data:` address.

    Attributes:
        address: of a WebP file.
        side: in pixels.
    """

    address: str
    side: int

    @property
    def coarse(self) -> bool:
        """Whether the original is so small that its pixels are to be seen."""
        return self.side < SIDE


@dataclass(frozen=True)
class Thumb:
    """A thumbnail in its place.

    Attributes:
        picture: the image.
        alt: what it shows, for those who do not see it.
        caption: the words below it.
    """

    picture: Thumbnail
    alt: str
    caption: str


@dataclass(frozen=True)
class Card:
    """A class taken for another, with images."""

    true: str
    predicted: str
    text: str
    wrong: Sequence[Thumb] = ()
    right: Sequence[Thumb] = ()


@dataclass(frozen=True)
class Part:
    """What the page shows of a section.

    Attributes:
        content: what its template takes.
        script: what the page's script is given.
        short, heading: in place of the section's own, where not empty.
        id: its address in the page, the section's name; the page sets it.
    """

    content: Any
    script: Mapping[str, Any] = field(default_factory=dict)
    short: str = ""
    heading: str = ""
    id: str = ""


@dataclass(frozen=True)
class Images:
    """Which images the page shows.

    Attributes:
        which: "none", "errors" (those that the model names wrongly) or "all" (right ones beside them).
        trouble: why there are none, in a sentence.
    """

    which: str = "all"
    trouble: str = ""


def shown(name: str | None) -> str:
    """A name as the page writes it: what is not printable is escaped."""
    return "" if name is None else printable(name)


def shown_path(image: str) -> str:
    r"""An image's id, where it is an absolute path its folder and name alone: what lies above tells of the machine.

    >>> shown_path("test/cat/1.jpg"), shown_path("/me/photos/cat/1.jpg"), shown_path("..\\me\\my\\cat\\1.jpg")
    ('test/cat/1.jpg', '…/cat/1.jpg', '…/cat/1.jpg')
    """
    path = PureWindowsPath(image)  # which knows both kinds
    outside = path.root or ".." in path.parts
    return "/".join(("…", *path.parts[1:][-2:])) if outside else image


def cent(value: float | None, images: int | None = None) -> str:
    """A fraction in per cent: whole below 1,000 images, else with one decimal; a dash for too few images."""
    if value is None or (images is not None and images < ENOUGH):
        return "-"
    return f"{whole(value, images or 0)} %"


def span(interval: tuple[float, float] | None, images: int | None = None) -> str:
    """An interval in per cent."""
    if interval is None or (images is not None and images < ENOUGH):
        return "-"
    low, high = (whole(end, images or 0) for end in interval)
    return f"{low}-{high} %"
