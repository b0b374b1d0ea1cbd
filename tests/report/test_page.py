"""The text of report.html: whole, the same each time, small, and without a word of the machine it was made on."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from longtail.cli.main import main
from longtail.report import write_page
from longtail.report.discovery import collect
from longtail.report.page import build_page
from longtail.report.page.build import as_data
from longtail.report.parts import Images
from longtail.report.pictures.class_figures import _side_by_side
from longtail.report.pictures.heat_maps import heat_maps
from longtail.report.sections import experts, training
from longtail.report.training_plot import plot_training
from longtail.runs import Run
from run_factory import ODD_NAMES, made_up_run

pytestmark = pytest.mark.slow

Pages = Callable[[str], Path]
PHOTOS = ("cat", "lynx", "owl")


def data_of(page: str) -> Mapping[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of images that a made-up run was tested on."""
    rng = np.random.default_rng(0)
    for name in PHOTOS:
        (tmp_path / "photos/test" / name).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            exif = Image.Exif()
            exif[0x010E] = "the nest behind the church"
            picture = Image.fromarray(pixels).resize((120, 120))
            picture.save(tmp_path / "photos/test" / name / f"{number:02}.jpg", exif=exif)
    return tmp_path / "photos"


def test_the_same_run_gives_the_same_bytes(pages: Pages) -> None:
    assert build_page(Run(pages("perfect").parent)) == pages("perfect").read_text("utf-8")


@pytest.mark.usefixtures("undrawn")
def test_images_are_part_of_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run", names=PHOTOS, data=str(photos), rates=[0.5, 0.5, 0.5]))
    _rename_as_evaluated(run, sorted(photos.rglob("*.jpg")), photos)
    page = build_page(run)
    assert "<img" in page
    assert build_page(Run(run.path)) == page


def test_numbers_are_those_of_metrics_json(pages: Pages) -> None:
    page = pages("hundred").read_text("utf-8")
    metrics = json.loads((pages("hundred").parent / "eval/test/metrics.json").read_text())
    for name in ("overall", "macro", "many", "medium", "few"):
        cell = rf">{name}</(?:span></)?th><td class=\"n\">([\d.]+) %</td>"
        found = re.search(cell, page)
        assert found, name
        assert abs(float(found[1]) - 100 * metrics[name]) <= 0.51
    rows = data_of(page)["classes"]["rows"]
    assert sum(row[4] for row in rows) / sum(row[3] for row in rows) == pytest.approx(metrics["overall"])


def test_names_cannot_break_out(pages: Pages) -> None:
    page = pages("odd").read_text("utf-8")
    assert page.count("<script") == page.count("</script>") == 2
    assert "<img src=x" not in page
    names = [row[0] for row in data_of(page)["classes"]["rows"]]
    assert sorted(names) == sorted(name.replace("\n", "\\n") for name in ODD_NAMES)


