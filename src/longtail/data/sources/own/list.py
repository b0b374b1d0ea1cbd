"""Lists of files in the form of ImageNet-LT and Places-LT: a line an image, its path and then its label."""

from collections.abc import Mapping
from pathlib import Path

from longtail.data.formats import SUFFIXES
from longtail.data.listing import Source
from longtail.data.options import TwoLabels
from longtail.data.rows import Rows, files_of_parts, single, source_of_rows
from longtail.data.source_form import SourceForm
from longtail.text_file import encoding_of, read_text, refuse_no_text
from longtail.types import InputError


def list_files(folder: Path) -> dict[str, list[Path]]:
    """Part -> the lists of a folder, such as `ImageNet_LT_train.txt`; empty where none is of its training images."""
    found = files_of_parts(folder, "*.txt")
    lists = {part: [file for file in files if _is_list(file)] for part, files in found.items()}
    return {part: files for part, files in lists.items() if files} if lists.get("train") else {}


def read_lists(
    path: Path,
    root: Path | None = None,
    two_labels: TwoLabels = "refuse",
    files: Mapping[str, Path] | None = None,
) -> Source:
    """One list, or a folder with a list of each split.

    The label is a line's last word, a number or a name; what comes before it is the path, which may hold spaces.

    Args:
        path: a list; or a folder with `*train*.txt` and, where there are, `*val*.txt` and `*test*.txt`.
        root: the folder that paths start from. Default: that of the lists.
        two_labels: see `DataOptions`.
        files: split -> its list, where they are known by name; None: by the words in their names.

    Raises:
        InputError: no list, two for one split, a line without path or label, or see `source_of_rows`.
    """
    by_name = files is not None
    if files is None:
        files = {"train": path} if path.is_file() else single(list_files(path))
    if not files:
        raise InputError(
            f"no lists in {path}; expected lines `path label` in *train*.txt, *val*.txt, *test*.txt"
        )
    paths: list[str] = []
    labels: list[str] = []
    places: list[str] = []
    parts: list[str] = []
    for part, file in files.items():
        for number, line in enumerate(_lines(read_text(file)), 1):
            if line.strip():
                name, label = _pair(file, number, line)
                paths.append(name)
                labels.append(label)
                places.append(f"line {number} of {file.name}")
                parts.append(part)
    read = ", ".join(file.name for file in files.values())
    rows = Rows(
        origin=path, paths=paths, labels=labels, places=places,
        parts=None if path.is_file() else parts,
        reading=() if by_name or path.is_file() else (f"{path}: read the lists {read} (data.name=list)",),
    )  # fmt: skip
    return source_of_rows(rows, root or (path.parent if path.is_file() else path), two_labels)


def _pair(file: Path, number: int, line: str) -> tuple[str, str]:
    words = line.rsplit(maxsplit=1)
    if len(words) < 2 or _is_image(words[1]):
        raise InputError(
            f"line {number} of {file} has no label: {line.strip()[:80]!r}; write the path, a space and the label"
        )
    refuse_no_text(words[1], str(file), number)
    return words[0], words[1]


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n" if "\n" in text else "\r")


def _is_list(file: Path) -> bool:
    """Whether a file's first line is an image and a word."""
    with file.open("rb") as opened:
        start = opened.read(4096)
    words = _lines(start.decode(encoding_of(start), "replace").removeprefix("\ufeff"))[0].rsplit(maxsplit=1)
    return len(words) == 2 and _is_image(words[0]) and not _is_image(words[1])


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


FORM = SourceForm(
    "lines `path label` as of ImageNet-LT: --data FILE, or a folder with *train*.txt and *test*.txt",
    lambda place: read_lists(place.given, place.root, place.two_labels),
    reads=lambda path: path.suffix.lower() == ".txt" if path.is_file() else bool(list_files(path)),
    rank=4,
    takes_root=True,
)
