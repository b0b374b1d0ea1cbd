"""What the page says, as HTML; every name goes through autoescape."""

import base64
import io
from functools import cache
from pathlib import Path

from jaxtyping import UInt8
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image
from torch import Tensor

from longtail.explain import Explanation, fit, overlay
from longtail.predict import Classifier

SURE = 0.5
"""Below this confidence a person should look."""
SHOWN, SIDE = 5, 240


@cache
def _templates() -> Environment:
    here = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=here, autoescape=True, undefined=StrictUndefined)


def _render(template: str, **values: object) -> str:
    return _templates().get_template(f"{template}.html").render(**values)


def style() -> str:
    """The page's own CSS."""
    return (Path(__file__).parent / "style.css").read_text("utf-8")


def intro(classifier: Classifier) -> str:
    """The head of the page: which run it is, and what to know of it."""
    counts, folder = class_counts(classifier), classifier.folder.path
    name = folder.resolve().name
    return _render(
        "intro",
        name=name,
        classes=len(counts),
        images=sum(counts.values()),
        experts=classifier.num_experts,
        note=(classifier.note or "").replace(str(folder), name),  # where it lies is nobody's business
        calibrated=classifier.description.get("temperature", 1.0) != 1.0,
    )


def class_list(classifier: Classifier) -> str:
    """The classes with their training images, the largest first."""
    counts = class_counts(classifier)
    return _render("classes", counts=sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def answer(explanation: Explanation, counts: dict[str, int], ignored: str = "") -> str:
    """What the experts say of an image.

    Args:
        explanation: of the image, its maps for its label.
        counts: training images of each class, in the order of the network's outputs.
        ignored: what of the file is damaged beside its pixels; "" where nothing is.
    """
    e, names = explanation, list(counts)
    best = e.probabilities.sort(descending=True, stable=True).indices[:SHOWN].tolist()
    picture = fit(e.picture, SIDE)
    rows = [(names[c], float(e.probabilities[c])) for c in best]
    return _render(
        "answer",
        label=e.label,
        percent=_percent(e.confidence),
        doubts=doubts(e),
        ignored=ignored,
        agree=sum(vote == e.label for vote in e.votes),
        experts=len(e.votes),
        rows=[
            {"name": n, "count": counts[n], "percent": _percent(p), "width": f"{100 * p:.1f}"}
            for n, p in rows
        ],
        picture=_data_uri(picture),
        places=tuple(e.maps.shape[-2:]),
        maps=[
            {"vote": vote, "source": _data_uri(overlay(picture, heat)), "empty": not heat.any()}
            for vote, heat in zip(e.votes, e.maps, strict=True)
        ],
    )


def refusal(name: str, reason: str) -> str:
    """Why a file gets no answer."""
    return _render("refusal", name=name, reason=reason)


def waiting() -> str:
    """What stands where the answer will be."""
    return _render("waiting")


def doubts(explanation: Explanation) -> list[str]:
    """Why a person should look at the image; empty where nothing speaks for it."""
    agree, experts = sum(v == explanation.label for v in explanation.votes), len(explanation.votes)
    found = []
    if agree < experts:
        found.append(f"only {agree} of {experts} experts say so" if agree else "no expert says so by itself")
    if explanation.confidence < SURE:
        found.append(f"the confidence is below {_percent(SURE)}")
    return found


def class_counts(classifier: Classifier) -> dict[str, int]:
    """Training images of each class, in the order of the network's outputs."""
    return dict(zip(classifier.classes, classifier.class_counts.tolist(), strict=True))


def _percent(fraction: float) -> str:
    """A probability as people read it; never a certainty that is not there.

    >>> _percent(0.834), _percent(0.9999), _percent(0.0004)
    ('83 %', 'over 99 %', 'under 1 %')
    """
    if 0 < fraction < 0.01:
        return "under 1 %"
    return "over 99 %" if fraction > 0.99 else f"{fraction:.0%}".replace("%", " %")


def _data_uri(pixels: UInt8[Tensor, "3 s s"]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(buffer, format="WEBP", quality=85)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
