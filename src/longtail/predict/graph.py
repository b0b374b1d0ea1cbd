"""The graph in a .pt2 file: operators out of one list, one after the other."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from longtail.predict.operators import ON_LENGTHS, OPERATORS
from longtail.records import Record

DTYPES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16,
    7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
LAYOUTS = {7: torch.strided}
MEMORY_FORMATS = {
    1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format,
}  # fmt: skip
PLAIN = {"as_int", "as_float", "as_bool", "as_string", "as_ints", "as_floats", "as_bools"}
PREFIX = "torch.ops."
Count = Annotated[int, Field(ge=0, lt=2**40)]


class UnsafeFileError(ValueError):
    """A file holds something that `longtail export` does not write."""


class Size(Record):
    """A length that is fixed."""

    as_int: Count


class TensorMeta(Record):
    """Shape and kind of a stored tensor."""

    dtype: int
    sizes: list[Size]
    strides: list[Size]
    storage_offset: Size

    @property
    def shape(self) -> list[int]:
        return [size.as_int for size in self.sizes]


class ImageMeta(Record):
    """Shape and kind of the images; the first length is any."""

    dtype: int
    sizes: Annotated[list[dict[str, Any]], Field(min_length=4, max_length=4)]

    @property
    def shape(self) -> list[Any]:
        return [size.get("as_int") for size in self.sizes]


class Argument(Record):
    """An argument of an operator: its name, and its value under the name of its kind."""

    name: str
    arg: Annotated[dict[str, Any], Field(min_length=1, max_length=1)]


Value = Annotated[dict[str, Any], Field(min_length=1, max_length=1)]


class Node(Record):
    """A call of an operator."""

    target: str
    inputs: list[Argument]
    outputs: list[Value]


class Nodes(Record):
    """The calls in order."""

    inputs: list[Value]
    outputs: list[Value]
    nodes: list[Node]
    tensor_values: dict[str, Any]


class Signature(Record):
    """What goes in besides images, and what comes out."""

    input_specs: list[Value]
    output_specs: list[Value]


class GraphModule(Record):
    """The calls and what they are given."""

    graph: Nodes
    signature: Signature


class Version(Record):
    """Of the form of the file."""

    major: Literal[8]


class Program(Record):
    """models/model.json, as far as it is looked at."""

    graph_module: GraphModule
    schema_version: Version


class Ref(NamedTuple):
    """A value by its name."""

    name: str


class Step(NamedTuple):
    """A call, its arguments, the names of what it makes, and of what is not needed after it."""

    call: Callable[..., Any]
    arguments: list[tuple[str, Any]]
    made: list[str | list[str]]
    done: list[str]


class Graph:
    """The calls of a .pt2 file, on a CPU.

    Args:
        module: the calls.
        tensors: weights and buffers by name.

    Attributes:
        image_shape: what images have to be: [None, 3, S, S].

    Raises:
        UnsafeFileError: it calls something that is not listed.
        ValueError: its parts do not fit together.
    """

    def __init__(self, module: GraphModule, tensors: Mapping[str, Tensor]) -> None:
        graph, self.known = module.graph, dict[str, Tensor]()
        images = []
        for spec in module.signature.input_specs:
            ((kind, given),) = spec.items()
            if kind == "user_input":
                images.append(_name(given["arg"]["as_tensor"]))
            elif kind in ("parameter", "buffer", "tensor_constant"):
                self.known[_name(given["arg"])] = tensors[given[f"{kind}_name"]]
            else:
                raise UnsafeFileError(f"it takes a {kind[:40]!r}")
        if any(list(spec) != ["user_output"] for spec in module.signature.output_specs):
            raise UnsafeFileError("it gives something else than tensors")
        if len(images) != 1 or len(graph.outputs) != 2:
            raise ValueError("it does not take images and give the probabilities of all experts and of each")
        (self.image,) = images
        self.outputs = [_name(one["as_tensor"]) for one in graph.outputs]
        about = ImageMeta.model_validate(graph.tensor_values[self.image])
        if DTYPES.get(about.dtype) is not torch.uint8:
            raise ValueError("its images are no bytes")
        self.image_shape = about.shape
        self.steps = _steps(graph.nodes, {self.image, *self.known}, set(self.outputs))

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of all experts together and of each."""
        values: dict[str, Any] = {**self.known, self.image: image}
        for step in self.steps:
            given = {name: _filled(value, values) for name, value in step.arguments}
            _keep(values, step.made, step.call(**given))
            for name in step.done:
                del values[name]
        together, each = (values[name] for name in self.outputs)
        return together, each


