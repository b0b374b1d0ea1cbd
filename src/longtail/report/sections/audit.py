"""What is in the data? Class counts by rank, and what the audit found before training."""

from collections.abc import Mapping, Sequence

from longtail.data.repairing import REPAIRED
from longtail.plurals import counted
from longtail.report.facts.audit import Audit, read_audit, straddling
from longtail.report.parts import Images, Part, Picture, Table, shown, shown_path
from longtail.report.section import Facts, Section
from longtail.report.text import left_out, not_used

TEMPLATE = """\
{% set d = content %}
{{ sentences(d.sentences) }}
{% if d.pictures or d.tables %}{% call fold("Class sizes and copies") %}
{{ pictures(d.pictures) }}
{% for t in d.tables %}<h3>{{ t.caption.split(";")[0] }}</h3>{{ table(t) }}{% endfor %}
{% endcall %}{% endif %}
{% if not d.audited %}<p>This run has no record of a check of its data.{% if d.check %} Look for duplicates, \
leaks and damaged files with:</p>
<pre><code>{{ d.check }}</code></pre>{% else %}</p>{% endif %}
{% elif not d.checked_near %}<p>Nearly equal images were not looked for.{% if d.check %} Find them with:</p>
<pre><code>{{ d.check }}</code></pre>{% else %}</p>{% endif %}{% endif %}
"""


SHOWN = 20  # entries of a list; the run folder holds the rest


def compute(facts: Facts) -> Audit:
    return read_audit(facts.run)


def terminal(found: Audit, facts: Facts) -> Mapping[str, Sequence[str]]:
    metrics = facts.run.metrics
    return {
        **({} if metrics is None else left_out(metrics)),
        "Too good to be true": list(straddling(found)),
        **not_used(found.left_out, found.files),
    }


def page(found: Audit, facts: Facts, images: Images) -> Part:
    """Class sizes, and what is odd."""
    sentences = _sentences(found)
    tables = [table for table in (_duplicates(found), _leaks(found)) if table is not None]
    if found.audited and not sentences and not tables:
        sentences.append("Nothing odd was found.")
    content = {
        "sentences": sentences,
        "pictures": [_sizes(found, facts)] if found.counts else [],
        "tables": tables,
        "audited": found.audited,
        "checked_near": found.checked_near,
        "check": found.check,
    }
    return Part(content)


def _sizes(found: Audit, facts: Facts) -> Picture:
    from longtail.report.pictures import class_figures  # matplotlib: only for the page
    from longtail.report.pictures.svg import to_svg

    edges = facts.size.edges if facts.size is not None else ()
    title = "Training images of each class"
    caption = f"{len(found.counts):,} classes, from {found.counts[0].train_images:,} images down to "
    caption += f"{found.counts[-1].train_images:,}."
    svg = to_svg(class_figures.counts_by_rank(found.counts, edges), "counts", title, caption)
    return Picture(title, svg, caption)


def _sentences(found: Audit) -> list[str]:
    lists = (
        ("Could not be read", "image", _with_reasons(found.unreadable)),
        (f"{REPAIRED[0].upper()}{REPAIRED[1:]}", "image", _with_reasons(found.repaired)),
        ("Looks odd", "image", _with_reasons(found.suspicious)),
        (
            "Unknown to the model, left out",
            "class",
            [f"{name} ({n})" for name, n in found.unknown_classes],
        ),
        ("Not tested", "class", found.not_tested),
        ("A single image", "class", found.single_image),
        ("Too few images to be tested", "class", found.too_small),
    )
    sentences = [_list(noun, text, names) for text, noun, names in lists if names]
    sentences += [f"{shown(one[:1].upper() + one[1:])}." for one in found.remarks]
    if found.left_out:
        items = "; ".join(shown(one.item()) for one in found.left_out)
        sentences.append(f"{'Left out' if found.files is None else found.files.line()}: {items}.")
    return sentences


def _list(noun: str, text: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    listed = ", ".join(shown(name) for name in names[:SHOWN])
    return f"{text}: {counted(len(names), noun)}: {listed}{more}."


def _with_reasons(entries: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{shown_path(path)} ({reason})" for path, reason in entries]


def _duplicates(found: Audit) -> Table | None:
    if not found.duplicates:
        return None
    rows = [
        (", ".join(map(shown_path, one.paths[:4])), {"exact": "the same", "near": "nearly the same"}[one.kind],
         ", ".join(one.splits), ", ".join(one.classes),
         "; ".join(" = ".join(map(shown_path, pair)) for pair in dict.fromkeys((one.leak, one.conflict)) if pair))
        for one in found.duplicates[:SHOWN]
    ]  # fmt: skip
    total = len(found.duplicates)
    some = f"; the first {SHOWN} of {total:,}" if total > SHOWN else ""
    caption = f"Images that occur more than once{some}"
    return Table(caption, ("images", "alike", "splits", "classes", "shown by"), rows, (0, 1, 2, 3, 4))


def _leaks(found: Audit) -> Table | None:
    if not found.leaking_groups:
        return None
    rows = [(one.group, ", ".join(one.splits), f"{one.images:,}") for one in found.leaking_groups[:SHOWN]]
    total = len(found.leaking_groups)
    some = f"; the first {SHOWN} of {total:,}" if total > SHOWN else ""
    return Table(f"Groups in more than one split{some}", ("group", "splits", "images"), rows, (0, 1))


SECTION = Section(
    rank=80,
    short="Data",
    heading="What is in the data?",
    compute=compute,
    terminal=terminal,
    page=page,
    template=TEMPLATE,
)
