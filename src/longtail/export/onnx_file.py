"""An exported graph as an ONNX file."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch

from longtail.predict.onnx_file import sealed
from longtail.types import InputError

OPSET = 18
LARGEST = 2**31 - 2**20  # bytes; one ONNX file holds no more
OUTPUTS = ["probabilities", "expert_probabilities"]


def require_onnx() -> None:
    """Refuse where the packages that write and run ONNX are missing.

    Raises:
        InputError: with how to install them.
    """
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"ONNX needs {', '.join(missing)}, which is not installed; pip install {' '.join(missing)}"
        )


def onnx_bytes(program: torch.export.ExportedProgram, facts: Mapping[str, Any]) -> bytes:
    """The content of an ONNX file.

    Args:
        program: what `trace` gave.
        facts: what `describe` gave; each becomes a metadata property whose value is JSON.

    Raises:
        InputError: the packages are missing, or the model is too large for an ONNX file or has operators that ONNX
            lacks.
    """
    require_onnx()
    size = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    if size > LARGEST:
        raise InputError(f"the model takes {size / 2**30:.1f} GiB and ONNX holds 2; use --format pt2")
    try:
        made = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=OUTPUTS,
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"ONNX cannot hold this network ({reason[:160]}); use --format pt2") from error
    model: Any = made.model_proto  # type: ignore[union-attr]
    _clean(model.graph)
    for function in model.functions:
        _clean(function)
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    return sealed(bytes(model.SerializeToString()))


def _clean(graph: Any) -> None:
    """Leave out what the exporter tells of the source code, with its paths; call the first dimension batch."""
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.metadata_props[:]
    del graph.value_info[:]
    for value in (*graph.input, *graph.output, *getattr(graph, "initializer", ())):
        del getattr(value, "metadata_props", [])[:]
    for value in (*getattr(graph, "input", ()), *getattr(graph, "output", ())):
        for dimension in value.type.tensor_type.shape.dim if hasattr(value, "type") else ():
            if dimension.dim_param:
                dimension.dim_param = "batch"