def _steps(nodes: list[Node], known: set[str], kept: set[str]) -> list[Step]:
    """The calls, each with the names that can be let go of after it."""
    steps: list[Step] = []
    last: dict[str, int] = {}
    for place, node in enumerate(nodes):
        arguments = [(one.name, _value(one.arg)) for one in node.inputs]
        used = {ref.name for _, value in arguments for ref in _refs(value)}
        if not used <= known:
            raise ValueError(f"it uses {min(used - known)[:60]!r} before it is there")
        made = [_made(one) for one in node.outputs]
        names = {name for one in made for name in ([one] if isinstance(one, str) else one)}
        if names & known or sum(1 if isinstance(one, str) else len(one) for one in made) > len(names):
            raise ValueError("it gives one name to two values")
        known = known | names
        last |= dict.fromkeys(used | names, place)
        steps.append(Step(_call(node.target), arguments, made, []))
    for name, place in last.items():
        if name not in kept:
            steps[place].done.append(name)
    return steps


def _call(target: str) -> Callable[..., Any]:
    """What a node calls."""
    if target in ON_LENGTHS:
        return ON_LENGTHS[target]
    name = target.removeprefix(PREFIX)
    if name not in OPERATORS or name == target:
        raise UnsafeFileError(
            f"it calls {target[:80]!r}, which is not among the operators of exported networks"
        )
    _, name, overload = name.split(".")
    called: Callable[..., Any] = getattr(getattr(torch.ops.aten, name), overload)
    return called


def _value(arg: Mapping[str, Any]) -> Any:
    """An argument; what is known by name alone stands as `Ref`."""
    ((kind, given),) = arg.items()
    if kind not in VALUES:
        raise UnsafeFileError(f"it gives an operator {kind[:40]!r}")
    return VALUES[kind](given)


def _device(given: Mapping[str, Any]) -> torch.device:
    if given["type"] != "cpu":
        raise UnsafeFileError("it needs another device than a CPU")
    return torch.device("cpu")


def _ref(given: Mapping[str, Any]) -> Ref:
    return Ref(_name(given))


def _length(given: Mapping[str, Any]) -> Any:
    return int(given["as_int"]) if "as_int" in given else Ref(str(given["as_name"]))


def _made(output: Mapping[str, Any]) -> str | list[str]:
    ((kind, given),) = output.items()
    if kind == "as_tensor":
        return _name(given)
    if kind == "as_tensors":
        return [_name(one) for one in given]
    if kind == "as_sym_int":
        return str(given["as_name"])
    raise UnsafeFileError(f"an operator gives {kind[:40]!r}")


def _name(given: Mapping[str, Any]) -> str:
    return str(given["name"])


def _refs(value: Any) -> list[Ref]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, Ref)]


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, Ref):
        return values[value.name]
    if isinstance(value, list):
        return [values[one.name] if isinstance(one, Ref) else one for one in value]
    return value


def _keep(values: dict[str, Any], names: list[str | list[str]], made: Any) -> None:
    """Give what a call made its names."""
    if not names:
        return
    for name, value in zip(names, [made] if len(names) == 1 else made, strict=True):
        values |= {name: value} if isinstance(name, str) else dict(zip(name, value, strict=True))


VALUES: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(PLAIN, lambda given: given),
    "as_none": lambda given: None,
    "as_tensor": _ref,
    "as_tensors": lambda given: [_ref(one) for one in given],
    "as_optional_tensors": lambda given: [_value(one) for one in given],
    "as_sym_int": _length,
    "as_sym_ints": lambda given: [_length(one) for one in given],
    "as_device": _device,
    "as_scalar_type": DTYPES.__getitem__,
    "as_layout": LAYOUTS.__getitem__,
    "as_memory_format": MEMORY_FORMATS.__getitem__,
}
"""Kind of an argument -> what it stands for."""
