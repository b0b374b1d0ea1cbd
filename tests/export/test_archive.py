"""A .pt2 file is read as data: a crafted one is refused in one line, and nothing is written or run."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import longtail
from longtail.cli.main import main
from longtail.predict.operators import OPERATORS
from longtail.types import InputError

pytestmark = pytest.mark.slow

Entries = dict[str, bytes]
MODEL, WEIGHTS, FACTS = "models/model.json", "data/weights/model_weights_config.json", "extra/longtail.json"
CALL = "__import__('os').mkdir('harm')"


class Harm:
    """Unpickling it makes a folder."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def weight(**changes: Any) -> Callable[[Any], None]:
    """A change of where the first weights lie."""

    def change(config: Any) -> None:
        entry = next(iter(config["config"].values()))
        entry["tensor_meta"] |= {key: value for key, value in changes.items() if key in entry["tensor_meta"]}
        entry |= {key: value for key, value in changes.items() if key in entry}

    return change


HARM = pickle.dumps(Harm())


def in_json(name: str, change: Callable[[Any], None]) -> Callable[[Entries], None]:
    """A change of what a JSON entry holds."""

    def apply(entries: Entries) -> None:
        content = json.loads(entries[name])
        change(content)
        entries[name] = json.dumps(content).encode()

    return apply


def graph(model: Any) -> Any:
    return model["graph_module"]["graph"]


def first(model: Any) -> Any:
    return graph(model)["nodes"][0]


def call(target: str, made: str, **arguments: Any) -> dict[str, Any]:
    """A node that calls an operator and names its result."""
    given = [
        {"name": name, "arg": value, "kind": 2 if name == "dtype" else 1} for name, value in arguments.items()
    ]
    return {
        "target": target, "inputs": given, "outputs": [{"as_tensor": {"name": made}}], "metadata": {},
        "is_hop_single_tensor_return": None, "name": made,
    }  # fmt: skip


def writing(fill: bool = True) -> Callable[[Entries], None]:
    """A file in the current folder, filled with a letter, beside a prediction like any other."""
    shape = {
        "dtype": 1, "sizes": [{"as_int": 4}], "requires_grad": False, "device": {"type": "cpu", "index": None},
        "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7,
    }  # fmt: skip

    def change(model: Any) -> None:
        nodes = [
            call(
                "torch.ops.aten.from_file.default", "x", filename={"as_string": "harm"}, shared={"as_bool": True},
                size={"as_int": 4}, dtype={"as_scalar_type": 1},
            )
        ]  # fmt: skip
        if fill:
            nodes.append(
                call(
                    "torch.ops.aten.fill_.Scalar",
                    "y",
                    self={"as_tensor": {"name": "x"}},
                    value={"as_int": 65},
                )
            )
        graph(model)["nodes"][:0] = nodes
        model["verifiers"] = ["TRAINING"]  # torch asks for nothing then
        graph(model)["tensor_values"] |= {"x": shape, "y": shape}

    return in_json(MODEL, change)


def calls(target: str) -> Callable[[Entries], None]:
    return in_json(MODEL, lambda model: first(model).update(target=target))


def pickled(part: str) -> Callable[[Entries], None]:
    def apply(entries: Entries) -> None:
        name = f"data/{part}/model_{part}_config.json"
        config = json.loads(entries[name])
        config["config"]["more"] = {
            "path_name": "weight_0", "is_param": False, "use_pickle": True, "tensor_meta": None
        }  # fmt: skip
        entries[name] = json.dumps(config).encode()
        entries[f"data/{part}/{'weight' if part == 'weights' else 'tensor'}_0"] = HARM

    return apply


def with_entry(name: str, content: bytes = HARM) -> Callable[[Entries], None]:
    return lambda entries: entries.update({name: content})


def given(**value: Any) -> Callable[[Entries], None]:
    return in_json(MODEL, lambda model: first(model)["inputs"][0].update(arg=value))


def spec(kind: str, value: Any) -> Callable[[Entries], None]:
    return in_json(
        MODEL, lambda model: model["graph_module"]["signature"]["input_specs"].append({kind: value})
    )


