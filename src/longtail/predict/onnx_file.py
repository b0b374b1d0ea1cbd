"""An ONNX file, looked into before onnxruntime sees it."""

import hashlib
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from longtail.predict.description import FileDescription
from longtail.predict.graph import UnsafeFileError
from longtail.records import parse_json
from longtail.types import InputError

AGAIN = "export the run again"
OUTPUTS = ["probabilities", "expert_probabilities"]


_SUM = 66  # characters of a SHA-256 as JSON, which all properties are


class OnnxFile:
    """The network in an ONNX file.

    Attributes:
        facts: what the file says of itself, not checked yet.
        image_shape: what images have to be: [None, 3, S, S].

    Raises:
        InputError: a package is missing.
        UnsafeFileError: it names another file.
        ValueError: it is no network of ours.
        Exception: whatever onnx and onnxruntime raise of a damaged file.
    """

    def __init__(self, path: Path) -> None:
        missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
        if missing:
            raise InputError(
                f"{path} needs {' and '.join(missing)}, not installed here; pip install {' '.join(missing)}, "
                "or export with --format pt2"
            )
        import onnx
        import onnxruntime

        content = path.read_bytes()
        _check_seal(content)
        model = onnx.load_model_from_string(content)
        _check(model)
        about = {entry.key: entry.value for entry in model.metadata_props}
        if len(about) < len(model.metadata_props):
            raise ValueError("it describes itself twice")
        self.facts = {
            key: parse_json(about[key], f"{path}, {key},", AGAIN)
            for key in FileDescription.model_fields
            if key in about
        }
        del model
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Else the bytes "ORTM" at a certain place make it read the file in another format than the one checked here.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.log_severity_level = 4  # what it has to say is in the exception
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        (image,) = self.session.get_inputs()
        if (image.name, image.type) != ("image", "tensor(uint8)"):
            raise ValueError(f"it takes {image.name!r} of {image.type}, not images")
        self.image_shape: list[Any] = [length if isinstance(length, int) else None for length in image.shape]

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of all experts together and of each."""
        together, each = self.session.run(OUTPUTS, {"image": image.numpy()})
        return torch.from_numpy(together), torch.from_numpy(each)


def sealed(content: bytes) -> bytes:
    """An ONNX file with one more property at its end: the SHA-256 of all that stands before it.

    Messages of protocol buffers that follow each other are read as one, so the property is one like others.
    """
    return content + _seal(content)


def _seal(content: bytes) -> bytes:
    import onnx

    end = onnx.ModelProto()
    end.metadata_props.add(key="sha256", value=json.dumps(hashlib.sha256(content).hexdigest()))
    return bytes(end.SerializeToString())


def _check_seal(content: bytes) -> None:
    """Refuse a file whose seal does not fit; older ones, and those that other programs wrote again, end without."""
    length = len(_seal(b""))
    start, known = content[-length:], _seal(content[:-length])
    if start[:-_SUM] == known[:-_SUM] and start != known:
        raise ValueError("its content was changed since it was written: the SHA-256 at its end does not fit")


def _check(model: Any) -> None:
    """Refuse what leads out of the file, what runs elsewhere, and numbers that are none."""
    import onnx

    if model.training_info:
        raise UnsafeFileError("it holds what is for training")
    domains = {entry.domain for entry in model.opset_import} | {node.domain for node in _nodes(model)}
    if domains - {"", "ai.onnx"}:
        raise UnsafeFileError(f"it needs operators of {max(domains)[:60]!r}")
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise UnsafeFileError(f"its {tensor.name[:60]!r} lies in another file")
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype.kind not in "biufSU?OV" or (
            values.dtype.kind == "f" and not np.isfinite(values).all()
        ):
            raise ValueError(f"its weights {tensor.name[:60]!r} hold numbers that are not finite")


def _graphs(model: Any) -> Iterator[Any]:
    """The graph, functions, and graphs within their attributes."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for attribute in _attributes(graph):
            waiting += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _attributes(graph: Any) -> Iterator[Any]:
    """Those of the nodes, and a function's own with their defaults."""
    yield from getattr(graph, "attribute_proto", ())
    for node in graph.node:
        yield from node.attribute


def _nodes(model: Any) -> Iterator[Any]:
    return (node for graph in _graphs(model) for node in graph.node)


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor, of sparse ones the values and where they stand."""
    for graph in _graphs(model):
        yield from getattr(graph, "initializer", ())
        sparse = [*getattr(graph, "sparse_initializer", ())]
        for attribute in _attributes(graph):
            yield from ([attribute.t] if attribute.HasField("t") else [])
            yield from attribute.tensors
            sparse += [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
            sparse += attribute.sparse_tensors
        for one in sparse:
            yield from (one.values, one.indices)
