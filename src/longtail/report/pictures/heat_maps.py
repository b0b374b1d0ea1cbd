"""The heat maps that `longtail explain` left in the run folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from longtail.machine import pass_on
from longtail.records import short
from longtail.report.parts import Card, Thumb, Thumbnail, shown
from longtail.report.pictures.thumbnails import encoded
from longtail.report.places import from_here
from longtail.runs import layout
from longtail.runs.run import Run
from longtail.runs.schema import ExplainedImage
from longtail.types import InputError


def heat_maps(run: Run, images: str) -> Mapping[str, Any]:
    """One card an image: itself and a map for each expert; where there is none, the command that makes them.

    Raises:
        InputError: explain.json or a picture beside it is damaged.
    """
    command = f"longtail explain {from_here(run.path)}"
    remedy = f"write it again with: {command}"
    found = run.read(layout.EXPLANATIONS, remedy)
    if found is None:
        return {
            "cards": [],
            "missing": "No heat maps have been made yet. Make them with:",
            "command": command,
        }
    if images == "none":
        return {"cards": [], "missing": "This page was made without images.", "command": ""}
    kept = [one for one in found.images if images == "all" or one.actual != one.label]
    try:
        cards = [_card(run.path / layout.EXPLAIN, one) for one in kept]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        pass_on(error)
        raise InputError(
            f"a picture of {run.path / layout.EXPLANATIONS} is damaged ({short(error)}); {remedy}"
        ) from None
    missing = (
        ""
        if cards
        else "Heat maps were made of correctly classified images alone, which this page leaves out."
    )
    rule = f"{found.rule[:1].upper()}{found.rule[1:].removesuffix('.')}."
    if found.layer:
        rule += f" Maps: {found.layer}."
    return {"cards": cards, "rule": rule, "missing": missing, "command": ""}


def _card(folder: Path, image: ExplainedImage) -> Card:
    name, label, sure = image.actual, image.label, f"{image.confidence:.2f}"
    thumbs = [
        Thumb(
            _read(folder, image.image),
            f"labelled {shown(name)}, predicted {shown(label)}, {sure}",
            "image",
        )
    ]
    for number, (file, vote) in enumerate(zip(image.maps, image.experts, strict=True), 1):
        alt = f"where expert {number} sees {shown(image.shown)}; it says {shown(vote)}"
        caption = f"expert {number}: {vote}"
        if len(image.maps) == 1:
            alt, caption = f"where the network sees {shown(image.shown)}", "map"
        thumbs.append(Thumb(_read(folder, file), alt, caption))
    said = "classified correctly" if name == label else f"taken for {label}"
    return Card(name, label, f"{said}, confidence {sure}; maps: what speaks for {image.shown}", thumbs)


def _read(folder: Path, name: str) -> Thumbnail:
    """A picture made again, from a file in the folder itself."""
    with Image.open(folder / Path(name).name) as picture:
        return encoded(picture.convert("RGB"), min(picture.size))
