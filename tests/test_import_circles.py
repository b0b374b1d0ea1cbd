"""No module needs itself through others, and no two folders need each other."""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

Graph = Mapping[str, set[str]]
FOUND = {  # what imports others by names that stand in no import statement -> the packages in which they lie
    "longtail.methods": ["longtail.methods"],
    "longtail.data.sources": ["longtail.data.sources.named", "longtail.data.sources.own"],
    "longtail.report.discovery": ["longtail.report.sections"],
}


def imports(package: str, found: Mapping[str, list[str]]) -> Graph:
    """Module -> the modules of the package that it imports.

    An import counts wherever it stands: at the head, in a function, for the type checker alone. A package that imports
    on demand repeats its table for the type checker, so its table counts. Files that are found by being there count as
    imported by what finds them, and so does the `__init__` of each package that an import enters from outside. The
    packages that a module itself lies in do not count as imported by it: they are loaded before it.
    """
    graph = grimp.build_graph(package, cache_dir=None)
    known = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    for finder, packages in found.items():
        known[finder] |= {child for one in packages for child in graph.find_children(one)}
    return {module: set(_entered(module, found)) for module, found in known.items()}


def _entered(module: str, imported: set[str]) -> Iterator[str]:
    for name in imported:
        yield name
        package = name.rpartition(".")[0]
        while package and not f"{module}.".startswith(f"{package}."):
            yield package
            package = package.rpartition(".")[0]


def neighbours(modules: Graph) -> Graph:
    """The files and folders that lie side by side: each with those beside it that something in it imports."""
    graph: dict[str, set[str]] = {}
    for module, imported in modules.items():
        for other in imported:
            mine, theirs = module.split("."), other.split(".")
            shared = next((n for n, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), None)
            if shared is not None:
                here, there = (".".join(names[: shared + 1]) for names in (mine, theirs))
                graph.setdefault(here, set()).add(there)
    return graph


def circle(graph: Graph) -> str:
    """One of its circles, in words; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " <- ".join(error.args[1])
    return ""


@pytest.fixture(scope="module")
def longtail() -> Graph:
    return imports("longtail", FOUND)


def test_no_module_needs_itself_through_others(longtail: Graph) -> None:
    assert circle(longtail) == ""


def test_no_neighbours_need_each_other(longtail: Graph) -> None:
    assert circle(neighbours(longtail)) == ""


@pytest.mark.parametrize(
    ("files", "module", "folder"),
    [
        ({"a": "import pack.b", "b": ""}, False, False),
        ({"a": "import pack.b", "b": "def f():\n    import pack.a"}, True, True),
        (
            {"a": "import pack.b", "b": "import typing\nif typing.TYPE_CHECKING:\n    import pack.a"},
            True,
            True,
        ),
        ({"one/a": "import pack.two.b", "one/c": "", "two/b": "", "two/d": "import pack.one.c"}, False, True),
        ({"one/__init__": "import pack.b", "one/a": "", "b": "import pack.one.a"}, True, True),
        ({"one/__init__": "import pack.one.a", "one/a": ""}, False, False),
    ],
    ids=["none", "in a function", "for the type checker", "of folders", "through a package", "own package"],
)
def test_circles_are_seen(
    files: dict[str, str], module: bool, folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        file = tmp_path / "pack" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        for place in (file.parent, tmp_path / "pack"):
            (place / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    found = imports("pack", {})
    assert (bool(circle(found)), bool(circle(neighbours(found)))) == (module, folder)
