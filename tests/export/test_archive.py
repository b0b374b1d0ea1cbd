"""A .pt2 file that could run code is refused before torch sees it."""

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import longtail
from longtail.predict.archive import check_archive
from longtail.types import InputError

Entries = dict[str, bytes]


class Harm:
    """Unpickling it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.file),)


def in_json(name: str, change: Callable[[Any], None]) -> Callable[[Entries, Path], None]:
    """A change of what a JSON entry holds."""

    def apply(entries: Entries, _: Path) -> None:
        content = json.loads(entries[name])
        change(content)
        entries[name] = json.dumps(content).encode()

    return apply


def nodes(model: Any) -> Any:
    return model["graph_module"]["graph"]["nodes"]


def pickled(part: str) -> Callable[[Entries, Path], None]:
    def apply(entries: Entries, harm: Path) -> None:
        name = f"data/{part}/model_{part}_config.json"
        config = json.loads(entries[name])
        config["config"]["more"] = {
            "path_name": "weight_0",
            "is_param": False,
            "use_pickle": True,
            "tensor_meta": None,
        }
        entries[name] = json.dumps(config).encode()
        entries[f"data/{part}/weight_0"] = pickle.dumps(Harm(harm))

    return apply


def sample(entries: Entries, harm: Path) -> None:
    entries["data/sample_inputs/model.pt"] = pickle.dumps(Harm(harm))


def legacy(entries: Entries, harm: Path) -> None:
    entries["data/weights/model.pt"] = pickle.dumps(Harm(harm))


def custom(entries: Entries, harm: Path) -> None:
    entries["data/constants/custom_obj_0"] = pickle.dumps(Harm(harm))


CALL = "__import__('os').mkdir('harm')"
MODEL = "models/model.json"
ATTACKS = {
    "pickled weights": pickled("weights"),
    "pickled constants": pickled("constants"),
    "pickled example": sample,
    "weights of old": legacy,
    "custom object": custom,
    "a call of any function": in_json(MODEL, lambda m: nodes(m)[0].update(target="torch.hub.load")),
    "a call by attribute": in_json(MODEL, lambda m: nodes(m)[0].update(target="_operator.attrgetter")),
    "code as a name": in_json(MODEL, lambda m: nodes(m)[0].update(name=f"x={CALL}")),
    "code as a size": in_json(
        MODEL, lambda m: m["range_constraints"].update(s1={"expr_str": CALL, "min_val": 0, "max_val": 1})
    ),
    "code as a key": in_json(
        MODEL, lambda m: m["range_constraints"].update({CALL: {"min_val": 0, "max_val": 1}})
    ),
}


def repacked(source: Path, target: Path, change: Callable[[Entries], None]) -> Path:
    with zipfile.ZipFile(source) as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content)
    return target


@pytest.mark.parametrize("attack", ATTACKS)
def test_code_is_refused(attack: str, icl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    harm = tmp_path / "harm"
    file = repacked(icl.pt2, tmp_path / "model.pt2", lambda entries: ATTACKS[attack](entries, harm))
    reason = "cannot read" if attack == "pickled example" else "could run code"
    with pytest.raises(InputError, match=reason):
        longtail.load(file)
    assert not harm.exists()


def test_guards_are_not_run(icl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    change = in_json(MODEL, lambda m: m.update(guards_code=[f"{CALL} is None"]))
    file = repacked(icl.pt2, tmp_path / "model.pt2", lambda entries: change(entries, tmp_path))
    assert longtail.load(file).num_experts == 3
    assert not (tmp_path / "harm").exists()


def test_an_entry_twice_is_refused(icl: Any, tmp_path: Path) -> None:
    """Two readers of one archive might each take another of the two."""
    file = repacked(icl.pt2, tmp_path / "model.pt2", lambda entries: None)
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(f"archive/{MODEL}", b"{}")
    with pytest.raises(InputError, match="an entry twice"):
        longtail.load(file)


def test_what_is_exported_passes(icl: Any, tmp_path: Path) -> None:
    check_archive(icl.pt2.read_bytes())
    same = repacked(icl.pt2, tmp_path / "model.pt2", lambda entries: None)
    assert longtail.load(same).num_experts == 3


def test_other_archives_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "photos.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("photos/fox.png", b"")
    with pytest.raises(InputError, match=r"could run code: it holds 'fox\.png'"):
        longtail.load(file)
