"""Commands that only read answer without the libraries that take seconds to load."""

import subprocess
import sys
from pathlib import Path

import pytest

from report_runs import made_up_run

BLOCKED = ("torch", "torchvision", "timm", "sklearn", "matplotlib", "accelerate")
PROGRAM = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise AssertionError(f"{{name}} is imported")

sys.meta_path.insert(0, Blocked())
from longtail.cli.main import main
from longtail.runs import Run
from longtail.report import report_lines

one, two = sys.argv[1:]
for words in (["methods"], ["recipes"], ["compare", one, two]):
    assert main(words) == 0, words
assert main(["compare", one, one + "-missing"]) == 2
print("\\n".join(line for run in (one, two) for line in report_lines(Run(run))))
"""


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("read")
    runs = [made_up_run(folder / name, seed=seed) for seed, name in enumerate(("first", "second"))]
    program = PROGRAM.format(blocked=BLOCKED)
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, runs)], capture_output=True, text=True, check=False
    )


def test_they_import_none_of_them(answer: subprocess.CompletedProcess[str]) -> None:
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("said", ["icl  ", "icl-digits  ", "second  ", "What stands out", "Weakest classes"])
def test_and_say_what_they_always_do(answer: subprocess.CompletedProcess[str], said: str) -> None:
    assert said in answer.stdout


def test_what_is_wrong_is_one_line_there_too(
    answer: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    (line,) = answer.stderr.splitlines()
    assert line.startswith("error: ")
    assert "first-missing does not exist" in line
