"""The shape of the source: who imports whom, how long and how named things are, where equations are."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "longtail"
FUNCTION_BODY, FILE, METHOD_FILE = 40, 300, 150
DRAWERS = {"utils", "util", "core", "common", "helpers", "helper", "misc", "base"}
PAPER = {3, 4, 5, 6, 8, 9, 10, 13}  # the equations of ICL that say what to compute
EVERYWHERE = {
    r"(?<![\w.~/:])/(home|root|Users|work|mnt|media)/\w": "a path of one machine",
    r"\b(TODO|FIXME|XXX|HACK)\b": "something left undone",
    r"\bif (is_)?official\b": "a form hidden behind a flag; name both",
}
IN_SOURCE = {
    r"(?<![\w.])(eval|exec)\(": "code from a string",
    r"\.cuda\(": "a layer that knows its device; use .to(device)",
    r"\blog\((torch\.)?exp\(|\.exp\(\)\.log\(": "log of exp; use logsumexp",
    r"\btorch\.load\((?!.*weights_only=True)": "may run code; use safetensors or weights_only=True",
    r"^\s*print\(": "printing below the command line; return it or log it",
}
LOADS_FOR_SECONDS = {"torch", "torchvision", "timm", "sklearn", "matplotlib"}
NO_WAITING = {r"\.(item|tolist|cpu|numpy)\(": "waiting for the device"}


def python_files(*folders: str) -> list[Path]:
    return sorted(f for folder in folders for f in (ROOT / folder).rglob("*.py") if "_build" not in f.parts)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the end."""
    statements = function.body[ast.get_docstring(function) is not None :]
    return (function.end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def long_functions(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > FUNCTION_BODY:
            yield f"{node.name} has a body of {body_lines(node)} lines"


def found(words: dict[str, str], text: str) -> list[str]:
    """One line for each place where one of the words occurs."""
    return [
        f"line {number}: {why}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        for word, why in words.items()
        if re.search(word, line)
    ]


def equations(text: str) -> list[int]:
    """The numbers that a line cites as "Eq. N"; other papers' are written "equation N of ..."."""
    return [int(number) for number in re.findall(r"\bEq\. ?(\d+)", text)]


def test_import_contracts_hold() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_pages_tell_the_layers_that_hold() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = [re.sub(r"longtail\.|[()]", "", layer) for layer in contracts[0]["layers"]]
    for page in ("AGENTS.md", "docs/architecture.md"):
        layer_line = re.search(r"^(cli +>[^`]+)", (ROOT / page).read_text("utf-8"), re.MULTILINE)
        assert layer_line is not None, page
        assert re.split(r"\s+>\s+", layer_line[1].strip()) == layers, page


def test_what_only_reads_imports_no_torch() -> None:
    modules = "longtail.cli.main, longtail.recipe.reading, longtail.methods, longtail.report.discovery"
    program = f"import sys, {modules}; longtail.report.discovery.sections(); "
    program += f"sys.exit(' '.join({LOADS_FOR_SECONDS!r} & sys.modules.keys()) or 0)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"import {result.stderr.strip()} in the function that needs it"


def too_long(file: Path) -> Iterator[str]:
    text = file.read_text("utf-8")
    yield from long_functions(text)
    limit = METHOD_FILE if file.parent == SOURCE / "methods" else FILE
    if file.is_relative_to(SOURCE) and len(text.splitlines()) > limit:
        yield f"the file has {len(text.splitlines())} lines, the limit is {limit}"


def test_functions_and_files_are_short() -> None:
    files = python_files("src", "benchmarks", "examples", "docs")
    assert len(files) > 300
    faults = [f"{file.relative_to(ROOT)}: {fault}" for file in files for fault in too_long(file)]
    assert not faults, "\n".join(faults)


def test_no_drawer_says_nothing_of_what_is_inside() -> None:
    drawers = [
        p.relative_to(ROOT)
        for p in SOURCE.rglob("*")
        if p.stem.strip("_") in DRAWERS and "__pycache__" not in p.parts
    ]
    assert not drawers, f"rename by what is inside: {drawers}"


def test_each_equation_of_the_paper_is_defined_once() -> None:
    where: dict[int, list[str]] = defaultdict(list)
    for file in python_files("src"):
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            for equation in set(equations(line)):
                where[equation].append(f"{file.relative_to(ROOT)}:{number}")
    assert where.keys() >= PAPER, f"without a definition: {sorted(PAPER - where.keys())}"
    assert {n: places for n, places in where.items() if len(places) > 1} == {}


@pytest.mark.parametrize(
    ("words", "folders"),
    [
        pytest.param(EVERYWHERE, ("src", "tests", "benchmarks", "examples", "docs"), id="everywhere"),
        pytest.param(IN_SOURCE, ("src/longtail",), id="source"),
        pytest.param(NO_WAITING, ("src/longtail/losses", "src/longtail/methods"), id="losses"),
    ],
)
def test_forbidden_words(words: dict[str, str], folders: tuple[str, ...]) -> None:
    files = [file for file in python_files(*folders) if file != Path(__file__).resolve()]
    if words is IN_SOURCE:
        files = [file for file in files if "cli" not in file.parts]
    faults = [
        f"{file.relative_to(ROOT)} {place}"
        for file in files
        for place in found(words, file.read_text("utf-8"))
    ]
    assert not faults, "\n".join(faults)


def test_pages_name_no_machine() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "Makefile", *SOURCE.rglob("*.toml")]
    faults = [
        f"{page.relative_to(ROOT)} {place}"
        for page in pages
        for place in found(EVERYWHERE, page.read_text("utf-8"))
    ]
    assert not faults, "\n".join(faults)


def test_lines_end_without_blanks_and_files_with_one_line_end() -> None:
    endings = {".cfg", ".cff", ".css", ".jinja", ".js", ".md", ".py", ".toml", ".yaml", ".yml"}
    folders = ("src", "tests", "docs", "benchmarks", "examples", ".github")
    made = {"_build", "generated"}  # by `make docs`
    files = [f for folder in folders for f in (ROOT / folder).rglob("*") if not made & set(f.parts)]
    texts = {f: f.read_bytes() for f in (*files, *ROOT.glob("*")) if f.suffix in endings and f.is_file()}
    assert len(texts) > 400
    faults = [
        str(file.relative_to(ROOT))
        for file, text in texts.items()
        if text and (not text.endswith(b"\n") or text.endswith(b"\n\n") or re.search(rb"[ \t\r]\n", text))
    ]
    assert faults == []


def test_the_lock_holds_versions_and_no_addresses() -> None:
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    assert [line for line in lines if not re.match(r"[a-z0-9][a-z0-9._-]*==[\w.!+]+( ; .+)?$", line)] == []


def test_the_checks_see_faults() -> None:
    body = "\n".join(f"    x = {n}" for n in range(FUNCTION_BODY + 1))
    assert list(long_functions(f'def long():\n    """Doc."""\n{body}\n')) == ["long has a body of 41 lines"]
    assert list(long_functions(f"def short():\n{body.removesuffix(f'    x = {FUNCTION_BODY}')}\n")) == []
    assert equations("as in Eq. 8, Eq. 13") == [8, 13]
    assert equations("equation 4 of Ren et al.") == []
    assert len(found(EVERYWHERE, 'open("/home/me/data")\n# TODO later')) == 2
    assert len(found(IN_SOURCE, "model.eval()\neval(text)\nx.cuda()\nlog(exp(x))\ntorch.load(f)")) == 4
    assert len(found(NO_WAITING, "loss.item()")) == 1