ATTACKS = {
    "a file is written": writing(),
    "a file is made": writing(fill=False),
    "a file is read": calls("torch.ops.aten.from_file.default"),
    "something is changed in place": calls("torch.ops.aten.relu_.default"),
    "something is changed by name": calls("torch.ops.aten.add.out"),
    "an operator of another namespace": calls("torch.ops.inductor.resize_storage_bytes_.default"),
    "a network within": calls("torch.ops.higher_order.wrap_with_set_grad_enabled"),
    "a loop within": calls("torch.ops.higher_order.while_loop"),
    "a call of any function": calls("torch.hub.load"),
    "a call by attribute": calls("_operator.attrgetter"),
    "a call of an extension": calls("#any:thing"),
    "an attribute of an operator": calls("torch.ops.aten.relu.default.__call__"),
    "an operator without its namespace": calls("aten.relu.default"),
    "a graph as an argument": given(as_graph={"name": "a", "graph": {}}),
    "an operator as an argument": given(as_operator="torch.hub.load"),
    "an object as an argument": given(as_custom_obj={"name": "a", "class_fqn": "b"}),
    "another device": given(as_device={"type": "cuda", "index": 0}),
    "an object as an input": spec("custom_obj", {"arg": {"name": "a", "class_fqn": "b"}, "custom_obj_name": "a"}),
    "a token as an input": spec("token", {"arg": {"name": "a"}}),
    "code as a name": in_json(MODEL, lambda model: first(model).update(name=f"x={CALL}")),
    "code as a size": in_json(
        MODEL, lambda model: model["range_constraints"].update(s1={"expr_str": CALL, "min_val": 0, "max_val": 1})
    ),
    "an expression that can be read in many ways": in_json(
        MODEL,
        lambda model: model["range_constraints"].update(s1={"expr_str": "1" * 80 + "x", "min_val": 0, "max_val": 1}),
    ),
    "code as a key": in_json(
        MODEL, lambda model: model["range_constraints"].update({CALL: {"min_val": 0, "max_val": 1}})
    ),
    "pickled weights": pickled("weights"),
    "pickled constants": pickled("constants"),
    "a pickled example": with_entry("data/sample_inputs/model.pt"),
    "weights of old": with_entry("data/weights/model.pt"),
    "a custom object": with_entry("data/constants/custom_obj_0"),
    "an opaque object": with_entry("data/constants/opaque_obj_0"),
    "compiled code": with_entry("data/aotinductor/model/a.so"),
    "a second network": with_entry("models/other.json"),
    "a way out of the archive": with_entry("../harm"),
    "a way to the root": with_entry("/harm"),
    "another description": with_entry("extra/other.json"),
}  # fmt: skip

