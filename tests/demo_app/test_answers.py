"""What the page says, as text: doubts, escaped names, honest per cents."""

import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock, Mock

import pytest
import torch

import longtail
from longtail.demo_app import app, page, start
from longtail.explain import Explanation
from longtail.predict import Classifier, load_run
from longtail.types import InputError

BAD = "<img src=x onerror=alert(1)>"
COUNTS = {"nv": 4303, BAD: 40}


def explanation(label: str, confidence: float, *votes: str) -> Explanation:
    other = 1 - confidence
    at = list(COUNTS).index(label)
    return Explanation(
        path="x.png", picture=torch.zeros(3, 8, 8, dtype=torch.uint8), label=label, confidence=confidence,
        votes=votes, probabilities=torch.tensor([confidence, other] if at == 0 else [other, confidence]),
        shown=label, maps=torch.zeros(len(votes), 2, 2), layer="the last maps",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("confidence", "votes", "said"),
    [
        (0.9, ("nv", "nv", "nv"), []),
        (0.9, ("nv", BAD, "nv"), ["only 2 of 3 experts say so"]),
        (0.4, ("nv", "nv"), ["the confidence is below 50 %"]),
        (0.4, (BAD, BAD), ["no expert says so by itself", "the confidence is below 50 %"]),
        (0.5, ("nv",), []),
    ],
)
def test_when_a_person_should_look(confidence: float, votes: tuple[str, ...], said: list[str]) -> None:
    found = explanation("nv", confidence, *votes)
    assert page.doubts(found) == said
    assert ("Have a person look" in page.answer(found, COUNTS)) == bool(said)


def test_a_damaged_file_that_is_answered_is_said() -> None:
    found = explanation("nv", 0.9, "nv")
    assert "damaged metadata, ignored" in page.answer(found, COUNTS, "damaged metadata, ignored")
    assert "About the file" not in page.answer(found, COUNTS)


def test_names_are_text_and_never_markup() -> None:
    page_text = page.answer(explanation(BAD, 0.7, BAD, "nv"), COUNTS) + page.refusal(BAD, "not an image")
    assert "<img src=x" not in page_text
    assert "&lt;img src=x onerror=alert(1)&gt;" in page_text


def test_classes_go_by_their_order_in_the_network() -> None:
    page_text = page.answer(explanation(BAD, 0.7, BAD), COUNTS)
    assert (
        page_text.index("70 %")
        < page_text.index("trained on 40<")
        < page_text.index("30 %")
        < page_text.index("trained on 4,303<")
    )


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    """Of a run whose classes have between 4 and 2 training images."""
    given = {
        "model.name": "resnet8",
        "model.num_experts": 1,
        "data.max_count": 4,
        "data.imbalance_factor": 2.0,
    }
    run = longtail.train(
        "icl-digits", method="cross_entropy", epochs=1, out=tmp_path / "r", set=given, quiet=True
    )
    return load_run(run.path)


def test_counts_go_by_the_order_of_the_network(classifier: Classifier) -> None:
    counts = page.class_counts(classifier)
    assert list(counts) == list(classifier.classes)
    assert list(counts.values()) == classifier.class_counts.tolist()
    assert counts["0"] == 4 > counts["9"]


def test_a_server_that_does_not_start_leaves_no_folder(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(*_: object, **more: object) -> None:
        assert list(tmp_path.glob("longtail-*"))
        raise OSError("the port was taken meanwhile")

    gradio = MagicMock()
    gradio.Blocks.return_value.__enter__.return_value.launch = launch
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(app, "load_gradio", lambda: gradio)
    with pytest.raises(
        OSError, match="meanwhile"
    ) as caught:  # whose frames keep the folder from being collected
        start(classifier)
    assert not list(tmp_path.glob("longtail-*")), caught


def test_without_gradio_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match=r"pip install gradio captum$"):
        start(Mock(spec=Classifier))
