"""Finding the image files under a folder, and counting what else lies there."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from longtail.data.formats import SUFFIXES, UNDECODABLE, is_heif
from longtail.data.left_out import EXAMPLES, Collector, LeftOut
from longtail.types import InputError

HIDDEN = "hidden, a name that begins with a dot"
FOREIGN = "of other programs"
OWN = "written by longtail itself (a run, a check, a packed set or an exported model)"
NO_LINK = "a link that leads nowhere"
UPWARD = "a link to a folder that it lies in, not followed"
TWICE = "a link to a folder whose images are read where they lie, not followed"
BY_CONTENT = "an image by its content and not by the ending of its name; add the right ending"

_FOREIGN_FOLDERS = frozenset({
    "__macosx", "@eadir", "@synoresource", "@synoeastream", "@tmp", "@recycle", "@recently-snapshot", "@__thumb",
    "#recycle", "#snapshot", "$recycle.bin", "system volume information", "lost+found", "network trash folder",
    "temporary items", "captureone", "__pycache__", "node_modules",
})  # fmt: skip
_FOREIGN_FILES = frozenset({
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "picasa.ini", "zbthumbnail.info",
    "pspbrwse.jbf",
})  # fmt: skip
_FOREIGN_ENDINGS = (".lrdata", "@synoresource", "@synoeastream")  # previews of Lightroom; Synology's streams
_PLAIN_ENDINGS = """
    .txt .md .rst .csv .tsv .json .jsonl .xml .yaml .yml .toml .ini .cfg .html .htm .log .py .ipynb .sh .mat .npy .npz
    .h5 .hdf5 .pkl .pt .pth .onnx .safetensors .parquet .arrow .zip .tar .gz .tgz .7z .rar .doc .docx .xls .xlsx .pptx
    .db .sqlite .xmp .aae .geojson .shp .kml .gpx .wav .mp3 .lnk .url .exe .dll
"""  # of files into which nobody need look for an image
_PLAIN = frozenset(_PLAIN_ENDINGS.split())
_OWN_FILES = (  # names that are together in a folder that longtail wrote
    ("recipe.toml", "classes.json"), ("recipe.toml", "status.json"), ("recipe.toml", "env.json"),
    ("audit.json", "counts.csv"), ("explain.json", "sheet.png"), ("packed.json",),
    ("config.json", "model.safetensors", "preprocessor_config.json"),
)  # fmt: skip
_RUNS = "runs"  # where runs lie by default; while the first one begins, its folder is empty
_MARKS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")  # first bytes of images
_BRANDS = (b"WEBP", b"avif", b"avis")  # in bytes 8 to 12


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
        for entry in _entries(folder):
            path = folder / entry.name
            reason = _why_not(entry, path, self._tops)
            if reason is not None:
                self.leave_out(path, reason, is_problem=reason in (NO_LINK, UPWARD, TWICE))
            elif _is_folder(entry):
                folders.append(path)
            elif _is_image(entry.name):
                images.append(path)
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
            more = [f"{len(kinds) - EXAMPLES} more endings"] if len(kinds) > EXAMPLES else []
            reason = f"no images ({', '.join([*kinds[:EXAMPLES], *more])})"
            total = self._endings.total()
            found.extend([LeftOut(reason, total, tuple(self._plain), is_problem=False)])
        return found.found()

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
        elif ending not in _PLAIN and _begins_like_an_image(path):
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
    inside = ((entry, folder / entry.name) for entry in _entries(folder) if _is_folder(entry))
    return [path for entry, path in inside if _why_not(entry, path) is None]


def has_images(folder: Path) -> bool:
    """Whether there are image files directly in a folder."""
    return any(_is_image(entry.name) and not _is_folder(entry) for entry in _scanned(folder))


def holds_images(folder: Path) -> bool:
    """Whether there are image files in a folder or below it."""
    return any(True for _ in walk_images(folder))


def is_own(folder: Path, levels: int = 3) -> bool:
    """Whether longtail wrote a folder, or all folders in it, `levels` deep, with no images beside them."""
    if any(all((folder / name).exists() for name in names) for names in _OWN_FILES):
        return True
    if levels == 0 or has_images(folder):
        return False
    folders = [entry for entry in _scanned(folder) if _is_folder(entry) and not entry.name.startswith(".")]
    some = False
    for entry in folders:
        path = folder / entry.name
        if entry.is_symlink() or (not (own := is_own(path, levels - 1)) and not _is_empty(path)):
            return False
        some = some or own
    return some or (folder.name == _RUNS and bool(folders))


def files_below(folder: Path) -> Iterator[Path]:
    """Everything below a folder that is no folder; links are not followed and count as files."""
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in (*files, *links))


def _why_not(entry: "os.DirEntry[str]", path: Path, tops: Sequence[str] = ()) -> str | None:
    """Why a file or folder is left out whatever it holds."""
    name = entry.name.casefold()
    if name.startswith("."):
        return HIDDEN
    if entry.is_symlink() and (reason := _why_not_followed(path, tops)):
        return reason
    if name.endswith(_FOREIGN_ENDINGS) or name in (_FOREIGN_FOLDERS if _is_folder(entry) else _FOREIGN_FILES):
        return FOREIGN
    return OWN if _is_folder(entry) and is_own(path) else None


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
    return below is not None and not any(
        name.startswith(".") or name.casefold() in _FOREIGN_FOLDERS for name in below
    )


def _is_within(real: str, other: str) -> bool:
    return real == other or real.startswith(other.rstrip(os.sep) + os.sep)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    return sorted(_scanned(folder), key=lambda entry: entry.name)


def _scanned(folder: Path) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as inside:
            yield from inside
    except OSError as error:
        raise InputError(
            f"cannot list {folder} ({error.strerror}); allow it, or move the folder away"
        ) from None


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    with suppress(OSError):  # a link that leads in a circle
        return entry.is_dir()
    return False


def _is_empty(folder: Path) -> bool:
    """Whether there is nothing in a folder that is not hidden."""
    return all(entry.name.startswith(".") for entry in _scanned(folder))


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122


def _begins_like_an_image(path: Path) -> bool:
    with suppress(OSError):
        if stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for ever
            with path.open("rb") as file:
                data = file.read(16)
            is_bmp = data.startswith(b"BM") and data[6:10] == bytes(4)
            return data.startswith(_MARKS) or data[8:12] in _BRANDS or is_bmp or is_heif(data)
    return False
