"""A run as a classifier: pieces, unreadable images, damaged and unfinished runs."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from PIL import Image

import longtail
from longtail import predict
from longtail.caller_words import COMMAND, PYTHON, Words
from longtail.predict import ImageSources
from longtail.predict.weights import read_weights, rebuild, write_description
from longtail.runs.folder import RunFolder
from longtail.types import InputError


def test_pieces_make_the_whole_and_what_cannot_be_read_has_an_empty_row(
    trained: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = longtail.load(trained)
    readable = [path for path in paths if path != paths[3]]
    whole = model.predict(readable)
    for size in (1, 2, 3, 100):
        monkeypatch.setattr(predict.classifier, "evaluation_batch", lambda *_, size=size: size)
        bad: list[tuple[str, str]] = []
        pieces = list(model.stream(paths, bad, []))
        assert bad == [(str(paths[3]), "empty")]
        assert all(len(piece) <= size for piece in pieces)
        table = pd.concat(pieces, ignore_index=True)
        assert table["path"].tolist() == [str(path) for path in paths]
        assert table.loc[3].drop("path").isna().all()
        found = table.drop(index=3).reset_index(drop=True)
        pd.testing.assert_frame_equal(found, whole, rtol=1e-4, check_dtype=False)


def test_images_damaged_beside_their_pixels_are_answered_and_said(
    trained: Path, paths: list[Path], tmp_path: Path
) -> None:
    model = longtail.load(trained)
    cut = tmp_path / "cut.png"
    cut.write_bytes(paths[0].read_bytes()[:-12])  # all but the end mark
    said = r"1 image damaged beside the pixels, used: .*cut\.png \(no end mark"
    with pytest.warns(UserWarning, match=said):
        table = model.predict([paths[0], cut])
    assert table["confidence"].notna().all()
    with pytest.warns(UserWarning, match=said):
        model.predict_proba([paths[0], cut])
    repaired: list[tuple[str, str]] = []
    assert len(pd.concat(model.stream([paths[0], cut], [], repaired))) == 2
    assert [path for path, _ in repaired] == [str(cut)]


def test_the_same_network_as_in_training(run: Path) -> None:
    model = longtail.load(run)
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    metrics = model.evaluate()
    assert metrics["overall"] == json.loads((run / "eval/test/metrics.json").read_text())["overall"]
    assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())


def _trained_on(source: str, run: Path) -> predict.Classifier:
    model = longtail.load(run)
    data = model.recipe.data.model_copy(update={"name": source})
    model.recipe = model.recipe.model_copy(update={"data": data})
    return model


@pytest.mark.parametrize("source", ["digits", "folder", "cifar10"])
def test_other_images_are_read_as_what_they_are(run: Path, paths: list[Path], source: str) -> None:
    model = _trained_on(source, run)
    tree, table = run / "tree", run / "table"
    for label in range(10):
        (tree / str(label)).mkdir(parents=True)
        shutil.copy(paths[0], tree / str(label))
    table.mkdir()
    listed = run / "listed.csv"
    listed.write_text(
        "path,label\n" + "".join(f"tree/{label}/{paths[0].name},{label}\n" for label in range(10))
    )
    assert model.evaluate(listed)["num_images"] == 10
    images = [paths[0].read_bytes()] * 10
    pq.write_table(pa.table({"img": images, "label": list(range(10))}), table / "test-0.parquet")
    assert model.evaluate(tree)["num_images"] == 10
    assert model.evaluate(table)["num_images"] == 10


def test_cifar_from_its_pickled_files(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: True)
    folder = run / "cifar-10-batches-py"
    folder.mkdir()
    part = {"data": np.zeros((20, 3072), dtype=np.uint8), "labels": [*range(10)] * 2}
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (folder / name).write_bytes(pickle.dumps(part))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [str(c) for c in range(10)]}))
    assert _trained_on("cifar10", run).evaluate(folder)["num_images"] == 20


def test_unreadable_images_are_warned_of_or_refused(trained: Path, paths: list[Path]) -> None:
    model = longtail.load(trained)
    with pytest.warns(UserWarning, match=r"1 image cannot be read: .*3\.png \(empty\); its row is empty"):
        table = model.predict(paths, abstain_below=0.0)
    assert table["label"].isna().tolist() == [path == paths[3] for path in paths]
    assert table["abstained"].tolist() == [False] * 7
    with pytest.warns(UserWarning, match=r"gone\.png \(No such file or directory\)"):
        assert len(model.predict([paths[0], "gone.png"])) == 2
    for refused, given in ((model.predict_proba, paths), (model.predict, paths[3])):
        with pytest.raises(InputError, match=r"1 image cannot be read: .*3\.png \(empty\);") as caught:
            refused(given)
        assert not caught.value.details
    with pytest.raises(
        InputError, match=r"5 images cannot be read: image 0 .*, image 2 .* and 2 more;"
    ) as caught:
        model.predict_proba([b""] * 5)
    assert caught.value.__notes__ == list(caught.value.details) == ["image 3 (empty)", "image 4 (empty)"]
    with pytest.raises(InputError, match="top_k is 0"):
        model.predict(paths[0], top_k=0)


def test_sources_keep_their_order_and_are_taken_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/1.png", "a/note.txt", "b/2.png", "b/10.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    found = ImageSources(["./a/1.png", "b", "gone.png", "a/1.png", Path("a/note.txt"), "a/1.png"])
    listed = ["./a/1.png", "b/10.png", "b/2.png", "gone.png", "a/1.png", "a/note.txt", "a/1.png"]
    assert list(found.names()) == listed
    assert list(found) == [Path(name) for name in listed]
    gone = ("gone.png", "does not exist")
    assert (found.missing, found.repeated, found.count()) == ((gone,), 1, 7)
    for missing in ("gone", ["gone", "x" * 5000, "a\0b"]):
        with pytest.raises(InputError, match=r"gone does not exist; give image files or folders"):
            ImageSources(missing)


def test_a_folder_given_with_its_files_is_said(
    trained: Path, paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("img/a/1.png", "img/a/2.png", "img/b/3.png", "img2/4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(paths[0], tmp_path / name)
    monkeypatch.chdir(tmp_path)
    listed = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "img").rglob("*"))
    said = ImageSources(["./img", *listed]).overlap
    assert said is not None
    assert "5 sources lie in folders that are given too" in said
    assert "9 rows for 3 images" in said
    assert "(find ./img -type f)" in said
    assert ImageSources(["img", "img2", "img2"]).overlap is None
    with pytest.warns(UserWarning, match=r"1 source lies in folders .* such as img2: 2 rows for 1 image;"):
        assert len(longtail.load(trained).predict(["img2", "img2/4.png"])) == 2


@pytest.mark.parametrize(("words", "wanted"), [(PYTHON, "strict=True"), (COMMAND, "--strict")])
def test_what_strict_refuses_is_said_in_the_words_of_the_caller(
    paths: list[Path], tmp_path: Path, words: Words, wanted: str
) -> None:
    shutil.copy(paths[0], tmp_path)
    (tmp_path / "raw.cr2").touch()
    with pytest.raises(InputError) as refused:
        ImageSources(tmp_path).check_complete(words)
    assert wanted in str(refused.value)
    assert [spelt in str(refused.value) for spelt in (PYTHON.strict, COMMAND.strict)].count(True) == 1


def test_a_folder_without_images_is_missing_like_a_file(
    trained: Path, paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("empty", "texts", "checked", "a"):
        (tmp_path / name).mkdir()
    for name in ("texts/1.txt", "checked/audit.json", "checked/counts.csv", "a/1.png"):
        (tmp_path / name).touch()
    shutil.copy(paths[0], tmp_path / "a/1.png")
    monkeypatch.chdir(tmp_path)
    found = ImageSources(["empty", "a", "texts", "checked", "gone"])
    assert list(found.names()) == ["empty", "a/1.png", "texts", "checked", "gone"]
    assert [source for source, _ in found.missing] == ["empty", "texts", "checked", "gone"]
    assert "written by longtail" in found.missing[2][1]
    for given in ("empty", ["empty"], ["texts", "empty"], ["gone", "empty"], "checked"):
        with pytest.raises(
            InputError, match=r"(empty|texts) holds no images|gone does not|checked was written"
        ):
            ImageSources(given)
        with pytest.raises(InputError):
            longtail.load(trained).predict(given)
    with pytest.raises(InputError) as refused:
        ImageSources("texts")
    assert "texts/1.txt" in str(refused.value.details)
    model = longtail.load(trained)
    with pytest.warns(UserWarning, match=r"1 image cannot be read: empty \(a folder.*its row is empty"):
        table = model.predict(["empty", "a"])
    assert list(table["path"]) == ["empty", "a/1.png"]
    assert list(table["confidence"].isna()) == [True, False]
    with pytest.raises(InputError, match="1 image cannot be read: empty "):
        model.predict_proba(["empty", "a"])


def in_every_form(path: Path) -> dict[str, Any]:
    """One image in each form that it may be given in."""
    image = Image.open(path)
    pixels = np.asarray(image)
    return {
        "path": path, "text": str(path), "array": pixels, "RGBA": np.asarray(image.convert("RGBA")), "Pillow": image,
        "bytes": path.read_bytes(), "view": memoryview(path.read_bytes()), "stack": pixels[None], "list": [pixels],
        "paths": np.array([str(path)]), "column": np.array([[str(path)]], dtype=object),
        "series": pd.Series([path], [7]), "generator": (one for one in [path]),
    }  # fmt: skip


def test_an_image_is_the_same_in_every_form(trained: Path, paths: list[Path]) -> None:
    model = longtail.load(trained)
    expected = model.predict_proba(paths[0])
    for form, given in in_every_form(paths[0]).items():
        np.testing.assert_array_equal(model.predict_proba(given), expected, err_msg=form)
    pixels = np.asarray(Image.open(paths[0]))
    grey = pixels[..., 0]
    expected = model.predict_proba(np.repeat(grey[..., None], 3, axis=-1))
    for given in (
        grey,
        grey[..., None],
        grey[None],
        grey[None, ..., None],
        np.dstack([grey, np.full_like(grey, 255)]),
        Image.fromarray(grey),
    ):
        np.testing.assert_array_equal(model.predict_proba(given), expected)


def test_a_turned_image_of_pillow_stays_as_it_was(trained: Path, tmp_path: Path) -> None:
    turned, exif = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)), Image.Exif()
    exif[274] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    model, opened = longtail.load(trained), Image.open(tmp_path / "turned.png")
    expected = model.predict_proba(tmp_path / "turned.png")
    for _ in range(2):
        np.testing.assert_array_equal(model.predict_proba(opened), expected)


def test_every_row_belongs_to_its_image(trained: Path, paths: list[Path]) -> None:
    model = longtail.load(trained)
    given = [
        paths[2],
        paths[0],
        np.asarray(Image.open(paths[1])),
        paths[2],
        b"no image",
        "gone.png",
        paths[0],
    ]
    with pytest.warns(UserWarning, match=r"2 images cannot be read: image 4 \(not an image\), gone.png"):
        table = model.predict(given)
    named = [str(paths[2]), str(paths[0]), "image 2", str(paths[2]), "image 4", "gone.png", str(paths[0])]
    assert table["path"].tolist() == named
    single = model.predict(paths[:3])
    for column in ("label", "confidence"):
        of = single[column]
        expected = pd.Series([of[2], of[0], of[1], of[2], None, None, of[0]], dtype=of.dtype, name=column)
        pd.testing.assert_series_equal(table[column], expected, check_dtype=False)
    rows = model.predict_proba([paths[1], paths[0], paths[1]])
    np.testing.assert_array_equal(rows[0], rows[2])
    np.testing.assert_allclose(rows[:2], model.predict_proba(paths[:2])[::-1], rtol=1e-5)
    with pytest.raises(InputError, match=r"2 images cannot be read: image 4 .*, gone\.png "):
        model.predict_proba(given)


@pytest.mark.parametrize("given", [[], (), np.array([]), np.empty((0, 8, 8, 3), np.uint8), iter([])])
def test_no_image_gives_no_row(trained: Path, given: Any) -> None:
    model = longtail.load(trained)
    table = model.predict(given, top_k=2, abstain_below=0.5)
    assert len(table) == 0
    assert list(table) == [
        "path", "label", "confidence", "agreement", "expert_1", "expert_2", "label_2", "confidence_2", "abstained",
        "best_label",
    ]  # fmt: skip
    assert model.predict_proba([]).shape == (0, 10)


PIXELS = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "None is given; give a path"),
        (3, "of type int"),
        ({"a.png": 1}, "of type dict"),
        ({"a.png"}, "of type set"),
        (pd.DataFrame({"path": ["a.png"]}), "give its column"),
        (PIXELS / 255, r"array of float64 and shape \(8, 8, 3\).*np.rint"),
        (PIXELS.astype(np.uint16), "uint16.*from 0 to 255"),
        (PIXELS > 0, r"bool.*255 \* images"),
        (PIXELS[:0], r"shape \(0, 8, 3\).*no pixels"),
        (PIXELS[..., :0], "no pixels"),
        (PIXELS[:, :0, 0], "no pixels"),
        (np.empty((0, 0), np.uint8), "no pixels"),
        (np.empty((2, 0, 9), np.uint8), "no pixels"),
        (np.empty((2, 8, 0, 3), np.uint8), "no pixels"),
        (np.empty((2, 8, 8, 0), np.uint8), "no pixels"),
        ([PIXELS[:0]], "image 0 is an array.*no pixels"),
        (np.zeros((2, 3, 8, 8), np.uint8), "transpose"),
        (np.zeros((2, 2, 8, 8, 3), np.uint8), r"shape \(2, 2, 8, 8, 3\)"),
        (np.array([b"a.png"]), r"\|S5"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), r"torch tensor of uint8.*permute"),
        ([PIXELS / 255], "image 0 is an array of float64.*np.rint"),
        (["a.png", None], "image 1 is None"),
        ([["a.png"]], "image 0 is a value of type list"),
        ([1, 2], "image 0 is a value of type int"),
        ([PIXELS[None]], "image 0 is an array"),
    ],
)
def test_what_is_no_image_is_named_with_the_remedy(trained: Path, given: Any, said: str) -> None:
    model = longtail.load(trained)
    for answer in (model.predict, model.predict_proba):
        with pytest.raises(InputError, match=said):
            answer(given)


def test_an_open_file_is_not_taken_for_lines(trained: Path, paths: list[Path]) -> None:
    with paths[0].open("rb") as file, pytest.raises(InputError, match="of type BufferedReader"):
        longtail.load(trained).predict(file)


def test_answers_that_are_no_numbers_are_refused(trained: Path, paths: list[Path]) -> None:
    model = longtail.load(trained)
    next(model.model.parameters()).data.fill_(torch.nan)
    for answer in (model.predict, model.predict_proba):
        with pytest.raises(InputError, match="no number"):
            answer(paths[0])


def test_more_classes_asked_for_than_there_are(trained: Path, paths: list[Path]) -> None:
    assert list(longtail.load(trained).predict(paths[0], top_k=99))[-1] == "confidence_10"


def test_an_unfinished_run_works_with_a_note(run: Path, paths: list[Path]) -> None:
    RunFolder(run).set_status("interrupted", epoch=1, epochs=9)
    model = longtail.load(run)
    assert model.note is not None
    assert "after epoch 1 of 9" in model.note
    assert len(model.predict(paths[0])) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("status.json", "is not a run folder"),
        ("weights/last.safetensors", "has no weights"),
        ("classes.json", "classes.json"),
        ("recipe.toml", "recipe.toml"),
    ],
)
def test_damaged_runs_are_refused(run: Path, name: str, said: str) -> None:
    (run / name).unlink()
    with pytest.raises(InputError, match=said):
        longtail.load(run)


def test_cut_off_weights_are_refused(run: Path) -> None:
    weights = run / "weights/last.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot load"):
        longtail.load(run)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "resnet7"}, "do not fit the resnet7 of this version .*name.*train again"),
        ({"gates": False}, "do not fit the resnet8 of this version .*Unexpected key.*train again"),
    ],
)
def test_weights_of_another_version_are_refused(run: Path, changed: dict[str, object], said: str) -> None:
    description, tensors = read_weights(run)
    with pytest.raises(InputError, match=said):
        rebuild(description | {"model": description["model"] | changed}, tensors)


def test_the_stage_of_the_weights_is_written_and_older_weights_do_without(run: Path) -> None:
    description, tensors = read_weights(run)
    assert (
        longtail.load(run).description.pop("stage")
        == description.pop("stage")
        == longtail.load(run)._stage.name
    )
    packed = safetensors.torch.save(tensors, metadata={"longtail": json.dumps(description)})
    (run / "weights/last.safetensors").write_bytes(packed)
    assert longtail.load(run)._stage == longtail.load(run).recipe.stages()[-1]


def test_calibrate_leaves_weights_alone_that_are_not_those_it_knows(run: Path) -> None:
    model = longtail.load(run)
    with RunFolder(run).locked(), pytest.raises(InputError, match="another process is writing"):
        model.calibrate()
    write_description(RunFolder(run), model.description | {"epoch": 9})
    with pytest.raises(InputError, match="load it again"):
        model.calibrate()


def test_evaluations_with_other_images_or_another_mix_replace_none(run: Path, paths: list[Path]) -> None:
    model, places = longtail.load(run), set()
    for parent in ("one", "two"):
        for label in range(10):
            (run / parent / "photos" / str(label)).mkdir(parents=True)
            shutil.copy(paths[0], run / parent / "photos" / str(label))
        places.add(model.evaluate(run / parent / "photos", prior="uniform")["split"])
    mix = run / "uniform.csv"
    mix.write_text("class,weight\n" + "".join(f"{label},{label + 1}\n" for label in range(10)))
    places.add(model.evaluate(run / "one/photos", prior=mix)["split"])
    assert places == {"photos-prior-uniform", "photos-prior-uniform-2", "photos-prior-uniform-3"}
    assert model.evaluate(run / "two/photos", prior="uniform")["split"] == "photos-prior-uniform-2"


def test_a_held_out_part_that_is_not_known_any_more_is_refused(paths: list[Path], tmp_path: Path) -> None:
    """Images were added since: drawing again would put trained images into validation."""
    root = tmp_path / "flat"
    for name in "ab":
        (root / name).mkdir(parents=True)
        for number in range(6):
            pixels = np.full((8, 8, 3), 20 * number + 9 * (name == "a"), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    given = {"model.num_experts": 1, "data.image_size": 8}
    run = longtail.train(root, epochs=2, method="cross_entropy", out=tmp_path / "run", set=given, quiet=True)
    assert longtail.evaluate(run.path)["num_images"] == 2
    shutil.copy(paths[4], root / "a" / "new.png")
    with pytest.raises(InputError, match=r"have changed since training.*data=PATH"):
        longtail.evaluate(run.path)


WRONG = """
import sys
import pandas as pd
import longtail
model = longtail.load(sys.argv[1])
for name, value in (
    ("top_k", 1.5), ("top_k", "2"), ("abstain_below", "0.5"), ("views", "2"), ("prior", [0.2, 0.8]),
):
    try:
        model.predict([sys.argv[2]], **{name: value})
    except longtail.InputError as error:
        assert name in str(error), error
    else:
        raise AssertionError(name)
weights = dict.fromkeys(model.classes, 1.0) | {model.classes[0]: 3.0}
one, other = (model.predict_proba([sys.argv[2]], prior=prior) for prior in (weights, pd.Series(weights)))
assert (one == other).all()
try:
    longtail.load(None)
except longtail.InputError as error:
    assert "NoneType" in str(error)
"""


def test_arguments_of_other_types_are_refused_by_name_and_a_series_is_a_prior(
    trained: Path, paths: list[Path]
) -> None:
    """In a process of its own, where no test checks types first."""
    words = [sys.executable, "-c", WRONG, str(trained), str(paths[0])]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def test_colours_that_may_come_first_are_refused(trained: Path) -> None:
    model = longtail.load(trained)
    with pytest.raises(InputError, match=r"transpose\(1, 2, 0\)"):
        model.predict(np.zeros((3, 16, 16), dtype=np.uint8))
    assert len(model.predict(list(np.zeros((3, 16, 16), dtype=np.uint8)))) == 3
    assert len(model.predict(np.zeros((5, 16, 16), dtype=np.uint8))) == 5
