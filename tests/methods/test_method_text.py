"""What a method's file says, read as text, is what its class says."""

from pathlib import Path

import pytest

from longtail.method_text import method_text
from longtail.methods import available, describe

METHOD = """
from types import MappingProxyType
from longtail import method
from longtail.method import Method

class Helper:
    "No method."

class Mine({base}):
    "A method.\\n\\nMore of it."
    paper = "Us, "
    paper += "{paper}"
    needs = MappingProxyType({{"num_experts": 2}})
"""


def test_the_text_of_every_shipped_method_settles_it() -> None:
    for name, method in available().items():
        file = Path(__file__).parents[2] / "src" / "longtail" / "methods" / f"{name}.py"
        said = method_text(file)
        assert said is not None, name
        assert said == (str(method.__doc__).split("\n")[0], method.paper, method.needs), name
        assert describe(name) == said


@pytest.mark.parametrize("base", ["Method", "method.Method"])
def test_a_file_of_ones_own(tmp_path: Path, base: str) -> None:
    (tmp_path / "mine.py").write_text(METHOD.format(base=base, paper="1999"), "utf-8")
    assert method_text(tmp_path / "mine.py") == ("A method.", "Us, 1999", {"num_experts": 2})


NO_METHOD = "x = 1"
OF_ANOTHER = METHOD.format(base="Other", paper="")
COMPUTED = METHOD.format(base="Method", paper='" + str(1) + "')


@pytest.mark.parametrize("text", [NO_METHOD, OF_ANOTHER, COMPUTED])
def test_what_the_text_does_not_settle_is_left_to_the_import(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.py").write_text(text, "utf-8")
    assert method_text(tmp_path / "mine.py") is None
