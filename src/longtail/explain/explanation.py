"""What the experts of a run say of images, and where they see it."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from longtail.data import read_images
from longtail.engine.evaluate import Predictions
from longtail.explain.grad_cam import brightest_is_one, grad_cam
from longtail.explain.shown_layers import attached, shown_layers
from longtail.predict import Classifier
from longtail.types import InputError

PICTURE = 224
"""Side in pixels of the pictures of files: a person sees more than a small network does."""
_BATCH = 8  # images whose gradients are in memory at a time


@dataclass(frozen=True)
class Explanation:
    """One image, what is said of it, and a map for each expert.

    Attributes:
        path: the image's name.
        picture: what a person is shown: the square that the network sees.
        label: the class that all experts together choose.
        confidence: calibrated probability of `label`.
        votes: (M) the class that each expert would choose alone.
        probabilities: (C,) calibrated.
        shown: the class that the maps are for.
        layer: where in the network the maps are taken, see `shown_layers`.
        maps: (M, h, w) in [0, 1], each divided by its own maximum; zero where nothing speaks for `shown`.
        actual: the image's class, where it is known.
        chosen: why this image was chosen, where a rule chose it.
    """

    path: str
    picture: UInt8[Tensor, "3 s s"]
    label: str
    confidence: float
    votes: tuple[str, ...]
    probabilities: Float[Tensor, " c"]
    shown: str
    maps: Float[Tensor, "m h w"]
    layer: str
    actual: str | None = None
    chosen: str | None = None


def explain_images(
    classifier: Classifier,
    paths: Sequence[str],
    images: UInt8[Tensor, "n 3 h w"],
    pictures: UInt8[Tensor, "n 3 s s"] | None = None,
    class_name: str | None = None,
) -> Iterator[Explanation]:
    """Explain images in memory, a few at a time.

    Args:
        classifier: whose experts are asked.
        paths: a name for each image.
        images: what the network is given.
        pictures: the same squares for people; default: `images`.
        class_name: the class to look for; default: for each image the label that all experts together give it.

    Raises:
        InputError: a class that the run does not know; captum is not installed.
    """
    wanted = None if class_name is None else _position(class_name, classifier.classes)
    shown = images if pictures is None else pictures
    for start in range(0, len(paths), _BATCH):
        part = slice(start, start + _BATCH)
        yield from _explain(classifier, paths[part], images[part], shown[part], wanted)


def explain_files(
    classifier: Classifier,
    files: Sequence[Path],
    unreadable: list[tuple[str, str]],
    repaired: list[tuple[str, str]],
    class_name: str | None = None,
) -> Iterator[Explanation]:
    """Explain image files.

    Args:
        classifier: whose experts are asked.
        files: the images.
        unreadable: filled with (path, reason) of those that cannot be read.
        repaired: filled with (path, what was ignored) of those that are damaged beside their pixels.
        class_name: as for `explain_images`.
    """
    size = classifier.description["image_size"]
    images, bad, damaged = read_images(files, size, classifier.bits, classifier.framing)
    unreadable.extend(bad)
    repaired.extend(damaged)
    skipped = {path for path, _ in bad}
    readable = [file for file in files if str(file) not in skipped]
    pictures, *_ = read_images(readable, max(PICTURE, size), classifier.bits, classifier.framing)
    yield from explain_images(classifier, [str(file) for file in readable], images, pictures, class_name)


def _explain(
    classifier: Classifier, paths: Sequence[str], images: Tensor, pictures: Tensor, wanted: int | None
) -> Iterable[Explanation]:
    with torch.no_grad():
        logits, each = classifier.logits(images)
    said = Predictions.joined([Predictions.of(logits, each)])
    labels, names = said.labels[:, 0], classifier.classes
    target = labels if wanted is None else torch.full_like(labels, wanted)
    model = classifier.model
    places = shown_layers(model, lambda: classifier.logits(images[:1]))
    with attached(model):
        found = grad_cam(
            lambda x: classifier.logits(x)[1], places.layers, images.to(classifier.device), target
        )
    maps = brightest_is_one(found).cpu()
    for row, path in enumerate(paths):
        yield Explanation(
            path=path,
            picture=pictures[row],
            label=names[int(labels[row])],
            confidence=float(said.confidences[row, 0]),
            votes=tuple(names[vote] for vote in said.experts[row].tolist()),
            probabilities=logits[row].softmax(dim=-1).cpu(),
            shown=names[int(target[row])],
            maps=maps[:, row],
            layer=places.name,
        )


def _position(name: str, classes: Sequence[str]) -> int:
    if name in classes:
        return classes.index(name)
    near = difflib.get_close_matches(name, classes, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"classes are {', '.join(classes[:10])}"
    rest = "" if near or len(classes) <= 10 else f" and {len(classes) - 10} more"
    raise InputError(f"the run knows no class {name!r}; {hint}{rest}")
