"""One bit that changed in a file of ours is one line, never an answer."""

import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
import safetensors
import safetensors.torch

import longtail
from longtail.cli.main import main
from longtail.predict.onnx_file import sealed
from longtail.runs.layout import WEIGHTS
from longtail.types import InputError


def flipped(source: Path, target: Path, place: int) -> Path:
    content = bytearray(source.read_bytes())
    content[place] ^= 1
    target.write_bytes(content)
    return target


def test_a_bit_in_a_runs_weights(icl: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    shutil.copytree(icl.run, run)
    whole = run / WEIGHTS
    sound = whole.read_bytes()
    for share in (0.3, 0.6, 0.99):  # within the numbers
        flipped(icl.run / WEIGHTS, whole, int(share * len(sound)))
        with pytest.raises(InputError, match="SHA-256"):
            longtail.load(run)
    assert main(["predict", str(run), str(tmp_path), "-o", str(tmp_path / "p.csv")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_weights_without_a_digest_are_older_ones(icl: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(icl.run, run)
    with safetensors.safe_open(run / WEIGHTS, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert set(metadata) == {"longtail", "sha256", "format_version"}
    del metadata["sha256"]
    safetensors.torch.save_file(tensors, run / WEIGHTS, metadata)
    longtail.load(run)


@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_a_bit_in_an_exported_file(icl: Any, tmp_path: Path, form: str) -> None:
    source = getattr(icl, form)
    sound, size = longtail.load(source).facts, source.stat().st_size
    said = [
        _said(flipped(source, tmp_path / f"model.{form}", step * size // 9), sound) for step in range(1, 9)
    ]
    assert not any("\n" in line for line in said)
    if form == "onnx":
        assert all("SHA-256" in line for line in said)
    assert sum(map(bool, said)) > 5  # a .pt2 has room between its entries


def _said(file: Path, sound: dict[str, Any]) -> str:
    """How a file is refused; "" where it is read and says the same."""
    try:
        assert longtail.load(file).facts == sound
    except InputError as error:
        return str(error)
    return ""


def test_onnx_files_that_are_not_sealed_are_read(icl: Any, tmp_path: Path) -> None:
    model = onnx.load(icl.onnx)
    seal = model.metadata_props.pop()
    assert seal.key == "sha256"
    plain = model.SerializeToString()
    (tmp_path / "older.onnx").write_bytes(plain)
    longtail.load(tmp_path / "older.onnx")
    model.metadata_props.insert(0, seal)  # as another program writes it again
    model.doc_string = "changed on purpose"
    (tmp_path / "again.onnx").write_bytes(model.SerializeToString())
    longtail.load(tmp_path / "again.onnx")
    assert sealed(plain) == icl.onnx.read_bytes()
