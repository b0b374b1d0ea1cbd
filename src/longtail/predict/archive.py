"""torch's own form of an exported file (.pt2), read only where nothing in it can run code.

`torch.export.load` unpickles where an archive asks for it, calls what a graph names, and evaluates expressions. What
`longtail export` writes needs none of it, so whatever else an archive holds is refused before torch sees it.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import torch

FACTS = "longtail.json"
ENTRY = re.compile(
    r"models/model\.json|data/(weights|constants)/(model_\1_config\.json|weight_\d+|tensor_\d+)"
    rf"|data/sample_inputs/model\.pt|extra/{re.escape(FACTS)}"
    r"|archive_(format|version)|byteorder|version|\.(data/(version|serialization_id)|format_version|storage_alignment)"
)
PLAIN = re.compile(r"[\w.]*")
OPERATOR = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|torch\.ops\.higher_order\.wrap_with_(autocast|set_grad_enabled)"
    r"|_operator\.(getitem|add|sub|mul|floordiv)"
)
EXPRESSION = re.compile(r"((Mul|Add|Integer|Symbol|positive|integer|True)\b|'s\d+'|-?\d+|[(),= ])*")
FREE = {"in_spec", "out_spec", "torch_version", "guards_code"}
"""Strings that torch reads as JSON, only compares, or is told not to look at."""


class UnsafeArchiveError(ValueError):
    """The archive holds something that `longtail export` does not write."""


def read_archive(content: bytes) -> tuple[str, "torch.nn.Module"]:
    """The description and the graph in an archive.

    Args:
        content: the file.

    Raises:
        UnsafeArchiveError: see above.
        Exception: whatever zipfile, json or torch raise of a damaged file.
    """
    check_archive(content)
    facts = {FACTS: ""}
    program = torch.export.load(io.BytesIO(content), extra_files=facts)
    return facts[FACTS], program.module(check_guards=False)  # guards would be run as code


def check_archive(content: bytes) -> None:
    """Refuse an archive that could run code when torch loads it.

    Raises:
        UnsafeArchiveError: see above.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        entries = {name.partition("/")[2]: name for name in names}
        strange = sorted(name for name in entries if not ENTRY.fullmatch(name))
        if strange:
            raise UnsafeArchiveError(f"it holds {strange[0]!r}")
        if len(entries) < len(names) or len({name.partition("/")[0] for name in names}) > 1:
            raise UnsafeArchiveError("it holds an entry twice")
        for part in ("weights", "constants"):
            config = json.loads(archive.read(entries[f"data/{part}/model_{part}_config.json"]))["config"]
            if any(payload["use_pickle"] is not False for payload in config.values()):
                raise UnsafeArchiveError(f"its {part} are pickled")
        torch.load(io.BytesIO(archive.read(entries["data/sample_inputs/model.pt"])), weights_only=True)
        for key, text in _strings(json.loads(archive.read(entries["models/model.json"]))):
            if not _is_harmless(key, text):
                raise UnsafeArchiveError(f"its graph holds {text[:60]!r}")


def _is_harmless(key: str, text: str) -> bool:
    if key == "expr_str":
        return EXPRESSION.fullmatch(text) is not None
    if key == "operator":
        return OPERATOR.fullmatch(text) is not None
    return key in FREE or PLAIN.fullmatch(text) is not None


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """All strings within a value of JSON, each with its key, which for the target of a call is "operator"."""
    if isinstance(value, dict):
        is_call = "target" in value and "inputs" in value
        for name, inner in value.items():
            yield "", name
            yield from _strings(inner, "operator" if is_call and name == "target" else name)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, key)
    elif isinstance(value, str):
        yield key, value
