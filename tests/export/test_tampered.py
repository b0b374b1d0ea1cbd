"""What stored classifiers say of themselves is checked: each tampered form is one line, never another exception."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors
import safetensors.torch
import torch
from onnx import numpy_helper

import longtail
from longtail.cli.main import main
from longtail.export import export
from longtail.predict.description import FileDescription, WeightsDescription
from longtail.predict.stored import FolderDescription, read_pretrained
from longtail.predict.weights import read_tensors, rebuild
from longtail.records import parse_record
from longtail.runs import layout
from longtail.types import InputError

Facts = dict[str, Any]
OPTIONAL = {"bits", "stage", "temperature_from"}
WRONG: dict[str, Any] = {
    "null": None, "a flag": True, "a text": "many", "an empty list": [], "an object": {}, "negative": -1, "zero": 0,
    "not a number": float("nan"), "infinite": float("inf"), "huge": 10**400, "a broken text": "\ud800",
}  # fmt: skip


def tampered(facts: Facts) -> Iterator[tuple[str, str]]:
    """Descriptions of which each differs from a sound one in one respect."""
    for key in facts.keys() - OPTIONAL:
        left = copy.deepcopy(facts)
        del left[key]
        if key not in ("fit", "flips"):  # descriptions of before have none
            yield f"{key} is missing", json.dumps(left)
        for what, value in WRONG.items():
            sound = {
                ("epoch", "zero"),
                ("recipe", "an object"),
                ("flips", "a flag"),
            }  # a recipe is checked where it is read
            if (key, what) in sound or (what == "a text" and isinstance(facts[key], str)):
                continue
            yield f"{key} is {what}", json.dumps(facts | {key: value})
        deep = f'"{key}": {"[" * 10**4}{"]" * 10**4}'
        yield f"{key} is deep", json.dumps(facts | {key: 0}).replace(f'"{key}": 0', deep)
    for key in ("class_counts", "prior", "mean", "std"):
        if key in facts:
            for what, value in (("short", facts[key][:-1]), ("long", [*facts[key], facts[key][0]])):
                yield f"{key} is {what}", json.dumps(facts | {key: value})
    for key, value in (
        ("std", [0.3, 0.0, 0.3]), ("std", [0.3, -0.3, 0.3]), ("mean", [0.5, 2.0, 0.5]), ("mean", ["a", "b", "c"]),
        ("image_size", 10**6), ("temperature", -2.0), ("classes", ["0"] * 10), ("classes", ["a", 1]),
        ("classes", [""] * 2), ("epoch", 2.5),
    ):  # fmt: skip
        yield f"{key} is {value}", json.dumps(facts | {key: value})
    for key, value in (
        ("prior", [0.5] * 10), ("class_counts", [-1] * 10), ("num_experts", 65), ("epoch", 10**6),
    ):  # fmt: skip
        if key in facts and "epochs" in facts:
            yield f"{key} is {value}", json.dumps(facts | {key: value})
    for text in ("", "null", "[]", "{", "1", '{"a": 1, "a": 2}', "\x00", "{" * 10**4):
        yield f"all is {text[:9]!r}", text


def said_by(file: Path) -> Facts:
    with safetensors.safe_open(file, "pt") as opened:
        found: Facts = json.loads(opened.metadata()["longtail"])
        return found


@pytest.fixture(scope="module")
def folder(icl: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported folder; not to be changed."""
    return export(icl.run, "folder", tmp_path_factory.mktemp("folder") / "model").path


def test_every_description_is_checked(icl: Any, folder: Path) -> None:
    """The forms alone, without a network: of weights, of files, and of a folder."""
    forms = {
        WeightsDescription: said_by(icl.run / layout.WEIGHTS),
        FileDescription: longtail.load(icl.pt2).facts,
        FolderDescription: json.loads((folder / layout.EXPORTED).read_text()),
    }
    for form, found in forms.items():
        facts = {key: value for key, value in found.items() if key in form.model_fields}
        parse_record(json.dumps(facts), form, "it", "do something")
        kept = []
        for what, text in tampered(facts):
            try:
                parse_record(text, form, "it", "do something")
            except InputError as error:
                said = str(error)
            else:
                said = "nothing"
            if "\n" in said or len(said) > 500 or not said.endswith("; do something"):
                kept.append(what)
        assert kept == [], form


def one_line(read: Callable[[], object]) -> str:
    with pytest.raises(InputError) as refused:
        read()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def with_facts(source: Path, target: Path, change: Callable[[Any], None]) -> Path:
    """An ONNX file that another program changed and wrote again, without the SHA-256 at its end."""
    model = onnx.load(source)
    del model.metadata_props[-1]
    change(model)
    target.write_bytes(model.SerializeToString())
    return target


