"""Finding the image files under a folder, and counting what else lies there."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from longtail.data.dataset import counted
from longtail.data.entries import (
    begins_like_an_image,
    entries,
    files_below,
    is_folder,
    is_foreign,
    is_image,
    is_passed_over,
    is_plain,
)
from longtail.data.formats import UNDECODABLE
from longtail.data.left_out import EXAMPLES, Collector, LeftOut
from longtail.data.own_output import images_of_others, is_own, marks
from longtail.types import InputError

HIDDEN = "hidden, a name that begins with a dot"
FOREIGN = "of other programs"
OWN = "written by longtail itself (a run, a check, a packed set or an exported model)"
IN_OWN = "images in a folder that longtail wrote, which is not read; move them out of it"
LIKE_OWN = (
    "named as what longtail writes, in a folder of images, all of which are read; move it away if it is"
)
NO_LINK = "a link that leads nowhere"
UPWARD = "a link to a folder that it lies in, not followed"
TWICE = "a link to a folder whose images are read where they lie, not followed"
BY_CONTENT = "an image by its content and not by the ending of its name; add the right ending"


class Inside(NamedTuple):
    """What is read of a folder: its image files and its folders, each by name."""

    images: list[Path]
    folders: list[Path]


class Walker:
    """Lists folders for image files, and collects what else there is.

    A folder is walked once. A link to a folder that it lies in, or that is walked anyway, is not followed; a link to
    elsewhere is.

    Args:
        root: what the names of what is left out are relative to; None leaves them as they are given.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root
        self._found = Collector()
        self._endings: Counter[str] = Counter()
        self._plain: list[str] = []  # examples of files that are no images by their ending
        self._walked: dict[
            str, tuple[Path, Path]
        ] = {}  # real folder -> how it was reached first, and from where
        self._tops: tuple[str, ...] = ()

    def walk(self, *tops: Path) -> Iterator[tuple[Path, Path]]:
        """Each folder of `tops` with each image file under it, in sorted order: a folder's files, then its folders.

        Raises:
            InputError: a folder cannot be listed, or lies under two of `tops`.
        """
        self._tops = tuple(os.path.realpath(top) for top in tops)
        for top in tops:
            waiting = [top]
            while waiting:
                folder = waiting.pop()
                if self._is_new(folder, top):
                    inside = self.look(folder)
                    yield from ((top, image) for image in inside.images)
                    waiting += reversed(inside.folders)

    def look(self, folder: Path) -> Inside:
        """The images and folders directly in a folder; what else there is, is collected."""
        images, folders = [], []
        ours = marks(folder)
        for entry in entries(folder):
            path = folder / entry.name
            reason = _why_not(entry, path, self._tops)
            if reason == OWN:
                self._leave_out_own(path)
            elif reason is not None:
                self.leave_out(path, reason, is_problem=reason in (NO_LINK, UPWARD, TWICE))
            elif is_folder(entry):
                folders.append(path)
            elif is_image(entry.name):
                images.append(path)
            elif path in ours:
                self.leave_out(path, LIKE_OWN)
            else:
                self._count_other(path)
        return Inside(images, folders)

    def leave_out(self, path: Path, reason: str, *, is_problem: bool = True) -> None:
        """Count a file, or all files below a folder, as left out for a reason."""
        is_folder = path.is_dir() and not path.is_symlink()
        count = sum(1 for _ in files_below(path)) if is_folder else 1
        self._found.add(reason, self._named(path) + "/" * is_folder, count, is_problem=is_problem)

    def left_out(self) -> tuple[LeftOut, ...]:
        """All that was left out so far."""
        found = Collector()
        found.extend(self._found.found())
        kinds = [f"{ending} {number:,}" for ending, number in self._endings.most_common()]
        if kinds:
            more = [counted(len(kinds) - EXAMPLES, "more ending")] if len(kinds) > EXAMPLES else []
            reason = f"no images ({', '.join([*kinds[:EXAMPLES], *more])})"
            total = self._endings.total()
            found.extend([LeftOut(reason, total, tuple(self._plain), is_problem=False)])
        return found.found()

    def _leave_out_own(self, folder: Path) -> None:
        """Count a folder that longtail wrote, and by name what else could be images in it."""
        others = 0
        for image in images_of_others(folder):
            self.leave_out(image, IN_OWN)
            others += 1
        count = sum(1 for _ in files_below(folder)) - others
        self._found.add(OWN, self._named(folder) + "/", count, is_problem=False)

    def _is_new(self, folder: Path, top: Path) -> bool:
        first, its_top = self._walked.setdefault(os.path.realpath(folder), (folder, top))
        if first is folder:
            return True
        if its_top == top:
            self.leave_out(folder, TWICE)
            return False
        raise InputError(
            f"{first} and {folder} are one folder, by a link, so that its images would be there twice, in {its_top} "
            f"and in {top}; remove one of the two"
        )

    def _count_other(self, path: Path) -> None:
        """A file that is no image by its ending."""
        ending = path.suffix.lower()
        if ending in UNDECODABLE:
            self.leave_out(path, UNDECODABLE[ending])
        elif not is_plain(path) and begins_like_an_image(path):
            self.leave_out(path, BY_CONTENT)
        else:
            self._endings[ending or "no ending"] += 1
            if len(self._plain) < EXAMPLES:
                self._plain.append(self._named(path))

    def _named(self, path: Path) -> str:
        return str(path) if self.root is None else path.relative_to(self.root).as_posix()


def walk_images(folder: Path) -> Iterator[Path]:
    """Image files under a folder in sorted order, see `Walker`."""
    return (image for _, image in Walker().walk(folder))


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in a folder that are walked, by name."""
    inside = ((entry, folder / entry.name) for entry in entries(folder) if is_folder(entry))
    return [path for entry, path in inside if _why_not(entry, path) is None]


def holds_images(folder: Path) -> bool:
    """Whether there are image files in a folder or below it."""
    return any(True for _ in walk_images(folder))


def _why_not(entry: "os.DirEntry[str]", path: Path, tops: Sequence[str] = ()) -> str | None:
    """Why a file or folder is left out whatever it holds."""
    name = entry.name.casefold()
    if name.startswith("."):
        return HIDDEN
    if entry.is_symlink() and (reason := _why_not_followed(path, tops)):
        return reason
    if is_foreign(name, is_folder=is_folder(entry)):
        return FOREIGN
    return OWN if is_folder(entry) and is_own(path) else None


def _why_not_followed(link: Path, tops: Sequence[str]) -> str | None:
    real = os.path.realpath(link)
    if not os.path.exists(real):  # noqa: PTH110
        return NO_LINK
    if not os.path.isdir(real):  # noqa: PTH112
        return None
    if _is_within(os.path.realpath(link.parent), real):
        return UPWARD
    if any(_is_walked(real, top) for top in tops):
        return TWICE
    return UPWARD if any(_is_within(top, real) for top in tops) else None


def _is_walked(real: str, top: str) -> bool:
    """Whether walking `top` comes to a folder: it lies in it, and not in a hidden or foreign one."""
    below = Path(real).relative_to(top).parts if _is_within(real, top) else None
    return below is not None and not any(map(is_passed_over, below))


def _is_within(real: str, other: str) -> bool:
    return real == other or real.startswith(other.rstrip(os.sep) + os.sep)
