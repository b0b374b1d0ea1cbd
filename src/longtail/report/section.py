"""What a section of the report is, and the facts of a run that its sections state."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from longtail.errors import InputError
from longtail.report.facts.evaluation import Evaluation, read_evaluation
from longtail.report.head import Head, head
from longtail.report.parts import Images, Part
from longtail.runs.run import Run

T = TypeVar("T")


class Facts:
    """What the report states of a run; `facts.NAME` is what the section of that name computed, once.

    Attributes:
        run: its folder, finished or not, evaluated or not.
    """

    def __init__(self, run: Run, sections: Mapping[str, "Section[Any]"]) -> None:
        self.run, self._sections = run, sections
        self._computing: list[str] = []

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """The evaluated images; None where they are not in the folder, or there are none."""
        return read_evaluation(self.run)

    @cached_property
    def head(self) -> Head:
        """What was run, and what a reader has to know before believing any number."""
        return head(self.run, self.audit)

    def __getattr__(self, name: str) -> Any:
        known = self.__dict__.get("_sections", {})
        if name in ("evaluation", "head"):  # Python asks here once more where computing them failed
            return type(self).__dict__[name].func(self)
        if name not in known:
            raise AttributeError(f"no section of the report is called {name!r}; they are {', '.join(known)}")
        if name in self._computing:
            circle = " -> ".join([*self._computing[self._computing.index(name) :], name])
            raise InputError(f"sections of the report need each other's facts: {circle}; let one do without")
        self._computing.append(name)
        try:
            found = known[name].compute(self)
        finally:
            self._computing.pop()
        setattr(self, name, found)
        return found


@dataclass(frozen=True, kw_only=True)
class Section(Generic[T]):
    """One section of the report. Its file's name is its own: its address in the page, and where its facts are.

    Attributes:
        rank: its place; the lowest comes first. Those of the package are 10, 20 and so on to 110.
        short: its name among the links at the top of the page.
        heading: the question that it answers.
        compute: its facts, from those of other sections, the evaluated images and the run; None for nothing to say.
        terminal: lines for the terminal by the title that they stand under; what has no lines is left out.
        template: Jinja, which has `content` and the macros of `page/macros.html.jinja`; empty: not on the page.
        page: the `content` of the template, for which images are shown; where it is left out, the facts themselves.
            None: not on the page of this run.
        file: where it lies, for one of one's own; what finds it sets it.
    """

    rank: int
    short: str
    heading: str
    compute: Callable[[Facts], T | None]
    terminal: Callable[[T, Facts], Mapping[str, Sequence[str]]] | None = None
    template: str = ""
    page: Callable[[T, Facts, Images], Part | None] | None = None
    file: str = ""
