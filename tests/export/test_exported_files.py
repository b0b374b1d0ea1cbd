"""Exported files: they say what the run says, describe themselves, and are whole or not there."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import safetensors
import safetensors.torch
import torch
from PIL import Image

import longtail
from longtail import models
from longtail.cli.main import main
from longtail.export import export
from longtail.export.check import IMAGES
from longtail.runs.folder import RunFolder
from longtail.types import InputError

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnxruntime_only.py"


@pytest.fixture(params=["icl", "adjusted"])
def made(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def copy(adjusted: Any, tmp_path: Path) -> Path:
    """A run of one expert, without an export."""
    run = Path(shutil.copytree(adjusted.run, tmp_path / "run"))
    shutil.rmtree(run / "export")
    (run / "MODEL_CARD.md").unlink()
    return run


@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_a_file_says_what_its_run_says(made: Any, form: str, paths: list[Path]) -> None:
    run, file = longtail.load(made.run), longtail.load(getattr(made, form))
    assert (file.classes, file.num_experts, file.note) == (run.classes, run.num_experts, run.note)
    pd.testing.assert_frame_equal(
        file.predict(paths, top_k=3), run.predict(paths, top_k=3), rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(file.predict_proba(paths), run.predict_proba(paths), atol=1e-5)


@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_any_number_of_images_at_once(made: Any, form: str) -> None:
    file = longtail.load(getattr(made, form))
    images = torch.randint(0, 256, (9, 3, 8, 8), dtype=torch.uint8)
    together, each = file.compute(images)
    assert together.shape == (9, 10)
    assert each.shape == (file.num_experts, 9, 10)
    torch.testing.assert_close(each.sum(dim=-1), torch.ones(file.num_experts, 9))
    for size in (1, 2, 5):
        parts = [file.compute(part) for part in images.split(size)]
        torch.testing.assert_close(torch.cat([part[0] for part in parts]), together)
        torch.testing.assert_close(torch.cat([part[1] for part in parts], dim=1), each)


def test_the_adjustment_is_part_of_the_graph(adjusted: Any) -> None:
    run, file = longtail.load(adjusted.run), longtail.load(adjusted.onnx)
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    mean, std = (torch.tensor(run.description[key])[:, None, None] for key in ("mean", "std"))
    with torch.inference_mode():
        logits = run.model((images / 255 - mean) / std).logits.mean(dim=0)
    counts = torch.tensor([row["count"] for row in json.loads((adjusted.run / "classes.json").read_text())])
    torch.testing.assert_close(
        file.compute(images)[0], (logits - counts.log()).softmax(dim=-1), atol=1e-5, rtol=0
    )
    assert (file.compute(images)[0].log() - logits.log_softmax(dim=-1)).abs().max() > 0.1


def test_the_temperature_is_part_of_the_graph(copy: Path, adjusted: Any) -> None:
    weights = copy / "weights" / "last.safetensors"
    with safetensors.safe_open(weights, "pt") as file:
        about = json.loads(file.metadata()["longtail"]) | {"temperature": 4.0}
    tensors = safetensors.torch.load_file(weights)
    safetensors.torch.save_file(tensors, weights, metadata={"longtail": json.dumps(about)})
    warm, cold = longtail.load(export(copy, "pt2").path), longtail.load(adjusted.pt2)
    assert warm.facts["temperature"] == 4.0
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    for a, b in zip(warm.compute(images), cold.compute(images), strict=True):
        torch.testing.assert_close(a, (b.log() / 4).softmax(dim=-1), atol=1e-5, rtol=1e-4)


def test_what_a_file_says_of_itself(icl: Any) -> None:
    session = onnxruntime.InferenceSession(icl.onnx)
    about = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    assert len(about.pop("sha256")) == 64
    assert about == longtail.load(icl.pt2).facts
    classes = json.loads((icl.run / "classes.json").read_text())
    assert about["classes"] == [row["name"] for row in classes]
    assert about["class_counts"] == [row["count"] for row in classes]
    assert (about["image_size"], about["num_experts"], about["temperature"]) == (8, 3, 1.0)
    assert about["recipe"] == "digits-icl-resnet8"
    assert about["prior"] == pytest.approx([0.1] * 10)  # its classifiers are trained with logit adjustment
    assert "BILINEAR" in about["resize"]
    assert about["longtail_version"] == longtail.__version__
    assert [value.name for value in session.get_inputs()] == ["image"]
    assert [value.name for value in session.get_outputs()] == ["probabilities", "expert_probabilities"]
    assert [value.shape for value in session.get_outputs()] == [["batch", 10], [3, "batch", 10]]


def test_images_that_were_scaled_are_refused_not_misread(icl: Any) -> None:
    session = onnxruntime.InferenceSession(icl.onnx)
    with pytest.raises(Exception, match="Unexpected input data type"):
        session.run(None, {"image": np.zeros((1, 3, 8, 8), dtype=np.float32)})
    with pytest.raises(RuntimeError, match=r"[Dd]type"):
        torch.export.load(icl.pt2).module()(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_no_file_tells_where_it_was_made(icl: Any, form: str) -> None:
    content = getattr(icl, form).read_bytes()
    for folder in (Path(longtail.__file__).parent, Path(torch.__file__).parent, icl.run):
        assert str(folder).encode() not in content


def test_hostile_class_names(hostile: Path, paths: list[Path], tmp_path: Path) -> None:
    run = longtail.load(hostile)
    for form in ("onnx", "pt2"):
        file = longtail.load(export(hostile, form, tmp_path / f"named.{form}").path)
        assert file.classes == run.classes
        assert file.predict(paths)["label"].tolist() == run.predict(paths)["label"].tolist()


def test_a_file_that_differs_is_refused_and_removed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: Any) -> Any:
        folded = models.fold_batch_norm(model)
        for head in folded.heads.values():
            head.weight.neg_()
        return folded

    monkeypatch.setattr("longtail.export.graph.fold_batch_norm", wrong)
    with pytest.raises(InputError, match="does not say what the run says"):
        export(copy, "pt2")
    assert list((copy / "export").iterdir()) == []
    assert not (copy / "MODEL_CARD.md").exists()


def test_nothing_is_replaced_unasked(adjusted: Any, icl: Any, tmp_path: Path) -> None:
    out = tmp_path / "model.pt2"
    out.write_text("mine")
    with pytest.raises(InputError, match=r"exists.*--overwrite"):
        export(adjusted.run, "pt2", out)
    assert out.read_text() == "mine"
    with pytest.raises(InputError, match=r"does not end in \.onnx; give .*other\.onnx, or another --format"):
        export(adjusted.run, "onnx", tmp_path / "other.pt2")
    with pytest.raises(InputError, match="is a folder"):
        export(adjusted.run, "pt2", tmp_path)
    with pytest.raises(InputError, match="something else"):
        export(adjusted.run, "folder", tmp_path, overwrite=True)
    assert export(adjusted.run, "pt2", out, overwrite=True).card is None
    assert longtail.load(out).num_experts == 1
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("place", [".", ".."])
def test_a_place_without_a_name_is_refused(
    adjusted: Any, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "a"
    here.mkdir()
    monkeypatch.chdir(here)
    with pytest.raises(InputError, match="has no name of its own; name a new file or folder with -o"):
        export(adjusted.run, "folder", place, overwrite=True)
    assert list(tmp_path.rglob("*")) == [here]


def test_images_to_compare_on(hostile: Path, paths: list[Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(hostile, tmp_path / "run"))
    toml = (run / "recipe.toml").read_text().replace(str(hostile.parent), str(tmp_path / "gone"))
    (run / "recipe.toml").write_text(toml)
    with pytest.raises(InputError, match=r"cannot be read.*--data PATH"):
        export(run, "folder", tmp_path / "model")
    assert not (tmp_path / "model").exists()
    made = export(run, "folder", tmp_path / "model", data=paths[0].parent)
    assert made.agreement.images == len(paths) < IMAGES
    empty = tmp_path / "bad.png"
    empty.touch()
    with pytest.raises(InputError, match="no readable image"):
        export(run, "folder", tmp_path / "other", data=empty)


def test_an_unfinished_run_is_reported(copy: Path) -> None:
    RunFolder(copy).set_status("interrupted", epoch=2, epochs=9)
    recipe = (copy / "recipe.toml").read_text().replace("epochs = 2", "epochs = 9")
    (copy / "recipe.toml").write_text(recipe)
    made = export(copy, "pt2")
    assert made.note is not None
    assert "after epoch 2 of 9" in str(longtail.load(made.path).note)


@pytest.mark.parametrize("form", ["onnx", "pt2"])
@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_cut_off_files_are_refused(icl: Any, form: str, keep: float, tmp_path: Path) -> None:
    content, file = getattr(icl, form).read_bytes(), tmp_path / "model"
    file.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(InputError, match=r"cannot read .*model as an exported file"):
        longtail.load(file)


def test_what_cannot_be_asked_of_a_file(icl: Any) -> None:
    with pytest.raises(InputError, match="is a file; give a folder"):
        longtail.evaluate(icl.onnx)
    with pytest.raises(InputError, match="run on the CPU"):
        longtail.load(icl.onnx, device="cuda")
    with pytest.raises(InputError, match="is a file; give a run folder"):
        export(icl.onnx, "pt2")


def test_the_example_needs_onnxruntime_alone(icl: Any, paths: list[Path]) -> None:
    code = EXAMPLE.read_text("utf-8")
    assert "longtail" not in [
        line.split()[1] for line in code.splitlines() if line.startswith(("import", "from"))
    ]
    words = [sys.executable, str(EXAMPLE), str(icl.onnx), *map(str, paths)]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    table = pd.read_csv(StringIO(printed), dtype={"label": str})
    expected = longtail.load(icl.run).predict(paths)
    pd.testing.assert_frame_equal(table, expected[list(table)], check_dtype=False, rtol=0, atol=1e-5)


def test_the_example_leaves_out_what_it_cannot_read(icl: Any, paths: list[Path], tmp_path: Path) -> None:
    image, gone = tmp_path / "depth.tif", tmp_path / "gone.png"
    Image.fromarray(np.ones((9, 9), dtype=np.float32)).save(image)
    words = [sys.executable, str(EXAMPLE), str(icl.onnx), str(image), str(gone), str(paths[0])]
    odd = tmp_path / "odd.png"
    Image.new("RGB", (9, 9)).save(odd, exif=b"Exif\0\0garbagegarbage")
    cut = tmp_path / "cut.png"
    cut.write_bytes(odd.read_bytes()[:-40])
    words[4:4] = [str(odd), str(cut)]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"left out: {image} (32 bits a value" in result.stderr
    assert f"left out: {cut} (" in result.stderr
    assert f"{odd}: damaged EXIF" in result.stderr
    assert f"left out: {gone} (" in result.stderr
    assert [line.split(",")[0] for line in result.stdout.splitlines()] == [*("path", str(odd), str(paths[0]))]


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def said(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        return code, *capfd.readouterr()

    return said


def test_the_command(copy: Path, paths: list[Path], said: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = said("export", copy, "--format", "pt2")
    assert (code, err) == (0, "")
    assert f"{copy}/export/model.pt2: digits-logit_adjustment-resnet8, 10 classes, 8 pixels" in out
    assert f"agrees with the run on {IMAGES} images: probabilities differ by at most" in out
    assert "MODEL_CARD.md: a model card" in out
    code, out, err = said("predict", copy / "export" / "model.pt2", paths[0])
    assert (code, err) == (0, "")
    assert out.startswith("path,label,confidence,agreement,expert_1\n")
    code, out, err = said("export", copy, "--format", "pt2")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    code, out, err = said("export", copy, "--format", "zip")
    assert (code, err) == (2, "error: format 'zip' is not known; choose onnx, pt2, folder\n")


def test_missing_packages_are_named(
    copy: Path,
    icl: Any,
    paths: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    said: Callable[..., tuple[int, str, str]],
) -> None:
    for module in ("longtail.export.onnx_file", "longtail.predict.onnx_file"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None)
    for words, packages in (
        (["export", copy], "onnx onnxscript onnxruntime\n"),
        (["predict", icl.onnx, paths[0]], "onnx onnxruntime, "),
    ):
        code, _, err = said(*words)
        assert code == 2
        assert err.count("\n") == 1
        assert f"pip install {packages}" in err
    assert not (copy / "export").exists()
