"""What is written about the code holds: examples in docstrings and pages run, and what they name exists."""

import ast
import doctest
import importlib
import pkgutil
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch

import longtail
from command_words import commands, parse

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = [
    found.name
    for found in pkgutil.walk_packages(longtail.__path__, "longtail.")
    if "__main__" not in found.name
]


def blocks(page: Path, language: str) -> list[str]:
    """The page's fenced blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def examples_of(name: str) -> doctest.TestResults:
    """What comes of the examples in a module's docstrings; each fault is printed."""
    module = importlib.import_module(name)
    if ">>>" not in Path(module.__file__ or "").read_text("utf-8"):
        return doctest.TestResults(0, 0)
    return doctest.testmod(module, extraglobs={"torch": torch}, optionflags=doctest.NORMALIZE_WHITESPACE)


def test_examples_in_docstrings() -> None:
    found = {name: examples_of(name) for name in MODULES}
    assert sum(result.attempted for result in found.values()) > 100
    assert [name for name, result in found.items() if result.failed] == []


def test_a_false_example_in_a_docstring_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one_false_example.py").write_text('"""\n>>> 1 + 1\n3\n"""\n', "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert examples_of("one_false_example").failed == 1


def run_page(page: Path) -> int:
    """Execute the page's Python in the current folder; returns how many of its claims (assert) were made."""
    code = ast.parse("\n".join(blocks(page, "python")))
    exec(compile(code, str(page), "exec"), {"__name__": "page"})
    return sum(isinstance(node, ast.Assert) for node in ast.walk(code))


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.stem)
def test_python_in_pages(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in ("METHODS", "SOURCES", "SECTIONS"):
        monkeypatch.setenv(f"LONGTAIL_{kind}", "")  # so that what a page sets is undone
    assert run_page(page) > 0, f"{page.name} shows code and claims nothing of it"


def test_a_false_claim_in_a_page_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nx = 1\n```\ntext\n```python\nassert x == 2\n```\n")
    with pytest.raises(AssertionError):
        run_page(page)


def test_recipes_in_pages_are_shipped() -> None:
    recipe = importlib.import_module("longtail.recipe")
    shown = re.compile(r"\bicl-(?:digits|cifar|images|finetune)[\w-]*")
    named = {name for page in PAGES for name in shown.findall(page.read_text("utf-8"))}
    assert named - recipe.shipped().keys() == set()


def test_the_page_of_commands_has_all_of_them() -> None:
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    headings = re.findall(r"^## longtail (.+)$", page, re.MULTILINE)
    figures = {name for name in commands() if name.startswith("figure ")}
    assert sorted(", ".join(headings).split(", ")) == sorted({*commands()} - figures | {"figure"})
    assert all(f"`{name.removeprefix('figure ')}`" in page for name in figures)


def shown_commands(page: Path) -> list[list[str]]:
    """The words after each `longtail` that the page's consoles show."""
    lines = re.findall(r"^\$ (.*)$", "".join(blocks(page, "console")), re.MULTILINE)
    parts = [shlex.split(part, comments=True) for line in lines for part in line.split("&&")]
    return [
        words[at + 1 :] for words in parts for at, word in enumerate(words) if Path(word).name == "longtail"
    ]


@pytest.mark.parametrize("page", [p for p in PAGES if shown_commands(p)], ids=lambda p: p.stem)
def test_commands_in_pages_are_understood(page: Path) -> None:
    refused = {}
    for words in shown_commands(page):
        try:
            parse(words)
        except Exception as error:  # whatever the parser raises is the message
            refused[shlex.join(words)] = repr(error)
    assert refused == {}


def test_a_mistaken_command_in_a_page_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ .venv/bin/longtail train photos/ && longtail report runs/a --opne # x\n```\n"
    )
    assert [words[0] for words in shown_commands(page)] == ["train", "report"]
    with pytest.raises(Exception, match="--opne"):
        parse(shown_commands(page)[1])


def test_tables_say_what_the_result_files_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr(sys, "argv", ["tables.py", "--check"])
    assert importlib.import_module("tables").main() == 0
