"""Methods from folders of one's own: a broken one is refused in one line, and hinders no other."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longtail import methods
from longtail.cli.main import main
from longtail.methods import available, find
from longtail.recipe import load_recipe
from longtail.types import InputError

METHOD = """
from longtail.method import Method
{line}

class Mine(Method):
    "A method."

    def loss(self, output, batch, progress):
        return {{"x": output.logits.sum()}}
"""
Files = Callable[..., None]


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, "utf-8")


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """Makes files of methods; their folder is searched as if this process had begun with it."""

    def forget() -> None:
        available.cache_clear()
        methods._load.cache_clear()
        importlib.invalidate_caches()

    def made(**files: str) -> None:
        write(tmp_path, **files)
        forget()

    before = {*sys.modules}
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    yield made
    forget()
    for name in ("mine", "_help"):
        module = sys.modules.pop(f"{methods.__name__}.{name}", None)
        if module is not None:
            assert f"{methods.__name__}.{name}" not in before
            delattr(methods, name)


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
def test_what_is_wrong_with_a_file_is_said(plugins: Files, files: dict[str, str], said: str) -> None:
    plugins(**files)
    with pytest.raises(InputError) as refused:
        (find("icl"), available())
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["x =", "raise SystemExit(3)"])
def test_a_broken_file_hinders_no_other_method(
    plugins: Files, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plugins(mine=text)
    assert load_recipe("icl-digits")[0].method.name == "icl"
    assert main(["methods"]) == 0
    listed = capsys.readouterr().out
    assert "BROKEN: method 'mine' cannot be imported" in listed
    assert "icl " in listed
