"""How the settings of a run were chosen, where they were found on its own images."""

from collections.abc import Mapping, Sequence
from typing import Any

from longtail.durations import duration
from longtail.report.parts import Images, Part, Table
from longtail.report.section import Facts, Section
from longtail.runs import layout
from longtail.runs.schema import SearchRecord, Trial

TEMPLATE = """\
{{ sentences(content.sentences) }}
{% if content.heads or content.table %}
{% call fold("What was tried") %}
{% for heads in content.heads %}
{% if loop.first %}<h3>Classifiers on features</h3>
<p>{{ content.about_heads }}</p>
{{ table(heads) }}{% else %}<details><summary>{{ heads.rows|length }} more</summary>{{ table(heads) }}</details>\
{% endif %}
{% endfor %}
{% if content.table %}<h3>Short trainings</h3>
<p>{{ content.about_table }}</p>
{{ table(content.table) }}{% endif %}
{% endcall %}
{% endif %}
"""


FIRST = 3  # classifiers on features that are shown; the rest is folded
WORDS = {"suggested": "-", "better": "better", "tie": "a tie, within chance", "worse": "worse"}


def compute(facts: Facts) -> SearchRecord | None:
    """What search.json says; None where the settings of a run were not found by a search."""
    return facts.run.read(layout.SEARCH)


def page(found: SearchRecord, facts: Facts, images: Images) -> Part:
    return Part(content(found))


def content(found: SearchRecord) -> Mapping[str, Any]:
    """What was tried, and why the settings were chosen."""
    about_heads = about_table = ""
    if found.heads:
        best = next((one for one in found.heads if one.chosen), found.heads[0])
        about_heads = (
            f"Classifiers on features of the frozen network were compared first, by cross-validation on "
            f"{found.head_images:,} training images: of {len(found.heads)} kinds, {best.name} has the least log loss, "
            f"and macro recall {_row(best)[1]} %."
        )
    if found.trials:
        about_table = (
            "Each of these was trained for a short time on some of the training images, and judged on the same "
            f"{found.images:,} others. Test images were not used. A difference whose interval includes 0 is a tie, "
            "and a tie goes to the suggested settings, which are simpler."
        )
    if found.heads and found.trials:
        about_table += (
            " Comparing classifiers on features with fine-tuning favours the features: the best of many classifiers, "
            "fitted to the end, against few short fine-tunings."
        )
    first = (
        f"The command had {found.minutes:g} minutes; choosing settings took {duration(found.seconds)}. "
        f"Steps were timed: {found.speed}."
    )
    return {
        "sentences": [first, *(f"{line[:1].upper()}{line[1:]}." for line in found.reasons)],
        "about_heads": about_heads,
        "about_table": about_table,
        "heads": [_table(part, "difference to the first") for part in _halves(found.heads)],
        "table": _table(found.trials, "difference to the suggestion") if found.trials else None,
    }


def _halves(rows: Sequence[Trial]) -> list[Sequence[Trial]]:
    """The first rows, which are the best, and the rest; what is empty is left out."""
    return [part for part in (rows[:FIRST], rows[FIRST:]) if part]


def _table(rows: Sequence[Trial], difference: str) -> Table:
    header = ("tried", "macro recall", difference, "so it is", "trained", "taken")
    return Table("Macro recall in %, with 95 % intervals.", header, [_row(one) for one in rows], (0, 3, 4, 5))


def _row(one: Trial) -> list[str]:
    gain = "-"
    if one.gain is not None and one.gain_low is not None and one.gain_high is not None:
        gain = f"{100 * one.gain:+.1f} ({100 * one.gain_low:+.1f} to {100 * one.gain_high:+.1f})"
    value = f"{100 * one.macro:.1f} ({100 * one.low:.1f} to {100 * one.high:.1f})"
    return [
        one.name,
        value,
        gain,
        WORDS.get(one.verdict, one.verdict),
        one.how,
        "yes" if one.chosen else "no",
    ]


SECTION = Section(
    rank=100,
    short="Settings",
    heading="How were the settings chosen?",
    compute=compute,
    page=page,
    template=TEMPLATE,
)
