"""The names of a run folder's files stand in one file of the package, and the forms are where it says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import longtail
from longtail.records import Record
from longtail.runs import layout
from longtail.runs.schema import ClassRows

HOME = Path(layout.__file__)
NAMES = [value for name, value in vars(layout).items() if name.isupper() and isinstance(value, str)]
FOLDERS = {
    name.partition("/")[0]
    for name in (*NAMES, layout.evaluation("test"))
    if "." not in name.partition("/")[0]
}
FILES = re.compile(rf"(?<![\w.])({'|'.join(re.escape(name) for name in NAMES if '.' in name[1:])})(?!\w)")


def _docstrings(tree: ast.AST) -> set[int]:
    bodies = [getattr(node, "body", None) for node in ast.walk(tree)]
    found = [line for body in bodies if isinstance(body, list) for line in body if isinstance(line, ast.Expr)]
    return {id(line.value) for line in found}


def spelled(source: str) -> Iterator[str]:
    """Every place of some source where a name of the layout stands in text that is no docstring."""
    tree = ast.parse(source)
    said = _docstrings(tree)
    joined = {
        id(side)
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        for side in (node.left, node.right)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            text = node.value
            folder = text.partition("/")[0] if "/" in text or id(node) in joined else ""
            if FILES.search(text) or folder in FOLDERS or "seed-" in text:
                yield f"line {node.lineno}: {text}"


@pytest.mark.parametrize(
    "source",
    [
        'open(run / "recipe.toml")', 'f"{run}/log.jsonl is damaged"', 'run / "eval" / split', 'glob("weights/*")',
        'f"eval/{split}/metrics.json"', 'f"seed-{seed}"', 'run.has("per_class.csv")',
    ],
)  # fmt: skip
def test_a_name_spelled_elsewhere_is_found(source: str) -> None:
    assert list(spelled(source))


@pytest.mark.parametrize(
    "source",
    ['"""Write metrics.json."""', 'o["weights"]', 'mode("eval")', "layout.RECIPE", '"my.splits.csv"'],
)
def test_other_text_is_not(source: str) -> None:
    assert not list(spelled(source))


def test_no_other_file_spells_a_name() -> None:
    home = Path(longtail.__file__).parent
    found = {
        str(file.relative_to(home)): lines
        for file in sorted(home.rglob("*.py"))
        if file != HOME and (lines := list(spelled(file.read_text("utf-8"))))
    }
    assert found == {}


def test_every_form_exists() -> None:
    files = [value for value in vars(layout).values() if isinstance(value, layout.RunFile)]
    assert len(files) > 10
    assert all(issubclass(file.form, Record | ClassRows) for file in files)
    assert layout.metrics("test").form is layout.METRICS.form


def test_the_pages_name_every_file() -> None:
    docs = Path(__file__).parents[2] / "docs"
    page = "".join((docs / name).read_text("utf-8") for name in ("cli.md", "export.md"))
    files = [name for name in NAMES if "." in name[1:] and name != layout.STATE]
    assert [name for name in files if name not in page and Path(name).name not in page] == []
