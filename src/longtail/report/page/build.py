"""From a run to the text of report.html: one file that needs nothing else and runs nothing but its own script."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import (
    ChoiceLoader,
    DictLoader,
    Environment,
    PackageLoader,
    StrictUndefined,
    Template,
    pass_context,
)
from jinja2.runtime import Context
from markupsafe import Markup

from longtail.printable import printable
from longtail.report.discovery import sections
from longtail.report.own_section import faults_named
from longtail.report.parts import Part

LONGEST = 24  # letters of a word that is kept whole; as in script.js


def render(head: Any, parts: Sequence[Part], data: Any, version: str) -> str:
    """Fill the template.

    Args:
        head: title, lead, notices and facts of the run.
        parts: the sections, in reading order.
        data: what the script is given: JSON.
        version: this package's.
    """
    script = _asset("script.js")
    return _template().render(
        head=head,
        parts=parts,
        filled=_filled,
        data=as_data(data),
        style=_asset("style.css"),
        script=script,
        script_hash=_hash(script),
        version=version,
    )


@pass_context
def _filled(context: Context, name: str, content: Any) -> Markup:
    """A section's template, filled; it knows what the page's own does."""
    with faults_named(name, sections()[name].file):
        template = context.environment.get_template(f"sections/{name}")
        return Markup(template.render({**context.get_all(), "content": content}))


@cache
def _template() -> Template:
    """The page's; it and those of the sections are compiled once."""
    own = {f"sections/{name}": section.template for name, section in sections().items()}
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("longtail.report.page", "."), DictLoader(own)]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["whole_words"] = whole_words
    environment.tests["long"] = is_long
    return environment.get_template("page.html.jinja")


def whole_words(text: str) -> Markup:
    """Text that may be broken after what joins words, and so nowhere within them."""
    return Markup("<wbr>").join(part for part in re.split(r"(?<=[_/-])", printable(text)) if part)


def is_long(text: str) -> bool:
    """Whether a word of the text is so long that it has to be broken all the same."""
    return any(len(word) > LONGEST for word in re.split(r"[\s_/-]", printable(text)))


def _printable(value: Any) -> Any:
    """Text without what cannot be printed: a name may hold anything."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def as_data(value: Any) -> str:
    """JSON that cannot end the element it lies in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    escapes = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    return "".join(escapes.get(character, character) for character in text)


def _asset(name: str) -> str:
    return resources.files("longtail.report.page").joinpath(name).read_text("utf-8")


def _hash(script: str) -> str:
    """The script's sha256, as a content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
