"""What a public project has around its code says the same as the code."""

import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from longtail import methods, plugins
from longtail.types import InputError

ROOT = Path(__file__).parents[1]
METHOD = '''
from longtail.losses import focal_loss
from longtail.method import Method


class Theirs(Method):
    """A method of another distribution."""

    def loss(self, output, batch, progress):
        return {"focal": focal_loss(output.logits, batch.target, gamma=1.0).sum()}
'''


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert cited == [project["version"]]


def test_the_workflow_runs_what_everybody_runs() -> None:
    workflow = (ROOT / ".github/workflows/check.yml").read_text()
    targets = set(re.findall(r"^([a-z]+):.*?## ", (ROOT / "Makefile").read_text(), re.M))
    called = set(re.findall(r"run: make ([a-z]+)", workflow))
    assert called
    assert called <= targets
    assert (ROOT / ".ci/run").is_file()
    assert "run: .ci/run" in workflow
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for name in ("torch", "torchvision"):
        (lowest,) = re.findall(rf"^{name}>=([\d.]+)$", "\n".join(oldest), re.M)
        assert f"{name}=={lowest}.*" in workflow


@pytest.fixture
def named_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EntryPoint:
    """An installed package of methods, named by an entry point; its name is forgotten afterwards."""
    package = tmp_path / "their_methods"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('a package of methods is not imported')\n")
    (package / "theirs.py").write_text(METHOD)
    entry = EntryPoint("mine", "their_methods", methods.ENTRY_POINT)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(methods, "__path__", list(methods.__path__))
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry] if group == entry.group else [])
    monkeypatch.setattr(methods, "_search_packages", methods._search_packages.__wrapped__)
    return entry


def test_methods_of_installed_packages_are_found(named_package: EntryPoint) -> None:
    assert "theirs" in methods.names()
    assert methods.find("theirs").__name__ == "Theirs"


def test_an_entry_point_that_names_no_package_is_refused(
    named_package: EntryPoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = EntryPoint("mine", "their_methods.gone", methods.ENTRY_POINT)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [wrong])
    with pytest.raises(InputError, match=r"their_methods\.gone"):
        methods.names()
