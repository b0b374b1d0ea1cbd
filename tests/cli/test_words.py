"""The command line without a run: help, lists, and mistakes in the words."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import longtail
from command_words import commands
from longtail.cli import main as cli
from longtail.data.source_form import SourceForm
from longtail.data.sources import find
from longtail.methods import available
from longtail.recipe import shipped
from longtail.types import InputError, LocalInputError

Run = Callable[..., tuple[int, str, str]]
COMMANDS = tuple(commands())


def test_help_answers_at_once_because_it_imports_nothing_heavy() -> None:
    words = [sys.executable, "-X", "importtime", "-m", "longtail", "--help"]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    assert all(f"  {command.split()[0]} " in result.stdout for command in COMMANDS)
    imported = {line.split("|")[-1].strip().split(".")[0] for line in result.stderr.splitlines()}
    assert imported & {"torch", "pandas", "pydantic", "numpy", "matplotlib", "rich", "PIL"} == set()


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, longtail; print('torch' in sys.modules, longtail.__version__)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", longtail.__version__]


def test_without_words_there_is_help(run: Run) -> None:
    code, out, _ = run()
    assert (code, out.split()[0]) == (0, "Usage:")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    code, out, _ = run(*command.split(), "--help")
    assert (code, out.startswith(f"Usage: longtail {command}")) == (0, True)


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"longtail {longtail.__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("trian",), "'train'"),
        (("train", "icl-digits", "--epoch", "3"), "--epochs"),
        (("train",), "'TARGET'"),
        (("train", "icl-digits", "--epochs", "three"), "'three'"),
        (("predict", "run", "photo.png", "--top-k", "0"), "top-k"),
        (("train", "icl-digits", "--set", "optim.batch_size"), "SECTION.KEY=VALUE"),
    ],
)
def test_mistaken_words_are_one_line_that_names_what_was_meant(
    refused: Callable[..., str], words: tuple[str, ...], named: str
) -> None:
    message = refused(*words)
    assert named in message
    assert "--help" in message


def test_lists(run: Run) -> None:
    for command, names in (
        ("methods", available()),
        ("recipes", shipped()),
        ("datasets", ["digits", "folder"]),
    ):
        code, out, _ = run(command)
        listed = dict(line.split(maxsplit=1) for line in out.splitlines())
        assert code == 0
        assert set(names) <= listed.keys()
    said = run("recipes")[1].split("icl-images")[1].strip().splitlines()[0]
    assert said == "ICL from random weights on your own images"
    assert "0.47 M" in run("models")[1].split("resnet32")[1].split("\n")[0]


def test_a_method_from_another_folder_is_listed_and_an_underscore_hides_its_helper(tmp_path: Path) -> None:
    """In a process of its own: the folder is named in its environment."""
    (tmp_path / "_help.py").write_text("from longtail.methods.cross_entropy import CrossEntropy as Base\n")
    (tmp_path / "toy.py").write_text(
        "from longtail.methods._help import Base\nclass Toy(Base):\n    'A toy.'\n"
    )
    words = [sys.executable, "-m", "longtail", "methods"]
    env = os.environ | {"LONGTAIL_METHODS": str(tmp_path)}
    result = subprocess.run(words, capture_output=True, text=True, check=True, env=env)
    assert "toy" in [line.split()[0] for line in result.stdout.splitlines() if line.endswith("A toy.")]
    assert re.search(r"^icl\b", result.stdout, re.MULTILINE)
    assert "_help" not in result.stdout


def test_a_broken_source_is_listed_as_such_beside_the_others(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> SourceForm:
        if name == "table":
            raise InputError("source 'table' cannot be imported")
        return find(name)

    monkeypatch.setattr("longtail.data.sources.find", broken)
    code, out, _ = run("datasets")
    listed = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0
    assert listed["table"] == "BROKEN: source 'table' cannot be imported"
    assert not listed["folder"].startswith("BROKEN")


def test_doctor(run: Run) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    for word in ("torch", "device", " thread", "precision", "digits", "LONGTAIL_METHODS"):
        assert word in out


@pytest.mark.parametrize(
    ("kind", "variable"), [("sources", "LONGTAIL_SOURCES"), ("sections", "LONGTAIL_SECTIONS")]
)
def test_doctor_names_what_is_broken_of_ones_own(kind: str, variable: str, tmp_path: Path) -> None:
    (tmp_path / "torn.py").write_text("def (")
    program = f"from longtail.cli.listing import _plugins; print(dict(_plugins())['{kind}'])"
    env = os.environ | {variable: str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env
    )
    assert f"folders: {tmp_path}; BROKEN: " in result.stdout
    assert str(tmp_path / "torn.py") in result.stdout


@pytest.mark.parametrize("variable", ["LONGTAIL_METHODS", "LONGTAIL_SOURCES", "LONGTAIL_SECTIONS"])
def test_doctor_counts_the_packages_own_beside_a_folder_that_is_missing(variable: str) -> None:
    program = "from longtail.cli.listing import _plugins; print(*dict(_plugins()).values(), sep='\\n')"
    said = []
    for folder in ("", "/nowhere"):
        env = os.environ | {variable: folder}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env
        )
        said.append([line.split("; ")[0] for line in done.stdout.splitlines()])
    assert done.stdout.count("BROKEN: ") == 1
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory"),
        (OSError(28, "No space left on device", "/full/file"), "/full/file: No space left"),
        (PermissionError(13, "Permission denied", "/closed"), "/closed: Permission denied"),
        (RuntimeError("a fault of ours"), None),
    ],
)
def test_errors_of_the_machine_are_reported_and_faults_of_ours_are_not_hidden(
    error: Exception, said: str | None
) -> None:
    lines = cli.explain(error)
    assert bool(lines) == (said is not None)
    assert said is None or said in lines[0]


def test_of_several_processes_one_says_what_all_refuse(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    for words in (["train"], ["train", "no-such-recipe"], ["nonsense"]):
        assert run(*words) == (2, "", "")
    monkeypatch.setenv("RANK", "0")
    assert run("train", "no-such-recipe")[2].startswith("error: ")


def test_what_one_of_several_processes_alone_met_it_says(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("longtail.api.train", fails)
    error: BaseException = LocalInputError("cannot read image a.png")
    assert run("train", "icl-digits") == (2, "", "error: cannot read image a.png\n")
    error = MemoryError()
    assert run("train", "icl-digits")[2].startswith("error: out of memory")
    error = KeyboardInterrupt("interrupted; resume with: ...")
    assert run("train", "icl-digits") == (130, "", "")


@pytest.mark.parametrize("command", ["predict", "evaluate", "report"])
def test_what_runs_in_one_process_is_refused_in_several(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "01")
    assert run("methods")[0] == 0
    monkeypatch.setenv("WORLD_SIZE", "4")
    code, _, err = run(command, "run", "photos")
    assert (code, len(err.splitlines())) == (2, 1)
    assert f"4 processes were started, and {command} runs in one; start it without a launcher" in err


def test_a_closed_pipe_is_no_error() -> None:
    words = f"{sys.executable} -m longtail recipes | head -n 1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", words], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_a_window_system_that_is_missing_ends_no_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    assert run("recipes")[0] == 0
    code = "import os, matplotlib; print(os.environ['MPLBACKEND'], matplotlib.get_backend().lower())"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.split() == ["agg", "agg"]


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EFBIG, "raise the limit"), (errno.EIO, "check the disk")]
)
def test_an_error_of_the_file_system_without_a_name_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("longtail.api.train", fails)
    code, _, err = run("train", "icl-digits")
    assert (code, len(err.splitlines())) == (2, 1)
    assert said in err
