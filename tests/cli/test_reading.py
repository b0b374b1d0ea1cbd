"""Commands that only read answer without the libraries that take seconds to load."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from run_factory import made_up_run

BLOCKED = ("torch", "torchvision", "timm", "sklearn", "matplotlib", "accelerate")
WRONG = (
    "train {} --minutes -1", "train {} --minutes 2 --epochs 3", "train {} --epochs 0", "train {} --fit stretch",
    "train {} --seeds 0,0", "train {} --seeds 0 --seed 1", "predict {} photos --views 0", "evaluate {} --views 3",
)  # fmt: skip
PROGRAM = """
import importlib
import pkgutil
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise AssertionError(f"{{name}} is imported")

sys.meta_path.insert(0, Blocked())
import longtail.runs

for module in pkgutil.iter_modules(longtail.runs.__path__):
    importlib.import_module(f"longtail.runs.{{module.name}}")
from longtail.cli.main import main
from longtail.runs import Run
from longtail.report import report_lines

one, two = sys.argv[1:]
for words in (["methods"], ["recipes"], ["compare", one, two]):
    assert main(words) == 0, words
assert main(["compare", one, one + "-missing"]) == 2
for words in {wrong!r}:
    assert main(words.format(one).split()) == 2, words
print("\\n".join(line for run in (one, two) for line in report_lines(Run(run))))
"""

PAGE = """
import sys
from longtail.cli.main import main

assert main(["report", sys.argv[1]]) == 0
print("loaded:", *({names!r} & sys.modules.keys()))
"""
NOT_FOR_A_PAGE = {"torchvision", "timm", "sklearn", "accelerate"}


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("read")
    runs = [made_up_run(folder / name, seed=seed) for seed, name in enumerate(("first", "second"))]
    program = PROGRAM.format(blocked=BLOCKED, wrong=WRONG)
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
    lines = answer.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    assert "first-missing does not exist" in lines[0]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_wrong_options_are_refused_before_anything_is_loaded(
    answer: subprocess.CompletedProcess[str], number: int
) -> None:
    line, words = answer.stderr.splitlines()[1 + number], WRONG[number]
    name = words.split()[-2].removeprefix("--")
    assert name in line


def test_a_page_with_images_loads_none_of_what_trains(tmp_path: Path) -> None:
    """A run of a network of timm on photographs that are still there; the page names the nearest shipped recipe."""
    for name in ("cat", "lynx"):
        (tmp_path / "photos/test" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "photos/test" / name / "1.png")
    run = made_up_run(tmp_path / "run", names=("cat", "lynx"), images=3, data=str(tmp_path / "photos"))
    program = PAGE.format(names=NOT_FOR_A_PAGE)
    made = subprocess.run([sys.executable, "-c", program, run], capture_output=True, text=True, check=False)
    assert made.stdout.splitlines()[-1] == "loaded:", made.stdout + made.stderr
    assert "shipped recipe icl-images" in (run / "report.html").read_text("utf-8")
