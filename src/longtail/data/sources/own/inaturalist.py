"""Annotations in the form of iNaturalist (and COCO): JSON with images, annotations and categories."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from longtail.data.dataset import counted
from longtail.data.left_out import Collector
from longtail.data.listing import Source
from longtail.data.options import TwoLabels
from longtail.data.rows import Rows, files_of_parts, single, source_of_rows
from longtail.data.source_form import SourceForm
from longtail.records import parse_json, read_bytes, short
from longtail.types import InputError

MOST = 2**32  # bytes of a file
_HEAD = 65_536
FIELDS = ("location", "seq_id")  # of an image of a camera trap, as COCO Camera Traps has them
FEWEST = 5  # values of a field that groups
_KEYS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')


def annotation_files(folder: Path) -> dict[str, list[Path]]:
    """Part -> the annotations of a folder, such as `train2018.json`; empty where none is of its training images."""
    found = files_of_parts(folder, "*.json")
    known = {part: [file for file in files if _is_annotation(file)] for part, files in found.items()}
    return {part: files for part, files in known.items() if files} if known.get("train") else {}


def read_inaturalist(
    path: Path,
    root: Path | None = None,
    two_labels: TwoLabels = "refuse",
    files: Mapping[str, Path] | None = None,
) -> Source:
    """One file of annotations, or a folder with one for each split.

    The labels of iNaturalist's test images were never published, and results on it are those on the validation
    images: where there are no labelled test images, `val*.json` is the test split. A class has its category's name,
    or its id where there is no name; a name that several categories share is followed by the id. Of camera traps,
    images of one `location`, or else of one `seq_id`, are a group, see `_grouping`.

    Args:
        path: a file; or a folder with `train*.json` and, where there are, `val*.json` and `test*.json`.
        root: the folder that `file_name` starts from. Default: that of the annotations.
        two_labels: see `DataOptions`.
        files: split -> its annotations, where they are known by name; None: by the words in their names.

    Raises:
        InputError: no such file, two for one split, another form, an annotation of an unknown image or category,
            or see `source_of_rows`.
    """
    if files is None:
        files = {"train": path} if path.is_file() else single(annotation_files(path))
    files = dict(files)
    if not files:
        raise InputError(
            f"no annotations in {path}; expected train*.json with images, annotations and categories"
        )
    contents = {part: _read(file) for part, file in files.items()}
    reading = []
    if contents.get("test", {}).get("annotations") == []:
        del contents["test"]
        reading.append(f"{files['test'].name} has no labels and is not read")
    if "val" in contents and "test" not in contents:
        contents["test"] = contents.pop("val")
        files["test"] = files["val"]
        reading.append(
            f"{files['val'].name} is the test split, for there are no other labelled images to test on"
        )
    found: list[tuple[str, ...]] = []
    unlabelled = Collector()
    for part, content in contents.items():
        labelled, bare = _labelled(files[part], content)
        found += [(*one, files[part].name, part) for one in labelled]
        for name in bare:
            unlabelled.add("without a label", name, noun="image")
    paths, labels, locations, sequences, places, parts = zip(*found, strict=True) if found else [()] * 6
    columns = {"location": locations, "seq_id": sequences}
    field, said = _grouping(path.name, columns)
    rows = Rows(
        path, paths, labels, places, None if path.is_file() else parts, groups=columns.get(field or ""),
        columns={name: values for name, values in columns.items() if any(values)},
        reading=(*reading, *said), left_out=unlabelled.found(),
        grouped_by=None if field is None else f"{field} of {path.name}",
    )  # fmt: skip
    return source_of_rows(rows, root or (path.parent if path.is_file() else path), two_labels)


def _is_annotation(file: Path) -> bool:
    with file.open("rb") as opened:
        return _KEYS.search(opened.read(_HEAD)) is not None


def _read(file: Path) -> dict[str, Any]:
    again = "fetch it again"
    content = parse_json(read_bytes(file, again, most=MOST), str(file), again, most=MOST)
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise InputError(f"{file} has no list of images; expected the keys {', '.join(keys)}")
    content.setdefault("annotations", [])
    content.setdefault("categories", [])
    return content


def _labelled(file: Path, content: Mapping[str, Any]) -> tuple[list[tuple[str, str, str, str]], list[str]]:
    """File, class, location and sequence of each annotation, a class of an image once; and images without one."""
    try:
        names = _class_names(content["categories"])
        images = {image["id"]: (_text(image["file_name"]), *_traps(image)) for image in content["images"]}
        pairs = dict.fromkeys((entry["image_id"], entry["category_id"]) for entry in content["annotations"])
        _refuse_ids(file, "image", [image["id"] for image in content["images"]], [one for one, _ in pairs])
        _refuse_ids(file, "category", [kind["id"] for kind in content["categories"]], [c for _, c in pairs])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} is not in the form of iNaturalist ({type(error).__name__}: {error}); expected images with id and "
            "file_name, annotations with image_id and category_id, categories with id and name"
        ) from None
    labelled = {image for image, _ in pairs}
    rows = [(images[image][0], names[category], *images[image][1:]) for image, category in pairs]
    return rows, [name for image, (name, *_) in images.items() if image not in labelled]


def _refuse_ids(file: Path, noun: str, listed: Sequence[Any], used: Sequence[Any]) -> None:
    """Refuse an id that two have, and an annotation of an id that none has."""
    counts = Counter(listed)
    doubled = [one for one, count in counts.items() if count > 1]
    if doubled:
        raise InputError(
            f"{file} has {len(doubled):,} ids that more than one {noun} has, such as {short(doubled[0])}; "
            "give each an id of its own"
        )
    lost = list(dict.fromkeys(one for one in used if one not in counts))
    if not lost:
        return
    texts = {str(one): one for one in counts}
    same = next((one for one in lost if str(one) in texts), None)
    if same is not None:
        raise InputError(
            f"{file} has an annotation of {noun} {same!r} and lists {texts[str(same)]!r}: a number is not the text "
            "with its digits; write ids in one way"
        )
    raise InputError(
        f"{file} has an annotation of {noun} {short(lost[0])}, which it does not list ({len(lost):,} such ids); "
        "correct it, or fetch it again"
    )


def _traps(image: Mapping[str, Any]) -> tuple[str, str]:
    """Location and sequence of a camera trap's image, "" where it has none; sequences are counted at each location."""
    location, sequence = ("" if image.get(key) is None else str(image[key]) for key in FIELDS)
    return location, f"{location}/{sequence}" if location and sequence else sequence


