"""What the file of a method says of it: read from its text, for importing it loads PyTorch."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class MethodText(NamedTuple):
    """What a method says of itself.

    Attributes:
        sentence: the first line of the class's docstring, "" where it has none.
        paper: its `paper`.
        needs: its `needs`.
    """

    sentence: str
    paper: str
    needs: Mapping[str, Any]


def method_text(file: Path) -> MethodText | None:
    """What a method's file says of the one class in it that names `Method` as its base.

    Returns:
        None where the text does not settle it: no such class or several, or a `paper` or `needs` that is computed.

    Raises:
        OSError: the file cannot be read.
        SyntaxError: it is no Python.
    """
    tree = ast.parse(file.read_bytes(), str(file))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and _is_method(node)]
    if len(classes) != 1:
        return None
    try:
        paper, needs = _value(classes[0], "paper", ""), _value(classes[0], "needs", {})
    except ValueError:
        return None
    return MethodText((ast.get_docstring(classes[0]) or "").split("\n")[0], paper, needs)


def _is_method(node: ast.ClassDef) -> bool:
    """Whether it is written `class X(Method)` or `class X(method.Method)`."""
    names = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases]
    return "Method" in names


def _value(owner: ast.ClassDef, name: str, default: Any) -> Any:
    """What the class gives a name with `=` and `+=`, written out; in `MappingProxyType(...)` too."""
    value = default
    for node in owner.body:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                found = ast.literal_eval(_inside(node.value))
                value = value + found if isinstance(node, ast.AugAssign) else found
    return value


def _inside(node: ast.expr) -> ast.expr:
    """What stands in `MappingProxyType(...)`; anything else as it is."""
    is_mapping = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "MappingProxyType"
    return node.args[0] if isinstance(node, ast.Call) and is_mapping and node.args else node
