"""Weights of others: what cannot be read is named, with the way to save what can; nothing in the file runs."""

import argparse
import collections
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from longtail.models.state_file import read_weights
from longtail.types import InputError

WEIGHTS = {"conv.weight": torch.ones(2, 3), "conv.bias": torch.zeros(2)}


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def refusal(file: Path) -> str:
    with pytest.raises(InputError) as refused:
        read_weights(file)
    said = str(refused.value)
    assert "\n" not in said
    assert str(file) in said
    return said


def saved(file: Path, value: object, **more: Any) -> Path:
    torch.save(value, file, **more)
    return file


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before zip"])
@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"args": argparse.Namespace(lr=0.1)}, "argparse.Namespace"),
        ({"best": np.float64(0.5)}, "scalar"),
        ({"model": nn.Linear(2, 2)}, "torch.nn.modules.linear.Linear"),
        ({"x": Trap()}, "print"),
    ],
    ids=["arguments", "numpy scalar", "module", "code"],
)
def test_what_is_no_tensor_is_named_with_the_way_to_save_the_weights_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, Any], named: str, zipped: bool
) -> None:
    file = saved(
        tmp_path / "best.pth.tar", {"state_dict": WEIGHTS} | more, _use_new_zipfile_serialization=zipped
    )
    said = refusal(file)
    assert named in said
    assert "torch.save(opened['state_dict'], 'weights.pt')" in said
    assert capsys.readouterr().out == ""


def test_the_shown_way_gives_weights_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = saved(Path("best.pth.tar"), {"args": argparse.Namespace(), "state_dict": WEIGHTS})
    save = refusal(file).split("alone: ")[1].split(", with")[0]
    exec(save, {"torch": torch, "opened": torch.load(file, weights_only=False)})
    assert read_weights(Path("weights.pt")).keys() == WEIGHTS.keys()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1, 2], "holds no state dict but list"),
        (torch.ones(2), "holds no state dict but Tensor"),
        ({}, "holds no state dict"),
        (collections.OrderedDict(a=1.0, b=2.0), "no tensor among its 2, such as 'a'"),
        ({"net": WEIGHTS, "epoch": 3}, "tensors under 'net'"),
        ({"a": torch.tensor([1.0, float("nan")])}, "'a' has numbers that are not finite"),
        ({"a": torch.tensor([1.0, float("inf")])}, "'a' has numbers that are not finite"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "'a' is sparse, quantized or complex"),
        ({"a": torch.ones(2, 2).to_sparse()}, "'a' is sparse, quantized or complex"),
        ({"module.a": torch.ones(2), "a": torch.ones(2)}, "names a tensor twice"),
    ],
)
def test_what_holds_no_weights_is_reported(tmp_path: Path, value: object, said: str) -> None:
    assert said in refusal(saved(tmp_path / "x.pt", value))


def test_files_of_other_formats_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    for content in (b"", b"PK\3\4", b"\x89PNG", b"{}", pickle.dumps({"a": 1})[:-3]):
        file.write_bytes(content)
        assert "cannot read weights" in refusal(file)
    with tarfile.open(file, "w"):
        pass
    assert "before 0.4" in refusal(file)
    (tmp_path / "x.safetensors").write_bytes(b"\xff" * 20)
    assert "cannot read weights" in refusal(tmp_path / "x.safetensors")
    for missing in (tmp_path / "none.pt", tmp_path):
        assert "there is no file" in refusal(missing)


def test_wrappers_and_prefixes_are_left_out(tmp_path: Path) -> None:
    wrapped = {f"_orig_mod.module.{name}": tensor for name, tensor in WEIGHTS.items()}
    for value in (WEIGHTS, {"state_dict": WEIGHTS, "epoch": 3}, {"model": {"state_dict": wrapped}}):
        assert read_weights(saved(tmp_path / "x.pt", value)).keys() == WEIGHTS.keys()
    safetensors.torch.save_file({"module.a": torch.ones(1)}, tmp_path / "x.safetensors")
    assert read_weights(tmp_path / "x.safetensors").keys() == {"a"}