DAMAGE = {
    "no graph": lambda entries: entries.pop(MODEL),
    "no description": lambda entries: entries.pop(FACTS),
    "no list of weights": lambda entries: entries.pop(WEIGHTS),
    "deep JSON": with_entry(MODEL, b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "another version": in_json(MODEL, lambda model: model["schema_version"].update(major=9)),
    "another byte order": with_entry("byteorder", b"big"),
    "few numbers": with_entry("data/weights/weight_0", b"\0" * 8),
    "numbers that are none": with_entry("data/weights/weight_0", np.full(432, np.nan, np.float32).tobytes()),
    "weights without a file": in_json(WEIGHTS, weight(path_name="weight_99")),
    "weights in another folder": in_json(WEIGHTS, weight(path_name="../../byteorder")),
    "weights with an odd kind": in_json(WEIGHTS, weight(dtype=29)),
    "weights that begin late": in_json(
        WEIGHTS, weight(storage_offset={"as_int": 2**39})
    ),
    "an unknown value": given(as_tensor={"name": "nothing"}),
    "a wrong value": given(as_ints="a"),
    "one output": in_json(MODEL, lambda model: graph(model)["outputs"].pop()),
    "no call": in_json(MODEL, lambda model: graph(model)["nodes"].clear()),
    "a call twice": in_json(MODEL, lambda model: graph(model)["nodes"].append(graph(model)["nodes"][1])),
    "images of another kind": in_json(MODEL, lambda model: graph(model)["tensor_values"]["image"].update(dtype=7)),
}  # fmt: skip


def repacked(source: Path, target: Path, change: Callable[[Entries], Any], **more: Any) -> Path:
    with zipfile.ZipFile(source) as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(target, "w", **more) as archive:
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content)
    return target


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def refused(file: Path, image: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `predict` says; it ends with status 2, says one line, and leaves nothing behind."""
    assert main(["predict", str(file), str(image), "-o", "predictions.csv"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert list(here.iterdir()) == []
    return said.err


@pytest.mark.parametrize("attack", ATTACKS)
def test_code_is_refused(
    attack: str, icl: Any, paths: list[Path], here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = repacked(icl.pt2, tmp_path / "model.pt2", ATTACKS[attack])
    assert "could run code: " in refused(file, paths[0], here, capsys)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_refused(
    damage: str, icl: Any, paths: list[Path], here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = repacked(icl.pt2, tmp_path / "model.pt2", DAMAGE[damage])
    assert str(file) in refused(file, paths[0], here, capsys)


def test_the_attack_is_one(icl: Any, here: Path, tmp_path: Path) -> None:
    """torch itself writes the file of the first attack, and predicts as if nothing were."""
    file = repacked(icl.pt2, tmp_path / "model.pt2", writing())
    images = torch.zeros((1, 3, 8, 8), dtype=torch.uint8)
    together, _ = torch.export.load(file).module()(images)
    torch.testing.assert_close(together, longtail.load(icl.pt2).compute(images)[0])
    assert (here / "harm").read_bytes() == b"AAAA"


def test_an_operator_that_is_not_listed_is_named(icl: Any, tmp_path: Path) -> None:
    file = repacked(icl.pt2, tmp_path / "model.pt2", writing())
    with pytest.raises(
        InputError, match=r"calls 'torch\.ops\.aten\.from_file\.default'.*export the run again.*ONNX"
    ):
        longtail.load(file)


def test_no_listed_operator_changes_its_arguments() -> None:
    words = ("file", "out", "rand", "dropout", "save", "load", "print", "_cuda", "resize", "set_")
    for name in OPERATORS:
        space, operator, overload = name.split(".")
        schema = getattr(getattr(getattr(torch.ops, space), operator), overload)._schema
        assert not schema.is_mutable, name
        assert not any(word in name for word in words), name
        assert space == "aten"


def test_guards_are_not_run(icl: Any, here: Path, tmp_path: Path) -> None:
    change = in_json(MODEL, lambda model: model.update(guards_code=[f"{CALL} is None"]))
    assert longtail.load(repacked(icl.pt2, tmp_path / "model.pt2", change)).num_experts == 3
    assert list(here.iterdir()) == []


def test_an_entry_twice_is_refused(icl: Any, tmp_path: Path) -> None:
    """Two readers of one archive might each take another of the two."""
    file = repacked(icl.pt2, tmp_path / "model.pt2", lambda entries: None)
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(f"archive/{MODEL}", b"{}")
    with pytest.raises(InputError, match="an entry twice"):
        longtail.load(file)


def test_an_archive_that_grows_is_refused(icl: Any, tmp_path: Path) -> None:
    """A few bytes could become gigabytes: by compression, or where many entries share their bytes."""
    small = repacked(icl.pt2, tmp_path / "small.pt2", lambda entries: None, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="an entry is compressed"):
        longtail.load(small)
    buffer = io.BytesIO(repacked(icl.pt2, tmp_path / "model.pt2", lambda entries: None).read_bytes())
    with zipfile.ZipFile(buffer, "a") as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        for number in range(1000, 1020):
            again = zipfile.ZipInfo(f"archive/data/weights/weight_{number}")
            again.file_size = again.compress_size = largest.file_size
            again.header_offset, again.CRC = largest.header_offset, largest.CRC
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
            archive._didModify = True  # type: ignore[attr-defined]
    over = tmp_path / "over.pt2"
    over.write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="lie over each other"):
        longtail.load(over)


def test_what_is_exported_passes(icl: Any, paths: list[Path], tmp_path: Path) -> None:
    same = repacked(icl.pt2, tmp_path / "model.pt2", lambda entries: None)
    np.testing.assert_array_equal(
        longtail.load(same).predict_proba(paths), longtail.load(icl.pt2).predict_proba(paths)
    )


def test_torch_reads_what_is_exported(icl: Any) -> None:
    images = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    for a, b in zip(
        torch.export.load(icl.pt2).module()(images), longtail.load(icl.pt2).compute(images), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_other_archives_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "photos.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("photos/fox.png", b"")
    with pytest.raises(InputError, match=r"could run code: it holds 'fox\.png'"):
        longtail.load(file)
