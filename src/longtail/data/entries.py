"""Single files and folders: what their names, and where these say nothing their first bytes, tell of them."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from longtail.data.formats import SUFFIXES, UNDECODABLE, is_heif
from longtail.errors import InputError
from longtail.machine import pass_on

_FOREIGN_FOLDERS = frozenset({
    "__macosx", "@eadir", "@synoresource", "@synoeastream", "@tmp", "@recycle", "@recently-snapshot", "@__thumb",
    "#recycle", "#snapshot", "$recycle.bin", "system volume information", "lost+found", "network trash folder",
    "temporary items", "captureone", "__pycache__", "node_modules", "_gsdata_", "found.000", "resource.frk", "venv",
    "wandb", "mlruns", "lightning_logs",
})  # fmt: skip
_FOREIGN_FILES = frozenset({
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "picasa.ini", "zbthumbnail.info",
    "pspbrwse.jbf",
})  # fmt: skip
_FOREIGN_ENDINGS = (
    ".lrdata",
    ".photoslibrary",
    "@synoresource",
    "@synoeastream",
)  # previews of Lightroom; Synology's streams
_PLAIN_ENDINGS = """
    .txt .md .rst .csv .tsv .json .jsonl .xml .yaml .yml .toml .ini .cfg .html .htm .log .py .ipynb .sh .mat .npy .npz
    .h5 .hdf5 .pkl .pt .pth .onnx .safetensors .parquet .arrow .zip .tar .gz .tgz .7z .rar .doc .docx .xls .xlsx .pptx
    .db .sqlite .xmp .aae .geojson .shp .kml .gpx .wav .mp3 .lnk .url .exe .dll
"""  # of files into which nobody need look for an image
_PLAIN = frozenset(_PLAIN_ENDINGS.split())
_MARKS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")  # first bytes of images
_BRANDS = (b"WEBP", b"avif", b"avis")  # in bytes 8 to 12


def has_images(folder: Path) -> bool:
    """Whether there are image files directly in a folder."""
    return any(is_image(entry.name) and not is_folder(entry) for entry in scanned(folder))


def is_foreign(name: str, *, is_folder: bool) -> bool:
    """Whether a name is one that other programs give to what they leave."""
    name = name.casefold()
    return name.endswith(_FOREIGN_ENDINGS) or name in (_FOREIGN_FOLDERS if is_folder else _FOREIGN_FILES)


def is_passed_over(name: str) -> bool:
    """Whether a folder is hidden or of another program by its name."""
    return name.startswith(".") or is_foreign(name, is_folder=True)


def files_below(folder: Path) -> Iterator[Path]:
    """Everything below a folder that is no folder; links are not followed and count as files."""
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in (*files, *links))


def entries(folder: Path) -> list["os.DirEntry[str]"]:
    """What lies directly in a folder, by name; raises InputError where it cannot be listed."""
    return sorted(scanned(folder), key=lambda entry: entry.name)


def scanned(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """What lies directly in a folder, in any order; raises InputError where it cannot be listed."""
    try:
        with os.scandir(folder) as inside:
            yield from inside
    except OSError as error:
        pass_on(error)
        raise InputError(
            f"cannot list {folder} ({error.strerror}); allow it, or move the folder away"
        ) from None


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a folder or a link to one."""
    with suppress(OSError):  # a link that leads in a circle
        return entry.is_dir()
    return False


def is_empty(folder: Path) -> bool:
    """Whether there is nothing in a folder that is not hidden."""
    return all(entry.name.startswith(".") for entry in scanned(folder))


def is_image(name: str) -> bool:
    """Whether a name has the ending of an image that is decoded."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122


def is_plain(path: Path) -> bool:
    """Whether the ending says that there is no image in a file."""
    return path.suffix.lower() in _PLAIN


def could_be_an_image(path: Path) -> bool:
    """Whether a file, which is not hidden, is an image by its ending or its content, decoded or not."""
    if path.name.startswith("."):
        return False
    if is_image(path.name) or path.suffix.lower() in UNDECODABLE:
        return True
    return not is_plain(path) and begins_like_an_image(path)


def begins_like_an_image(path: Path) -> bool:
    """Whether the first bytes of a file are those of an image."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for ever
            return False
        with path.open("rb") as file:
            data = file.read(16)
    except OSError as error:
        pass_on(error)
        return False
    is_bmp = data.startswith(b"BM") and data[6:10] == bytes(4)
    return data.startswith(_MARKS) or data[8:12] in _BRANDS or is_bmp or is_heif(data)


def refuse_among_images(out: Path, sources: Iterable[str]) -> None:
    """Refuse to write into a folder that is read for images, where the next reading would find what was written.

    Raises:
        InputError: `out` lies in one of `sources`.
    """
    for source in sources:
        if lies_among(out, source):
            raise InputError(f"{out} lies among the images of {source}; choose another -o")


def lies_among(out: Path, source: str) -> bool:
    """Whether a place is in a folder that is read for images."""
    return os.path.isdir(source) and out.resolve().is_relative_to(Path(source).resolve())  # noqa: PTH112 any text