def saying(**facts: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for entry in model.metadata_props:
            if entry.key in facts:
                entry.value = json.dumps(facts[entry.key])

    return change


def named(count: int) -> Callable[[Any], None]:
    """Another number of classes, in all that is said of them."""
    names = [*map(str, range(count))]
    return saying(classes=names, prior=[1 / count] * count, class_counts=[5] * count)


def holding(value: float) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        weights = next(one for one in model.graph.initializer if one.name.endswith("weight"))
        array = numpy_helper.to_array(weights).copy()
        array.flat[0] = value
        weights.CopyFrom(numpy_helper.from_array(array, weights.name))

    return change


def elsewhere(place: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        weights = model.graph.initializer[0]
        weights.ClearField("raw_data")
        weights.data_location = onnx.TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=place)

    return change


def sparse(place: str, *, outside: bool) -> Callable[[Any], None]:
    """Sparse weights, as a graph or a node has them, that are not finite or lie in another file."""

    def change(model: Any) -> None:
        values = numpy_helper.from_array(np.full(2, 1 if outside else np.inf, np.float32), "sparse")
        where = numpy_helper.from_array(np.arange(2), "places")
        if outside:
            where.ClearField("raw_data")
            where.data_location = onnx.TensorProto.EXTERNAL
            where.external_data.add(key="location", value="secret.bin")
        one = onnx.SparseTensorProto(values=values, indices=where, dims=[4])
        if place == "initializer":
            model.graph.sparse_initializer.append(one)
        elif place == "default":  # of a function's attribute
            own = model.functions.add(name="F").attribute_proto.add(name="x", type="SPARSE_TENSOR")
            own.sparse_tensor.CopyFrom(one)
        else:
            node = model.graph.node.add(op_type="Constant", output=["unused"])
            attribute = node.attribute.add(name="sparse_value", type="SPARSE_TENSOR")
            if place == "value":
                attribute.sparse_tensor.CopyFrom(one)
            else:
                attribute.sparse_tensors.append(one)

    return change


ONNX: dict[str, tuple[Callable[[Any], None], str]] = {
    "nine classes": (named(9), "names 9 classes"),
    "eleven classes": (named(11), "11 classes"),
    "two experts": (saying(num_experts=2), "2 experts"),
    "another size": (saying(image_size=16), "16 x 16"),
    "no temperature": (saying(temperature=0), "temperature"),
    "twice": (lambda model: model.metadata_props.add(key="classes", value="[]"), "twice"),
    "deep": (saying(classes=[[[[]]]] * 2), "damaged"),
    "not a number": (holding(float("nan")), "not finite"),
    "infinite": (holding(float("inf")), "not finite"),
    "in another folder": (elsewhere("../secret"), "another file"),
    "at the root": (elsewhere("/etc/passwd"), "another file"),
    **{
        f"sparse {place}, {'outside' if outside else 'infinite'}": (
            sparse(place, outside=outside), "another file" if outside else "not finite",
        )
        for place in ("initializer", "value", "values", "default") for outside in (False, True)
    },
    "for training": (lambda model: model.training_info.add(), "for training"),
    "foreign operators": (lambda model: setattr(model.opset_import.add(), "domain", "com.microsoft"), "operators of"),
    "no images": (lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", 1), ""),
    "no output": (lambda model: model.graph.output.pop(), ""),
}  # fmt: skip


def test_onnx_files_are_read_in_one_format(icl: Any, tmp_path: Path) -> None:
    """Where "ORTM" stands at the fifth byte, onnxruntime would read a format that nobody has checked."""
    file = tmp_path / "model.onnx"
    plain = with_facts(icl.onnx, tmp_path / "plain.onnx", lambda model: None).read_bytes()
    file.write_bytes(b"\x12\x06  ORTM" + plain)  # the name of a producer, in ONNX
    assert longtail.load(file).classes == longtail.load(icl.onnx).classes


@pytest.mark.parametrize("name", ONNX)
def test_onnx_files_are_held_to_what_they_say(name: str, icl: Any, tmp_path: Path) -> None:
    change, expected = ONNX[name]
    file = with_facts(icl.onnx, tmp_path / "model.onnx", change)
    assert expected in one_line(lambda: longtail.load(file))


def with_description(
    source: Path, target: Path, text: str | None, change: Callable[[Any], None] = lambda _: None
) -> None:
    tensors = safetensors.torch.load_file(source)
    change(tensors)
    target.write_bytes(safetensors.torch.save(tensors, None if text is None else {"longtail": text}))


def filled(value: float) -> Callable[[Any], None]:
    def change(tensors: Any) -> None:
        next(one for one in tensors.values() if one.is_floating_point()).view(-1)[0] = value

    return change


def of_kind(kind: torch.dtype) -> Callable[[Any], None]:
    return lambda tensors: tensors.update({name: value.to(kind) for name, value in tensors.items()})


def test_weights_are_held_to_what_they_say(icl: Any, tmp_path: Path) -> None:
    run = Path(
        shutil.copytree(icl.run, tmp_path / "run", ignore=shutil.ignore_patterns("export", "plots", "state"))
    )
    source, target = icl.run / layout.WEIGHTS, run / layout.WEIGHTS
    facts = said_by(source)

    def refused(text: str | None, change: Callable[[Any], None] = lambda _: None) -> str:
        with_description(source, target, text, change)
        return one_line(lambda: longtail.load(run))

    assert "what network" in refused(None)
    for bank in ("other", "a.b", "keys", "\x00"):
        assert "do not fit" in refused(json.dumps(facts | {"bank": bank}))
    for key, value in (
        ("name", 1), ("name", "resnet50"), ("num_experts", 2), ("num_experts", 10**9), ("head", "x"),
    ):  # fmt: skip
        assert "weights" in refused(json.dumps(facts | {"model": facts["model"] | {key: value}}))
    assert "do not belong together" in refused(
        json.dumps(facts | {"model": facts["model"] | {"cosine_scale": 1.0}})
    )
    assert "name different classes" in refused(json.dumps(facts | {"classes": facts["classes"][::-1]}))
    assert "name different classes" in refused(json.dumps(facts | {"classes": ["x", *facts["classes"][1:]]}))
    fewer = facts | {"classes": facts["classes"][1:]}
    assert "name different classes" in refused(json.dumps(fewer))
    assert "do not fit" in one_line(lambda: rebuild(fewer, safetensors.torch.load_file(source)))
    assert "do not fit" in refused(json.dumps(facts), lambda tensors: tensors.popitem())
    for kind, expected in ((torch.float16, "float16"), (torch.int32, "do not fit")):
        assert expected in refused(json.dumps(facts), of_kind(kind))
    for value in (float("nan"), float("inf")):
        assert "not finite" in refused(json.dumps(facts), filled(value))
    with_description(source, target, json.dumps(facts))
    assert longtail.load(run).num_experts == 3


def test_numbers_that_are_none_end_the_command(
    icl: Any, paths: list[Path], tmp_path: Path, capsys: Any
) -> None:
    file = with_facts(icl.onnx, tmp_path / "model.onnx", holding(float("nan")))
    assert main(["predict", str(file), str(paths[0])]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "not finite" in said.err


def test_the_files_of_a_folder_belong_together(folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "model"))
    config = json.loads((copied / layout.EXPORTED).read_text())
    for key, value in (
        ("model_type", "bert"), ("classes", config["classes"][::-1]), ("image_size", 16), ("temperature", 2.0),
        ("num_experts", 2), ("epoch", 1), ("method", "cross_entropy"), ("model", "resnet32"), ("mean", [0.5] * 3),
        ("status", {}), ("recipe", {}), ("recipe", {"data": {}}),
        ("id2label", config["id2label"] | {"0": "renamed"}), ("id2label", {}), ("label2id", {"0": 1, "1": 0}),
        ("recipe", config["recipe"] | {"method": {"name": "cross_entropy"}}),
    ):  # fmt: skip
        (copied / layout.EXPORTED).write_text(json.dumps(config | {key: value}))
        assert layout.EXPORTED in one_line(lambda: longtail.load(copied)), key
    (copied / layout.EXPORTED).write_text("[" * 10**5)
    assert layout.EXPORTED in one_line(lambda: longtail.load(copied))
    (copied / layout.EXPORTED).write_text(json.dumps(config))
    with_description(
        folder / layout.EXPORTED_WEIGHTS,
        copied / layout.EXPORTED_WEIGHTS,
        json.dumps(said_by(folder / layout.EXPORTED_WEIGHTS)),
        filled(np.nan),
    )
    assert "not finite" in one_line(lambda: read_pretrained(copied))
    with_description(
        folder / layout.EXPORTED_WEIGHTS,
        copied / layout.EXPORTED_WEIGHTS,
        json.dumps(said_by(folder / layout.EXPORTED_WEIGHTS)),
    )
    assert (
        read_tensors(copied / layout.EXPORTED_WEIGHTS, "export it again")[0]
        == read_pretrained(copied).description
    )
