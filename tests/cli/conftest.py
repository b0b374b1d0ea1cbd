import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from photos import make_photos, write_digits

from few_digits import TESTED, digits_tested
from few_digits import all_tested as all_tested
from few_digits import few_tested as few_tested
from longtail.cli.main import main

QUICK = (
    "--model",
    "resnet8",
    "--set",
    "model.num_experts=2",
    "--set",
    "run.evaluate_every=1",
    "--epochs",
    "2",
)


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run the command line in this process."""

    def run(*words: object) -> Answer:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return Answer(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the digits; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "digits run"
    with digits_tested():
        assert main(["train", "icl-digits", *QUICK, "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture
def own(finished: Path, tmp_path: Path) -> Path:
    """A run folder that may be changed."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits' test split as PNG files in class folders: what `train` evaluates on."""
    return write_digits(tmp_path_factory.mktemp("digits"), TESTED)


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight of them for each class."""
    return write_digits(tmp_path_factory.mktemp("few"), 8)


@pytest.fixture
def refused(run: Callable[..., Answer]) -> Callable[..., str]:
    """Run the command line, which refuses in one line; returns that line."""

    def refused(*words: object, details: bool = False) -> str:
        answer = run(*words)
        lines = answer.err.splitlines()
        assert answer.code == 2, answer
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1
        after = lines[lines.index(errors[0]) + 1 :]
        assert all(line.startswith("  ") for line in after)
        assert bool(after) == details
        assert "Traceback" not in answer.err
        return errors[0].removeprefix("error: ")

    return refused


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes of small images with a train and a test split."""
    return make_photos(
        tmp_path / "my photos",
        {"train": {"fox": 6, "lynx": 4, "owl": 2}, "test": {"fox": 2, "lynx": 2, "owl": 2}},
    )
