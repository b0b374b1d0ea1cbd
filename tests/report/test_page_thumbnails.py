"""Thumbnails: made anew from pixels, and honest about what cannot be shown."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longtail.recipe import load_recipe
from longtail.report.pictures.thumbnails import SIDE, Thumbnail, load_thumbnails, thumbnail
from longtail.runs import Run, RunFolder, layout


def opened(picture: Thumbnail) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(picture.address.removeprefix("data:image/webp;base64,"))))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    photos = tmp_path / "photos"
    for part, name, size in (("train", "a", 200), ("test", "a", 300), ("test", "b", 20)):
        folder = photos / part / name
        folder.mkdir(parents=True)
        exif = Image.Exif()
        exif[0x010E] = "the nest behind the church"
        Image.new("RGB", (size, size // 2), (200, 30, 30)).save(folder / "1 ü\n.jpg", exif=exif)
    made = RunFolder(tmp_path / "run")
    made.set_status("done", epoch=1, epochs=1)
    recipe = load_recipe("icl-digits", {"data.name": "folder", "data.path": str(photos)})[0]
    made.write_text(layout.RECIPE, recipe.to_toml())
    return Run(made.path)


def test_pictures_are_small_and_carry_nothing_but_pixels(run: Run) -> None:
    pictures = load_thumbnails(run, ["test/a/1 ü\n.jpg", "train/a/1 ü\n.jpg"])
    assert pictures.trouble == ""
    assert len(pictures.found) == 2
    for picture in pictures.found.values():
        image = opened(picture)
        assert image.size == (SIDE, SIDE)
        assert not image.getexif()
        assert b"church" not in base64.b64decode(picture.address.split(",")[1])
        assert len(picture.address) < 3000


def test_images_of_16_bits_are_as_bright_as_in_training(run: Run) -> None:
    photos = Path(run.recipe["data"]["path"])
    Image.fromarray(np.full((8, 8), 4000, np.uint16)).save(photos / "test/a/12 bits.png")
    (run.path / "audit.json").write_text('{"bits": 12}')
    picture = load_thumbnails(run, ["test/a/12 bits.png"]).found["test/a/12 bits.png"]
    assert opened(picture).getextrema() == ((250, 250),) * 3


def test_small_images_keep_their_pixels() -> None:
    pixels = np.arange(32 * 32 * 3, dtype=np.uint32).astype(np.uint8).reshape(32, 32, 3)
    picture = thumbnail(pixels)
    assert (picture.side, picture.coarse) == (32, True)
    assert np.array_equal(np.asarray(opened(picture)), pixels)


@pytest.mark.parametrize(("fit", "ends", "above"), [("crop", 90, 90), ("squash", 250, 90), ("pad", 250, 51)])
def test_pictures_are_the_squares_that_the_network_sees(run: Run, fit: str, ends: int, above: int) -> None:
    photos = Path(run.recipe["data"]["path"])
    pixels = np.full((100, 300, 3), 90, np.uint8)
    pixels[:, :60] = pixels[:, -60:] = 250
    Image.fromarray(pixels).save(photos / "test/a/wide.png")
    settings = {
        "data.name": "folder",
        "data.path": str(photos),
        "data.fit": fit,
        "data.mean": [0.2, 0.2, 0.2],
    }
    (run.path / "recipe.toml").write_text(load_recipe("icl-digits", settings)[0].to_toml())
    shown = np.asarray(opened(load_thumbnails(Run(run.path), ["test/a/wide.png"]).found["test/a/wide.png"]))
    assert shown.shape == (SIDE, SIDE, 3)
    assert abs(int(shown[SIDE // 2, 4, 0]) - ends) < 6
    assert abs(int(shown[4, SIDE // 2, 0]) - above) < 6


def test_what_cannot_be_found_is_said(run: Run) -> None:
    pictures = load_thumbnails(run, ["test/a/1 ü\n.jpg", "test/a/gone.jpg"])
    assert len(pictures.found) == 1
    assert pictures.trouble == "1 image to be shown here could not be found or read."


def test_images_that_were_moved_away(run: Run) -> None:
    (run.path.parent / "photos").rename(run.path.parent / "elsewhere")
    pictures = load_thumbnails(run, ["test/a/1 ü\n.jpg"])
    assert pictures.found == {}
    assert "none are shown" in pictures.trouble


def test_the_same_image_gives_the_same_bytes(run: Run) -> None:
    assert load_thumbnails(run, ["test/b/1 ü\n.jpg"]) == load_thumbnails(run, ["test/b/1 ü\n.jpg"])
