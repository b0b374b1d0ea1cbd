"""Sphinx: the pages beside this file and, under generated/, what follows from the code itself."""

import importlib
import pkgutil
import re
import shutil
from pathlib import Path

import longtail
from longtail import methods

HERE = Path(__file__).parent
GENERATED = HERE / "generated"
RESULTS = HERE.parent / "benchmarks" / "results"

project = "longtail"
author = "The longtail developers"
project_copyright = author
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "longtail"
html_show_sourcelink = False
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

default_role = "code"  # `name` in a docstring is code, as in Markdown
autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "exclude-members": "model_config, set_fit_request, set_score_request",
}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False


def setup(app) -> None:
    """Write the generated pages before Sphinx looks for sources; read docstrings as text with code in it."""
    app.connect("autodoc-process-docstring", lambda *event: _plain(event[-1]), priority=400)
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir()
    (GENERATED / "methods.md").write_text(_methods_page(), encoding="utf-8")
    (GENERATED / "results-table.md").write_text(_results(), encoding="utf-8")
    for found in pkgutil.iter_modules(longtail.__path__):
        if found.name not in ("methods", "cli", "__main__"):
            (GENERATED / f"api-{found.name}.md").write_text(_api_page(found.name), encoding="utf-8")


def _plain(lines: list[str]) -> None:
    """Escape what is markup to reStructuredText but arithmetic to a reader: |h|, a * b, name_."""
    code = re.compile(r"(``.+?``|`[^`]+`)")
    for number, line in enumerate(lines):
        if line.lstrip().startswith(("..", ":", ">>>")):
            continue
        bullet = re.match(r"\s*[*-] ", line)
        start = bullet.end() if bullet else 0
        parts = code.split(line[start:])
        parts[::2] = [re.sub(r"([*|]|_(?!\w))", r"\\\1", part) for part in parts[::2]]
        lines[number] = line[:start] + "".join(parts)


def _methods_page() -> str:
    """One section for each method that is there, taken from the registry."""
    page = [
        "# Methods",
        "Every file in `longtail/methods/` is one method; this page is made from what is found.",
    ]
    for name, method in methods.available().items():
        target = f"{method.__module__}.{method.__qualname__}"
        classes = [target, f"{target}.Options"] if "Options" in vars(method) else [target]
        page += [f"## {name}", *(_directive(f"autoclass:: {c}", ":no-members:") for c in classes)]
    return "\n\n".join(page)


def _api_page(drawer: str) -> str:
    """What the folder exports; where it exports nothing by name, each of its files."""
    package = importlib.import_module(f"longtail.{drawer}")
    files = [] if hasattr(package, "__all__") else pkgutil.iter_modules(getattr(package, "__path__", []))
    page = [f"# longtail.{drawer}", _directive(f"automodule:: longtail.{drawer}")]
    for found in files:
        name = f"longtail.{drawer}.{found.name}"
        page += [f"## {name}", _directive(f"automodule:: {name}")]
    return "\n\n".join(page)


def _directive(head: str, *options: str) -> str:
    return "\n".join(["```{eval-rst}", f".. {head}", *(f"   {option}" for option in options), "```"])


def _results() -> str:
    """The tables that the benchmarks wrote; empty before the first measurement."""
    tables = sorted(RESULTS.glob("*.md")) if RESULTS.is_dir() else []
    return "\n\n".join(table.read_text("utf-8") for table in tables) or "Nothing has been measured yet.\n"
