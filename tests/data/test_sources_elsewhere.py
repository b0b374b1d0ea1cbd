"""Sources in folders of one's own: none takes the place of another unseen."""

import sys
from pathlib import Path

import pytest

from longtail.data.sources import find, own
from longtail.data.sources.own import checked
from longtail.errors import InputError


@pytest.mark.parametrize("name", ["folder", "digits"])
def test_a_name_that_is_taken_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").touch()
    with pytest.raises(InputError, match=f"source '{name}'"):
        checked([str(tmp_path)])


def test_two_folders_with_one_name_and_a_folder_that_is_missing_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "npz.py").touch()
    assert checked([str(tmp_path / "a")]) == [str(tmp_path / "a")]
    with pytest.raises(InputError, match="'npz'"):
        checked([str(tmp_path / "a"), str(tmp_path / "b")])
    with pytest.raises(InputError, match="no folder"):
        checked([str(tmp_path / "c")])


@pytest.mark.parametrize(("text", "said"), [("def (", "'torn'.*SyntaxError"), ("", "FORM")])
def test_a_source_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    (tmp_path / "torn.py").write_text(text)
    monkeypatch.setattr(own, "__path__", [*own.__path__, str(tmp_path)])
    monkeypatch.setattr("longtail.data.sources.own_sources", lambda: ("torn",))
    with pytest.raises(InputError, match=said):
        find("torn")
    sys.modules.pop("longtail.data.sources.own.torn", None)
