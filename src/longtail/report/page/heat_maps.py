"""The heat maps that `longtail explain` left in the run folder."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from longtail.report.page.error_parts import Card
from longtail.report.page.parts import Thumb, shown
from longtail.report.page.thumbnails import Thumbnail, encoded
from longtail.report.run import Run
from longtail.types import InputError

FILE = "explain/explain.json"


def heat_maps(run: Run, images: str) -> Mapping[str, Any]:
    """One card an image: itself and a map for each expert; where there is none, the command that makes them.

    Raises:
        InputError: explain.json or a picture beside it is damaged.
    """
    command = f"longtail explain {shlex.quote(run.name)}"
    if not run.has(FILE):
        return {
            "cards": [],
            "missing": "No heat maps have been made yet. Make them with:",
            "command": command,
        }
    if images == "none":
        return {"cards": [], "missing": "This page was made without images.", "command": ""}
    try:
        found = json.loads((run.path / FILE).read_text("utf-8"))
        kept = [one for one in found["images"] if images == "all" or one["class"] != one["label"]]
        cards, rule = [_card(run.path / "explain", one) for one in kept], str(found["rule"])
        missing = (
            "" if cards else "Heat maps were made of rightly named images alone, which this page leaves out."
        )
        rule = f"{rule[:1].upper()}{rule[1:].removesuffix('.')}."
        return {"cards": cards, "rule": rule, "missing": missing, "command": ""}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run.path / FILE} is damaged ({error}); write it again with: {command}") from None


def _card(folder: Path, image: Mapping[str, Any]) -> Card:
    name, label = str(image["class"]), str(image["label"])
    sure, shown_class = f"{image['confidence']:.2f}", str(image["shown"])
    thumbs = [
        Thumb(
            _read(folder, image["image"]),
            f"labelled {shown(name)}, predicted {shown(label)}, {sure}",
            "image",
        )
    ]
    for number, (file, vote) in enumerate(zip(image["maps"], image["experts"], strict=True), 1):
        told = f"where expert {number} sees {shown(shown_class)}; it says {shown(str(vote))}"
        thumbs.append(Thumb(_read(folder, file), told, f"expert {number}: {vote}"))
    said = "rightly named" if name == label else f"taken for {label}"
    return Card(name, label, f"{said}, confidence {sure}; maps: what speaks for {shown_class}", thumbs)


def _read(folder: Path, name: str) -> Thumbnail:
    """A picture made anew, from a file in the folder itself."""
    with Image.open(folder / Path(name).name) as picture:
        return encoded(picture.convert("RGB"), min(picture.size))
