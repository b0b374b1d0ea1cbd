"""What the file of a method says of it: read from its text, for importing it loads PyTorch."""

import ast
from pathlib import Path
from typing import NamedTuple


class MethodText(NamedTuple):
    """The first line of the class's docstring, and its `paper`; "" where it has none."""

    sentence: str
    paper: str


def method_text(file: Path) -> MethodText | None:
    """What a method's file says of the one class in it that names `Method` as its base.

    Returns:
        None where the text does not settle it: no such class or several, or a `paper` that is computed.

    Raises:
        OSError: the file cannot be read.
        SyntaxError: it is no Python.
    """
    tree = ast.parse(file.read_bytes(), str(file))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and _is_method(node)]
    if len(classes) != 1:
        return None
    try:
        paper = _text(classes[0], "paper")
    except ValueError:
        return None
    return MethodText((ast.get_docstring(classes[0]) or "").split("\n")[0], paper)


def _is_method(node: ast.ClassDef) -> bool:
    """Whether it is written `class X(Method)` or `class X(method.Method)`."""
    names = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases]
    return "Method" in names


def _text(owner: ast.ClassDef, name: str) -> str:
    """The text that the class gives a name with `=` and `+=`."""
    text = ""
    for node in owner.body:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                before = text if isinstance(node, ast.AugAssign) else ""
                text = before + str(ast.literal_eval(node.value))
    return text
