"""Methods from folders of one's own: found, helped by files that are none, and refused in one line when broken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

METHOD = """
from longtail.method import Method
{line}

class Mine(Method):
    "A method."

    def loss(self, output, batch, progress):
        return {{"x": output.logits.sum()}}
"""
LIST = "from longtail.methods import available, find; find('icl'); print(*available())"


def listed(folder: Path, **files: str) -> subprocess.CompletedProcess[str]:
    """What a process with these files in its folder of methods lists."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, "utf-8")
    environment = os.environ | {"LONGTAIL_METHODS": str(folder)}
    words = [sys.executable, "-c", LIST]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def test_a_file_is_found_and_an_underscore_hides_its_helper(tmp_path: Path) -> None:
    line = "from longtail.methods._help import X"
    assert "mine" in listed(tmp_path, mine=METHOD.format(line=line), _help="X = 1").stdout.split()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"mine": METHOD.format(line="import nothing_such")},
            "method 'mine' cannot be imported (ModuleNotFound",
        ),
        ({"mine": "x ="}, "method 'mine' cannot be imported (SyntaxError"),
        ({"mine": "x = 1"}, "defines 0 methods"),
        ({"icl": METHOD.format(line="")}, "method 'icl' is defined by two files"),
    ],
    ids=["import", "syntax", "empty", "twice"],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, files: dict[str, str], said: str) -> None:
    last = listed(tmp_path, **files).stderr.splitlines()[-1]
    assert last.startswith("longtail.types.InputError: ")
    assert said in last


@pytest.mark.parametrize("text", ["x =", "raise SystemExit(3)"])
def test_a_broken_file_hinders_no_other_method(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.py").write_text(text, "utf-8")
    environment = os.environ | {"LONGTAIL_METHODS": str(tmp_path)}
    code = "from longtail.recipe import load_recipe; load_recipe('icl-digits')"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    words = [sys.executable, "-m", "longtail", "methods"]
    listed = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
    assert "BROKEN: method 'mine' cannot be imported" in listed
    assert "icl " in listed
