"""`longtail data pack`: a set of any source becomes a packed set, once, so that training need not decode it again."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from longtail.caller_words import PYTHON, Words
from longtail.data.content import with_content
from longtail.data.depth import Depth, Reading, depth_of
from longtail.data.entries import refuse_among_images
from longtail.data.images import shrunk
from longtail.data.left_out import left_out_lines
from longtail.data.listing import Listing, Source
from longtail.data.opening import UnreadableError
from longtail.data.options import TwoLabels
from longtail.data.packed_set import write_manifest, write_part
from longtail.data.source_kinds import options_of, read_source
from longtail.data.threads import in_threads
from longtail.runs.atomic_write import atomic_write, writing
from longtail.runs.locks import locked
from longtail.types import InputError

Unreadable = list[tuple[str, str]]


class Packed(NamedTuple):
    """What was packed.

    Attributes:
        counts: number of images in each split.
        unreadable: (id, reason) of each image that could not be read and was left out.
        repaired: (id, what was ignored) of each that is damaged beside its pixels.
        depth: how its images of 16 bits were read, as training would: by the bits that the training images use. Where
            those are fewer than 16, all is read twice.
        said: lines on how the source was read, what is odd about it, and what is left out.
    """

    counts: dict[str, int]
    unreadable: Unreadable
    repaired: Unreadable
    depth: Depth
    said: list[str]


def pack(
    path: Path,
    out: Path,
    *,
    short_side: int = 256,
    root: Path | None = None,
    two_labels: TwoLabels = "refuse",
    strict: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    words: Words = PYTHON,
) -> Packed:
    """Decode every image of a set once and keep its pixels, no larger than needed, in a packed set.

    Images are turned upright; one whose shorter side is longer than `short_side` is shrunk to it by
    Pillow's bilinear filter, which averages, with its ratio kept; none is enlarged. Every split and every class is
    packed; a long tail is cut when the set is loaded.

    Args:
        path: any source of your own images.
        out: the folder to make; it has its name only once it is whole.
        short_side: in pixels, >= 1.
        root: folder that the paths of a table, list or annotations start from. Default: the one it lies in.
        two_labels: what becomes of images with two labels or more, see `DataOptions`.
        strict: refuse unreadable images and whatever else reading the source would report.
        progress: called with the number of images done and of all.
        words: how the caller asks for things; messages say it so.

    Raises:
        InputError: nothing to pack, `out` exists or cannot be made, or, with `strict`, anything to report.
    """
    if short_side < 1:
        raise InputError(f"short side is {short_side}; give at least 1 pixel")
    source = _source(path, root, two_labels)
    _check_free(path, out, words)
    busy = f"another process packs into {out}; wait for it, or choose {words.other}"
    again = f"then repeat it, or choose {words.other}"
    with ExitStack() as held:
        with writing(out, again):
            held.enter_context(locked(out.with_name(f".{out.name}.lock"), busy))
        _check_free(path, out, words)  # a second time: it may have been finished by another process
        with atomic_write(out, again) as partial:
            partial.mkdir()
            counts, bad, repaired, depth = _write(source, partial, path, short_side, progress)
            if depth.bits < 16:  # known only now
                counts, bad, repaired, _ = _write(source, partial, path, short_side, progress, depth.bits)
            _check(path, counts, bad, source, words.strict if strict else "")
    said = [*source.reading, *source.remarks, *left_out_lines(source.left_out)]
    return Packed(counts, bad, repaired, depth, said)


def _source(path: Path, root: Path | None, two_labels: TwoLabels) -> Source:
    options = options_of(path, root, two_labels)
    if options.name == "packed":
        raise InputError(f"{path} is packed already; give the images it was made of")
    return read_source(options)


def _check_free(path: Path, out: Path, words: Words) -> None:
    if out.exists():
        raise InputError(f"{out} exists; choose {words.other}")
    if not out.parent.is_dir():
        raise InputError(
            f"there is no folder {out.parent} to make {out.name} in; make it or choose {words.other}"
        )
    refuse_among_images(out, [str(path)])


def _write(
    source: Source,
    folder: Path,
    path: Path,
    short_side: int,
    progress: Callable[[int, int], None],
    bits: int = 16,
) -> tuple[dict[str, int], Unreadable, Unreadable, Depth]:
    total, done = sum(len(listing.ids) for listing in source.parts.values()), count(1)
    entries: dict[str, dict[str, Any]] = {}
    repaired: Unreadable = []
    largest: dict[str, list[int]] = {}
    for name, listing in source.parts.items():
        bad: Unreadable = []
        read = _decoded(listing, short_side, bits, bad, lambda: progress(next(done), total))
        largest[name] = []
        images = _noted(read, repaired, largest[name])
        groups = None if listing.groups is None else dict(zip(listing.ids, listing.groups, strict=True))
        part = write_part(folder, name, listing.class_names, images, groups)
        entries[name] = part | {"unreadable": bad}
    depth = depth_of(largest.get("train", ()), None)
    more = {"short_side": short_side, "source": str(path.resolve()), "is_flat": source.is_flat}
    write_manifest(folder, entries, **more, bits=bits if any(largest.values()) else None)
    counts = {name: entry["images"] for name, entry in entries.items()}
    return counts, [one for entry in entries.values() for one in entry["unreadable"]], repaired, depth


def _decoded(
    listing: Listing, short_side: int, bits: int, bad: Unreadable, tick: Callable[[], None]
) -> Iterator[tuple[str, int, UInt8[np.ndarray, "h w 3"], int, Reading]]:
    """Id, label, pixels, content and reading of each readable image; the others go into `bad`."""
    fetched = listing.fetch(np.arange(len(listing.ids)))
    decoded = in_threads(with_content(lambda image: shrunk(image, short_side, bits)), fetched)
    for identity, label, image in zip(listing.ids, listing.targets.tolist(), decoded, strict=True):
        tick()
        if isinstance(image, UnreadableError):
            bad.append((identity, image.reason))
        else:
            (pixels, reading), content = image
            yield identity, label, pixels, content, reading


def _noted(
    images: Iterator[tuple[str, int, UInt8[np.ndarray, "h w 3"], int, Reading]],
    repaired: Unreadable,
    largest: list[int],
) -> Iterator[tuple[str, int, UInt8[np.ndarray, "h w 3"], int]]:
    """The images without their readings, of which is noted what was ignored and the largest value."""
    for identity, label, pixels, content, reading in images:
        repaired += [(identity, reading.said)] if reading.ignored else []
        largest += [] if reading.largest is None else [reading.largest]
        yield identity, label, pixels, content


def _check(path: Path, counts: dict[str, int], bad: Unreadable, source: Source, strict: str) -> None:
    """`strict` is how the caller asks to be refused what is not clean; "" where it does not."""
    lines = [f"{name} ({reason})" for name, reason in bad]
    if not any(counts.values()):
        raise InputError(
            f"no image of {path} can be read; repair them; all are listed by: "
            f"longtail data check {shlex.quote(str(path))} --all",
            lines[:20],
        )
    lines += [*left_out_lines(source.left_out, problems_only=True), *source.remarks]
    if strict and lines:
        raise InputError(f"{path} is not clean; correct what follows or leave out {strict}", lines)