def _grouping(name: str, columns: Mapping[str, Sequence[str]]) -> tuple[str | None, list[str]]:
    """The field that groups images, and what to say of it.

    It is the one that more images have, `location` where they are as many; with fewer than FEWEST values there would be
    too little to hold out. An image without it is by itself.
    """
    there = {field: sum(map(bool, values)) for field, values in columns.items() if any(values)}
    kinds = {field: len(set(columns[field]) - {""}) for field in there}
    usable = [field for field in there if kinds[field] >= FEWEST]
    if not there:
        return None, []
    few = [
        f"{field} has {counted(kinds[field], 'value')}, fewer than {FEWEST}"
        for field in there
        if field not in usable
    ]
    other = ", ".join(f"column:{field}" for field in there)
    way = f"to choose: data.group_by (data: --group-by) {other} or none"
    if not usable:
        return None, [f"{name}: images are not grouped: {'; '.join(few)}; {way}"]
    field = max(usable, key=lambda one: there[one])
    total = len(columns[field])
    lacking = (
        f", {counted(total - there[field], 'image')} without one by itself" if there[field] < total else ""
    )
    because = f" ({'; '.join(few)})" if few else ""
    return field, [
        f"{name}: images of one {field} stay together, {counted(kinds[field], 'group')}{lacking}{because}; {way}"
    ]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{short(value)} is no text")
    return value


def _class_names(categories: list[Mapping[str, Any]]) -> dict[Any, str]:
    names = {category["id"]: _text(category.get("name") or str(category["id"])) for category in categories}
    shared = {name for name, count in Counter(names.values()).items() if count > 1}
    unique = {key: f"{name} {key}" if name in shared else name for key, name in names.items()}
    doubled = [name for name, count in Counter(unique.values()).items() if count > 1]
    if doubled:
        raise InputError(f"two categories are both called {doubled[0]!r}; give each a name of its own")
    return unique


FORM = SourceForm(
    "annotations as of iNaturalist: --data FILE, or a folder with train*.json and val*.json",
    lambda place: read_inaturalist(place.given, place.root, place.two_labels),
    reads=lambda path: path.suffix.lower() == ".json" if path.is_file() else bool(annotation_files(path)),
    rank=5,
    takes_root=True,
)