def test_data_cannot_end_its_element() -> None:
    text = as_data({"</script>": "<!-- & \u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"</script>": "<!-- & \u2028"}


def test_the_policy_names_the_script_and_comes_first(pages: Pages) -> None:
    page = pages("single").read_text("utf-8")
    head = page[: page.index("<style>")]
    assert "default-src 'none'" in head
    assert re.search(r"script-src 'sha256-[\w+/]{43}='", head)
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)


def test_script_and_style_are_small(pages: Pages) -> None:
    page = pages("single").read_text("utf-8")
    style = page[page.index("<style>") : page.index("</style>")]
    assert len(style.encode()) < 12_500
    assert len(page[page.rindex("<script>") :].encode()) < 11_500


@pytest.mark.parametrize(("kind", "most"), [("perfect", 1.5e6), ("hundred", 3e6)])
def test_pages_keep_to_their_size(kind: str, most: float, pages: Pages) -> None:
    assert pages(kind).stat().st_size < most


def test_thousands_of_classes_take_little_room(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", num_classes=8142, images=3)
    page = build_page(Run(run))
    assert len(page.encode()) < 4e6
    rows = data_of(page)["classes"]["rows"]
    assert len(rows) == 8142
    assert len(as_data(rows)) / 8142 < 50


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("wanted", "wrong", "right"), [("none", False, False), ("errors", True, False), ("all", True, True)]
)
def test_which_images_are_shown(wanted: str, wrong: bool, right: bool, photos: Path, tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run", names=PHOTOS, data=str(photos), rates=[0.5, 0.5, 0.5]))
    files = sorted(photos.rglob("*.jpg"))
    _rename_as_evaluated(run, files, photos)
    page = build_page(run, images=wanted)
    pairs = re.findall(
        r'<img src="data:image/webp;base64,[^"]+" alt="labelled (\w+), predicted (\w+), 0\.\d\d"', page
    )
    assert any(name != label for name, label in pairs) == wrong
    assert any(name == label for name, label in pairs) == right
    assert "church" not in page
    assert ("made without images" in page) == (wanted == "none")


def _rename_as_evaluated(run: Run, files: list[Path], root: Path) -> None:
    """Give the made-up predictions the ids of images that are there."""
    table = run.path / "eval/test/predictions.parquet"
    found = pd.read_parquet(table)
    found["path"] = [file.relative_to(root).as_posix() for file in files][: len(found)]
    found.to_parquet(table, index=False)


@pytest.mark.usefixtures("undrawn")
def test_images_that_are_gone_are_reported(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", names=PHOTOS, data=str(tmp_path / "gone"), rates=[0.5, 0.5, 0.5])
    page = build_page(Run(run))
    assert "<img" not in page
    assert "none are shown" in page


@pytest.mark.usefixtures("undrawn")
def test_what_became_of_the_images_is_reported_where_no_pair_occurs_twice(tmp_path: Path) -> None:
    rates, images = [1.0] * 29 + [0.0], [20] * 29 + [1]
    gone = str(tmp_path / "gone")
    run = Run(made_up_run(tmp_path / "run", num_classes=30, data=gone, rates=rates, images=images))
    found = collect(run).confusions
    assert found is not None
    assert (len(found.pairs), found.errors) == (0, 1)
    assert "none are shown" in build_page(run)


@pytest.mark.usefixtures("undrawn")
def test_without_errors_there_is_no_matrix_of_them(tmp_path: Path) -> None:
    page = build_page(Run(made_up_run(tmp_path / "run", num_classes=25, rates=[1.0] * 25)))
    assert "No error was made." in page
    assert "matrix" not in data_of(page)


@pytest.mark.usefixtures("undrawn")
def test_few_images_have_no_percentage_and_no_colour(tmp_path: Path) -> None:
    images = [40, 40, 40, 40, 2, 2, 2]
    page = build_page(Run(made_up_run(tmp_path / "run", num_classes=7, images=images)))
    row = r'<th scope="row"[^>]*><span class="g few">few</span></th>(.*?)</tr>'
    found = [re.sub(r"<[^>]*>", " ", cells).split() for cells in re.findall(row, page, re.DOTALL)]
    assert found[0][:2] == ["-", "-"]
    assert [cell for cell in found[1] if "%" in cell] == []
    assert 'class="h5"' in page
    experts_ = re.search(r"Accuracy of each expert.*?</table>", page, re.DOTALL)
    assert experts_
    assert len(re.findall(r'<td class="n">-</td></tr>', experts_[0])) == 4


@pytest.mark.usefixtures("undrawn")
def test_a_class_called_few_bears_no_mark_of_the_group(tmp_path: Path) -> None:
    names = ("few", "many", "lynx")
    page = build_page(Run(made_up_run(tmp_path / "run", names=names, rates=[0.3] * 3, images=60)))
    sinks = page[page.index("Classes that swallow most errors") :]
    assert 'class="g ' not in sinks[: sinks.index("</table>")]


def test_classes_of_equal_size_stand_side_by_side() -> None:
    places = _side_by_side(np.array([5.0, 5, 500, 5]))
    assert places[2] == 500
    assert places[1] == pytest.approx(5)
    assert places[0] < places[1] < places[3] < 7


@pytest.mark.usefixtures("undrawn")
def test_a_page_that_would_be_too_large_has_no_images(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(made_up_run(tmp_path / "run", names=PHOTOS, data=str(photos), rates=[0.5, 0.5, 0.5]))
    _rename_as_evaluated(run, sorted(photos.rglob("*.jpg")), photos)
    monkeypatch.setattr("longtail.report.page.LARGEST", 1000)
    page = build_page(run)
    assert "<img" not in page
    assert "larger than 8 MB" in page


def test_nothing_tells_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the recipe's paths nor images that a table names by their whole path."""
    monkeypatch.chdir(tmp_path)
    elsewhere = {"data.root": str(tmp_path / "root"), "model.weights": str(tmp_path / "begin.safetensors")}
    image = str(tmp_path / "photos/cat/1.jpg")
    audit = {
        "unreadable": [{"path": image, "reason": "empty"}],
        "suspicious": [{"path": image, "reason": "grey"}],
        "duplicates": [
            {"kind": "exact", "paths": [image] * 2, "splits": ["train"] * 2, "classes": ["x"] * 2}
        ],
    }
    where, rates = str(tmp_path / "photos"), [0.97] * 7
    made = made_up_run(
        tmp_path / "run", num_classes=7, data=where, overrides=elsewhere, rates=rates, audit=audit
    )
    table = made / "eval/test/predictions.parquet"
    images = pd.read_parquet(table)
    images["path"] = [str(tmp_path / "photos/cat" / f"{n}.jpg") for n in range(len(images))]
    images.to_parquet(table, index=False)
    page = build_page(Run(made))
    assert "Every error" in page
    assert "…/cat/1.jpg (empty)" in page
    assert "begin.safetensors" in page
    assert str(tmp_path) not in page
    assert tmp_path.parent.name not in page


@pytest.mark.usefixtures("undrawn")
def test_heat_maps_are_shown_where_they_were_made(tmp_path: Path) -> None:
    plain = made_up_run(tmp_path / "plain", num_classes=7)
    assert "<code>longtail explain " in build_page(Run(plain))
    run = made_up_run(tmp_path / "run", num_classes=7)
    (run / "explain").mkdir()
    for name in ("00.webp", "00-1.webp"):
        Image.new("RGB", (100, 100), "red").save(run / "explain" / name)
    wrong = {
        "path": "a", "class": "<b>lynx", "label": "cat", "confidence": 0.9, "experts": ["dog", "owl"],
        "shown": "owl", "image": "00.webp", "maps": ["00-1.webp", "00-1.webp"],
    }  # fmt: skip
    images = [wrong, wrong | {"class": "cat", "experts": ["dog"], "maps": ["00-1.webp"]}]
    (run / "explain/explain.json").write_text(
        json.dumps({"rule": "two of each", "layer": "x", "images": images})
    )
    page = build_page(Run(run))
    assert "Two of each." in page
    assert page.count("<img") == 5
    assert "maps: what speaks for owl" in page
    assert "where expert 1 sees owl; it says dog" in page
    assert "where the network sees owl" in page
    assert build_page(Run(run), images="errors").count("<img") == 3
    assert "labelled &lt;b&gt;lynx, predicted cat, 0.90" in page
    assert heat_maps(Run(run), "none")["cards"] == []


@pytest.mark.usefixtures("undrawn")
def test_the_commands_name_the_run_wherever_it_is_seen_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made_up_run(tmp_path / "my run", num_classes=7))
    assert "<code>longtail explain .</code>" in build_page(Run("."))
    monkeypatch.chdir(tmp_path)
    assert "longtail explain &#39;my run&#39;" in build_page(Run("my run"))
    assert str(tmp_path) not in build_page(Run(tmp_path / "my run"))


def test_damaged_heat_maps_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made_up_run(tmp_path / "run", num_classes=7)
    (run / "explain").mkdir()
    (run / "explain/explain.json").write_text('{"images": [{}]}')
    assert main(["report", str(run)]) == 2
    assert "explain.json is damaged" in capsys.readouterr().err
    assert not (run / "report.html").exists()


def test_it_is_written_without_an_evaluation(pages: Pages, tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", num_classes=7, evaluated=False)
    for file in (run / write_page(Run(run)), pages("unfinished"), pages("single")):
        text = file.read_text("utf-8")
        assert "</html>" in text
        assert "Is it any good" in text


def test_a_single_group_is_reported_once(tmp_path: Path) -> None:
    found = collect(Run(made_up_run(tmp_path / "run", num_classes=7, images=[0, 0, 0, 20, 20, 0, 0])))
    assert found.confidence is not None
    assert found.experts is not None
    assert found.confusions is not None
    assert [line.name for line in found.confidence.risk] == ["all"]
    assert [gain.score for gain in found.experts.gains] == ["overall", "macro"]
    assert [series.name for series in found.training.series if series.kind == "score"] == ["macro"]
    assert experts.page(found.experts, found, Images()).content["table"].header == (
        "expert",
        "overall",
        "macro",
    )


@pytest.mark.usefixtures("undrawn")
def test_the_command_names_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made_up_run(tmp_path / "run", num_classes=7)
    assert main(["report", str(run), "--images", "none"]) == 0
    assert str(run / "report.html") in capsys.readouterr().out
    assert main(["report", str(run), "--images", "some"]) == 2
    assert "none, errors, all" in capsys.readouterr().err


def test_what_has_one_point_is_reported_and_not_drawn(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run", num_classes=7, epochs=1))
    facts = collect(run)
    part = training.page(facts.training, facts, Images()).content
    assert part["pictures"] == []
    assert [row[0] for row in part["single"].rows] == [
        "loss: logit adjustment",
        "macro",
        "many",
        "medium",
        "few",
        "learning rate",
    ]
    assert plot_training(run) is None
