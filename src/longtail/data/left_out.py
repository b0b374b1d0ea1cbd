"""What was found beside the images that are used: counted by reason, with a few examples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

EXAMPLES = 5  # names that are kept of each reason


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Files, images or rows that were found and are not used, for one reason.

    Attributes:
        reason: why, in words that follow "left out".
        count: how many, >= 1.
        examples: the first names, at most EXAMPLES; a folder, all of which is left out, ends in "/".
        is_problem: it could be the user's data, so `strict` refuses it; what is recognisably no data is said alone.
        noun: what is counted.
    """

    reason: str
    count: int
    examples: tuple[str, ...] = ()
    is_problem: bool = True
    noun: str = "file"

    def line(self) -> str:
        """One line for a person, by itself.

        >>> LeftOut("no ending", 7, ("a/x", "a/y")).line()
        '7 files left out, no ending: a/x, a/y and more'
        """
        return f"{self._counted()} left out, {self._why()}"

    def item(self) -> str:
        """One line for a person, of several below a headline that says that all of them are left out.

        >>> LeftOut("no ending", 7, ("a/x", "a/y")).item()
        '7 files, no ending: a/x, a/y and more'
        """
        return f"{self._counted()}, {self._why()}"

    def _counted(self) -> str:
        return f"{self.count:,} {self.noun}{'s' * (self.count != 1)}"

    def _why(self) -> str:
        folders = any(name.endswith("/") for name in self.examples)
        more = " and more" if len(self.examples) < self.count and not folders else ""
        shown = f": {', '.join(self.examples)}{more}" if self.examples else ""
        return f"{self.reason}{shown}"

    def contents(self) -> dict[str, Any]:
        """The form it has in JSON files."""
        return {
            "reason": self.reason,
            "count": self.count,
            "examples": list(self.examples),
            "is_problem": self.is_problem,
            "noun": self.noun,
        }


class FileCounts(NamedTuple):
    """What became of all that was found: the numbers add up to `seen`.

    Attributes:
        used: images that a run trains on or is tested on.
        unreadable: images that cannot be read.
        unknown_classes: images of classes without training images.
        not_drawn: images that the long-tail profile does not take.
        left_out: everything in `LeftOut`.
    """

    used: int
    unreadable: int = 0
    unknown_classes: int = 0
    not_drawn: int = 0
    left_out: int = 0

    @property
    def seen(self) -> int:
        """All of them."""
        return sum(self)

    def contents(self) -> dict[str, int]:
        """The form it has in JSON files."""
        return {"seen": self.seen, **self._asdict()}

    def line(self) -> str:
        """One line for a person.

        >>> FileCounts(20, unreadable=3, left_out=18).line()
        '20 of 41 files are used; 3 cannot be read, 18 left out'
        """
        words = ("cannot be read", "of classes without training images", "not drawn", "left out")
        others = [f"{number:,} {what}" for number, what in zip(self[1:], words, strict=True) if number]
        return f"{self.used:,} of {self.seen:,} files are used{'; ' * bool(others)}{', '.join(others)}"


@dataclass
class Collector:
    """Counts what is left out by reason while it is found; memory does not grow with the number of files."""

    _found: dict[tuple[str, bool, str], tuple[int, list[str]]] = field(default_factory=dict)

    def add(
        self, reason: str, example: str, count: int = 1, *, is_problem: bool = True, noun: str = "file"
    ) -> None:
        """Count one more, or a folder of `count` files, for a reason; see `LeftOut`."""
        if count == 0:
            return
        known, examples = self._found.get((reason, is_problem, noun), (0, []))
        if len(examples) < EXAMPLES and example not in examples:
            examples.append(example)
        self._found[reason, is_problem, noun] = known + count, examples

    def extend(self, found: Iterable[LeftOut]) -> None:
        """Add what another collector has found."""
        for one in found:
            known, examples = self._found.get((one.reason, one.is_problem, one.noun), (0, []))
            joined = list(dict.fromkeys((*examples, *one.examples)))[:EXAMPLES]
            self._found[one.reason, one.is_problem, one.noun] = known + one.count, joined

    def found(self) -> tuple[LeftOut, ...]:
        """What was left out, problems first and then in the order of discovery."""
        found = [
            LeftOut(reason, count, tuple(examples), is_problem, noun)
            for (reason, is_problem, noun), (count, examples) in self._found.items()
        ]
        return tuple(sorted(found, key=lambda one: not one.is_problem))


def left_out_of(contents: Iterable[Mapping[str, Any]]) -> tuple[LeftOut, ...]:
    """From the form of JSON files; raises KeyError or TypeError where it is another."""
    return tuple(
        LeftOut(
            str(one["reason"]), int(one["count"]), tuple(map(str, one["examples"])), bool(one["is_problem"]),
            str(one["noun"]),
        )
        for one in contents
    )  # fmt: skip


def left_out_lines(found: Sequence[LeftOut], *, problems_only: bool = False) -> list[str]:
    """What a person reads where no line before says how much is left out: a headline, and an item for each reason.

    >>> left_out_lines([LeftOut("no ending", 7), LeftOut("hidden", 1, (".x",))])
    ['8 files left out:', '  7 files, no ending', '  1 file, hidden: .x']
    """
    kept = [one for one in found if one.is_problem or not problems_only]
    if len(kept) < 2:
        return [one.line() for one in kept]
    nouns = list(dict.fromkeys(f"{one.noun}s" for one in kept))
    return [f"{sum(one.count for one in kept):,} {' and '.join(nouns)} left out:", *left_out_items(kept)]


def left_out_items(found: Sequence[LeftOut]) -> list[str]:
    """The items alone, below a line that says how much is left out, see `left_out_lines`."""
    return [f"  {one.item()}" for one in found]
