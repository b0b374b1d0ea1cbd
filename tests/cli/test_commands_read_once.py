"""A command that trains lists its source once, whatever it goes through up to the images of the first batch."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from photos import make_photos

from longtail import api
from longtail.data import source_kinds
from longtail.engine.job import Load
from longtail.errors import InputError
from longtail.models.backbone import build_backbone
from longtail.search import Found

QUICK = (
    "--model", "resnet8", "--set", "model.num_experts=1", "--set", "model.gates=false", "--method", "cross_entropy",
)  # fmt: skip
PRETRAINED = ("--model", "test_efficientnet", "--weights", "weights.pt", "--set", "data.image_size=32")


@pytest.fixture(autouse=True)
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The paths of the sources that were listed, below everything that remembers one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path / "cache"))
    make_photos(tmp_path / "photos", {"": {"fox": 9, "owl": 6}})
    torch.manual_seed(0)
    torch.save(build_backbone("test_efficientnet").state_dict(), tmp_path / "weights.pt")
    paths: list[str | None] = []
    plain = source_kinds._read
    monkeypatch.setattr(source_kinds, "_read", lambda options: paths.append(options.path) or plain(options))
    return paths


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("photos", *QUICK, "--epochs", "1"), id="folder"),
        pytest.param(("icl-images", "--data", "photos", *QUICK, "--epochs", "1"), id="recipe"),
        pytest.param(("photos", "--frozen", *PRETRAINED, "--epochs", "1"), id="frozen"),
        pytest.param(("photos", *QUICK, "--epochs", "1", "--seeds", "0,1"), id="seeds"),
    ],
)
def test_a_command_lists_its_source_once(
    run: Callable[..., tuple[int, str, str]], listed: list[str | None], words: tuple[str, ...], tmp_path: Path
) -> None:
    code, _, err = run("train", *words)
    assert code == 0, err
    assert listed == [str(tmp_path / "photos")]


def test_a_search_lists_its_source_once(
    refused: Callable[..., str], listed: list[str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the timed steps and the features that are compared to the images of the run."""
    ended: list[Found] = []

    def stop(found: Found, *words: object) -> None:
        load: Load = words[4]
        load(found.recipe.data, 0, torch.device("cpu"), False)
        ended.append(found)
        raise InputError("far enough")

    monkeypatch.setattr(api, "fit_within", stop)
    assert refused("train", "photos", *PRETRAINED, "--minutes", "0.1") == "far enough"
    assert ended[0].recipe.data.path == str(tmp_path / "photos")
    assert listed == [str(tmp_path / "photos")]


def test_a_cell_of_a_study_lists_its_source_once(
    run: Callable[..., tuple[int, str, str]], listed: list[str | None], tmp_path: Path
) -> None:
    """And the study does so once before its first cell, to refuse what cannot be read."""
    small = 'set.model = { name = "resnet8", num_experts = 1, gates = false }'
    rows = "".join(f'[rows.{name}]\nmethod = "{name}"\n' for name in ("cross_entropy", "focal"))
    (tmp_path / "two.toml").write_text(
        f'title = "t"\nsplit = "val"\nrecipe = "icl-images"\nepochs = 1\n{small}\n{rows}'
    )
    code, _, err = run("bench", "two.toml", "--data", "photos", "--seeds", "0", "--out", "runs", "--quiet")
    assert code == 0, err
    assert listed == [str(tmp_path / "photos")] * 3
