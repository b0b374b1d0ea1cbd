"""Sections from folders and packages of one's own: found by being there, refused in one line where they cannot be."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from longtail import plugins
from longtail.errors import InputError
from longtail.report import discovery, report_lines, sections, write_page
from longtail.report.discovery import collect
from longtail.report.page import build
from longtail.report.sections import confusions
from longtail.runs import Run
from run_factory import made_up_run

SECTION = """
from longtail.report.section import Section

SECTION = Section(
    rank={rank},
    short="Mine",
    heading="How many epochs?",
    compute=lambda facts: {{"epochs": len(facts.run.log)}},
    terminal=lambda found, facts: {{"My own": [f"{{found['epochs']}} epochs\\n"], "Empty": []}},
    template="<p>{{{{ content.epochs }}}} of my epochs</p>",
)
"""
Files = Callable[..., Path]


def forget() -> None:
    for known in (discovery._search, discovery.sections, build._template):
        known.cache_clear()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """Writes files of sections into a folder that LONGTAIL_SECTIONS names, as if this process had begun with it."""
    folder = tmp_path / "sections"
    monkeypatch.setattr(sections, "__path__", list(sections.__path__))

    def made(**files: str) -> Path:
        folder.mkdir()
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text, "utf-8")
        monkeypatch.setenv(discovery.VARIABLE, str(folder))
        forget()
        return folder

    yield made
    forget()
    for name in ("mine", "other"):
        if sys.modules.pop(f"{sections.__name__}.{name}", None) is not None:
            delattr(sections, name)


@pytest.mark.usefixtures("undrawn")
def test_one_file_is_in_the_terminal_and_on_the_page(own: Files, tmp_path: Path) -> None:
    own(mine=SECTION.format(rank=15), _help="x = 1")
    run = Run(made_up_run(tmp_path / "run", num_classes=3, evaluated=False, epochs=3))
    facts = collect(run)
    assert facts.mine == {"epochs": 3}
    lines = report_lines(run, facts)
    assert lines[lines.index("My own") + 1] == "  3 epochs\\n"  # what cannot be printed is written out
    assert "Empty" not in lines
    page = (run.path / write_page(run, facts)).read_text("utf-8")
    order = [page.index(f'<section id="{name}"') for name in ("verdict", "mine", "training", "repeat")]
    assert order == sorted(order)
    assert "<p>3 of my epochs</p></section>" in page


def test_the_order_is_that_of_the_ranks(own: Files) -> None:
    own(mine=SECTION.format(rank=1))
    assert [*discovery.sections()][:2] == ["mine", "verdict"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"verdict": SECTION.format(rank=1)}, "section 'verdict' is defined by two files"),
        ({"data": SECTION.format(rank=1)}, "section 'data' cannot be called so"),
        ({"mine": "x ="}, "section 'mine' cannot be imported (SyntaxError"),
        ({"mine": "x = 1"}, "defines no SECTION"),
    ],
    ids=["twice", "taken", "syntax", "empty"],
)
def test_what_is_wrong_with_a_file_is_said(own: Files, files: dict[str, str], said: str) -> None:
    own(**files)
    with pytest.raises(InputError) as refused:
        discovery.sections()
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_that_is_missing_is_refused(own: Files, tmp_path: Path) -> None:
    own(mine=SECTION.format(rank=1)).rename(tmp_path / "gone")
    with pytest.raises(InputError, match=r"LONGTAIL_SECTIONS names .*no folder"):
        discovery.sections()


def test_sections_of_installed_packages_are_found(own: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own(mine=SECTION.format(rank=1))
    (folder / "__init__.py").write_text("raise AssertionError('a package of sections is not imported')\n")
    monkeypatch.delenv(discovery.VARIABLE)
    monkeypatch.syspath_prepend(str(folder.parent))
    entry = EntryPoint("mine", "sections", discovery.ENTRY_POINT)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry] if group == entry.group else [])
    assert "mine" in discovery.sections()


def test_facts_that_no_section_has_are_an_error_that_names_them(tmp_path: Path) -> None:
    facts = collect(Run(made_up_run(tmp_path / "run", num_classes=3, evaluated=False)))
    with pytest.raises(AttributeError, match="verdict"):
        _ = facts.verdicts


COMPUTE, TERMINAL = '{"epochs": len(facts.run.log)}', '{"My own": '
TEMPLATE = 'template="<p>{{ content.epochs }} of my epochs</p>"'


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (COMPUTE, '{}["lost"]', "KeyError: 'lost'"),
        (TERMINAL, "{1: ", "TypeError"),
        ('"My own": [', '"My own": [None, ', "TypeError"),
        (TERMINAL, '{"Mine": "3 epochs", "My own": ', "one text"),
        (TERMINAL, '{"Mine": "", "My own": ', "TypeError"),
        (TEMPLATE, 'template="{{ content.lost }}"', "UndefinedError"),
        (TEMPLATE, 'template="{% if %}"', "TemplateSyntaxError"),
        (TEMPLATE, f"{TEMPLATE}, page=lambda *_: 'text'", "TypeError"),
        (TEMPLATE, f"{TEMPLATE}, page=lambda *_: 1 / 0", "ZeroDivisionError"),
        ("rank=15", "rank='first'", "rank"),
    ],
    ids=[
        "compute",
        "title",
        "line",
        "text",
        "empty text",
        "undefined",
        "template",
        "no part",
        "page",
        "rank",
    ],
)
def test_a_fault_of_a_section_of_ones_own_names_its_file(
    own: Files, tmp_path: Path, right: str, wrong: str, said: str
) -> None:
    text = SECTION.format(rank=15)
    assert right in text
    folder = own(mine=text.replace(right, wrong))
    run = Run(made_up_run(tmp_path / "run", num_classes=3, evaluated=False, epochs=3))

    def report() -> None:
        report_lines(run)
        write_page(run, images="none")

    with pytest.raises(InputError, match=said) as refused:
        report()
    assert "'mine'" in str(refused.value)
    assert str(folder / "mine.py") in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_fault_of_the_package_is_not_blamed_on_the_section_that_asked(
    own: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(mine=SECTION.format(rank=1).replace(COMPUTE, "facts.confusions"))
    run = Run(made_up_run(tmp_path / "run", num_classes=3, evaluated=False, epochs=3))

    def torn(facts: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(confusions, "SECTION", replace(confusions.SECTION, compute=torn))
    with pytest.raises(KeyError, match="lost"):
        collect(run)


def test_sections_that_need_each_other_are_named(own: Files, tmp_path: Path) -> None:
    other = {"mine": "other", "other": "mine"}
    own(**{name: SECTION.format(rank=15).replace(COMPUTE, f"facts.{of}") for name, of in other.items()})
    run = Run(made_up_run(tmp_path / "run", num_classes=3, evaluated=False, epochs=3))
    with pytest.raises(InputError, match="mine -> other -> mine"):
        collect(run)


def test_an_attribute_error_within_facts_is_not_taken_for_a_missing_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(made_up_run(tmp_path / "run", num_classes=3, evaluated=False))
    monkeypatch.setattr("longtail.report.section.read_evaluation", lambda run: run.no_such_thing)
    with pytest.raises(AttributeError, match="no_such_thing"):
        collect(run)
