"""Sources in folders and packages of one's own: none takes the place of another unseen, and faults are one line."""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from longtail import plugins, source_names
from longtail.data.audit import check
from longtail.data.dividing import divide
from longtail.data.sources import find, own
from longtail.errors import InputError

SOURCE = """
from longtail.data.source_form import SourceForm
FORM = SourceForm("nothing", None)
"""
ARRAYS = """
import numpy as np
from longtail.data.listing import Listing, Source
from longtail.data.source_form import SourceForm

def read(place):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    ids = tuple(f"{place.given.name}/{row}" for row in range(20))
    return Source(Listing(("fox", "owl"), np.arange(20) % 2, ids, lambda rows: iter(pixels[rows])), is_flat=True)

FORM = SourceForm("arrays", read, reads=lambda path: path.suffix == ".arrays")
"""
Named = Callable[..., None]


def forget() -> None:
    for known in (source_names.own_folders, source_names.own_sources):
        known.cache_clear()


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Iterator[Named]:
    """Lets LONGTAIL_SOURCES name folders, as if this process had begun with it."""
    before = [*own.__path__]

    def name(*folders: Path) -> None:
        monkeypatch.setenv(source_names.VARIABLE, ":".join(map(str, folders)))
        forget()

    yield name
    forget()
    monkeypatch.setattr(own, "__path__", before)
    for name in ("torn", "arrays"):
        sys.modules.pop(f"longtail.data.sources.own.{name}", None)


@pytest.mark.parametrize("name", ["folder", "digits"])
def test_a_name_that_is_taken_is_refused(tmp_path: Path, name: str, named: Named) -> None:
    (tmp_path / f"{name}.py").touch()
    named(tmp_path)
    with pytest.raises(InputError, match=f"source '{name}'"):
        source_names.own_sources()


def test_two_folders_with_one_name_and_a_folder_that_is_missing_are_refused(
    tmp_path: Path, named: Named
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "npz.py").touch()
    named(tmp_path / "a")
    assert "npz" in source_names.own_sources()
    named(tmp_path / "a", tmp_path / "b")
    with pytest.raises(InputError, match="'npz'"):
        source_names.own_sources()
    named(tmp_path / "c")
    with pytest.raises(InputError, match=r"LONGTAIL_SOURCES names .*no folder"):
        source_names.own_sources()


@pytest.mark.parametrize(("text", "said"), [("x = 1\ndef (", r"'torn'.*SyntaxError.*line 2"), ("", "FORM")])
def test_a_source_that_cannot_be_imported_is_named(
    tmp_path: Path, named: Named, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    (tmp_path / "torn.py").write_text(text)
    named(tmp_path)
    monkeypatch.setattr(own, "__path__", source_names.own_folders())
    with pytest.raises(InputError, match=said) as refused:
        find("torn")
    assert str(tmp_path / "torn.py") in str(refused.value)
    assert "\n" not in str(refused.value)


def test_sources_of_installed_packages_are_found(
    tmp_path: Path, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made/__init__.py").write_text(
        "raise AssertionError('a package of sources is not imported')\n"
    )
    (tmp_path / "made/torn.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = EntryPoint("torn", "made", source_names.ENTRY_POINT)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry] if group == entry.group else [])
    named()
    monkeypatch.setattr(own, "__path__", source_names.own_folders())
    assert find("torn").about == "nothing"


def test_images_that_are_no_files_cannot_be_divided(
    tmp_path: Path, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/arrays.py").write_text(ARRAYS)
    named(tmp_path / "sources")
    monkeypatch.setattr(own, "__path__", source_names.own_folders())
    images = tmp_path / "images.arrays"
    images.touch()
    audit = check(images)
    assert audit.counts == {"train": {"fox": 10, "owl": 10}}
    assert not audit.is_divisible
    with pytest.raises(InputError, match="no files"):
        divide(images, tmp_path)
