"""Which images are chosen, and how they are painted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from longtail.explain import Explanation, fit, overlay, write_sheet
from longtail.explain.examples import rule, select_examples
from longtail.explain.sheet import _draw, _fitting, _inches

COUNTS = {"many": 500, "some": 50, "few": 5}


def table(*rows: tuple[str, str, str, float, str]) -> pd.DataFrame:
    """Rows of (path, class, label, confidence, votes by first letter)."""
    names = {name[0]: name for name in COUNTS}
    made = []
    for path, own, label, confidence, votes in rows:
        each = {f"expert_{n}": names[letter] for n, letter in enumerate(votes, 1)}
        agreement = sum(vote == label for vote in each.values()) / len(votes)
        made.append(
            {
                "path": path,
                "class": own,
                "label": label,
                "confidence": confidence,
                "agreement": agreement,
                **each,
            }
        )
    return pd.DataFrame(made)


EVALUATED = table(
    ("a", "many", "some", 0.90, "sss"),  # tied with b: the path decides
    ("c", "many", "some", 0.70, "sss"),
    ("b", "many", "some", 0.90, "sms"),
    ("d", "many", "many", 0.40, "msf"),  # three opinions
    ("e", "few", "few", 0.50, "ffm"),  # two opinions
    ("f", "some", "some", 0.60, "ssm"),  # two, but surer
    ("g", "few", "few", 0.80, "fff"),
    ("h", "few", "few", 0.95, "fff"),
    ("i", "some", "some", 0.99, "sss"),
    ("j", "many", "many", 0.99, "mmm"),
)


def chosen(rows: pd.DataFrame) -> list[tuple[str, str]]:
    return [(rows["path"].iloc[row], why) for row, why in select_examples(rows, COUNTS)]


def test_the_rule_picks_what_it_says() -> None:
    expected = [
        *(("a", "confident mistake"), ("b", "confident mistake")),
        *(("d", "experts disagree"), ("e", "experts disagree")),
        *(("h", "rare and right"), ("i", "rare and right")),
    ]
    assert chosen(EVALUATED) == expected
    assert chosen(EVALUATED.sample(frac=1, random_state=0)) == expected


def test_fewer_where_there_are_no_mistakes_and_one_expert() -> None:
    right = EVALUATED[EVALUATED["path"].isin(["g", "h", "j"])].drop(columns=["expert_2", "expert_3"])
    assert chosen(right) == [("g", "least confident"), ("h", "least confident"), ("j", "rare and right")]
    assert select_examples(right.head(0), COUNTS) == []


def test_no_heat_leaves_the_grey_image_and_full_heat_covers_it() -> None:
    picture = torch.full((3, 6, 6), 100, dtype=torch.uint8)
    cold = overlay(picture, torch.zeros(2, 2))
    assert torch.equal(cold, torch.full((3, 6, 6), 85, dtype=torch.uint8))
    heat = torch.zeros(2, 2)
    heat[0, 0] = 1
    warm = overlay(picture, heat)
    assert torch.equal(warm[:, -1, -1], cold[:, -1, -1])
    assert warm[0, 0, 0] > 200  # the warm end of the colours
    assert (warm[:, 0, 0].int() - warm[:, 0, 0].int().min()).max() > 50  # and no grey


def test_pictures_never_grow_beyond_the_side_nor_blur() -> None:
    rng = np.random.default_rng(0)
    sizes = {8: 160, 32: 160, 150: 150, 160: 160, 224: 160}
    for size, expected in sizes.items():
        picture = torch.from_numpy(rng.integers(0, 256, (3, size, size), dtype=np.uint8))
        made = fit(picture, 160)
        assert made.shape == (3, expected, expected)
        if size < 160:
            assert torch.equal(made[:, :: expected // size, :: expected // size], picture)


def test_a_sheet_with_awkward_names_is_drawn_twice_alike(tmp_path: Path) -> None:
    odd = "a$_$ <b>\n狐 " + "x" * 300
    explanation = Explanation(
        path="caf\udce9.png", picture=torch.zeros(3, 8, 8, dtype=torch.uint8), label=odd, confidence=0.5,
        votes=(odd, "b"), probabilities=torch.tensor([0.5, 0.5]), shown="b", maps=torch.zeros(2, 2, 2), actual="b",
        layer="here",
        chosen="experts disagree",
    )  # fmt: skip
    files = [tmp_path / "1.png", tmp_path / "2.png"]
    for file in files:
        with file.open("wb") as opened:
            write_sheet([explanation] * 2, odd, opened)
    assert files[0].read_bytes() == files[1].read_bytes()
    with Image.open(files[0]) as sheet:
        assert 900 < sheet.width < 1500  # no long name makes it wider


@pytest.mark.parametrize("inches", [0.0, 0.8, 1.6])
def test_as_much_of_a_long_name_is_shown_as_fits(inches: float) -> None:
    name = "Sciurus_vulgaris_" * 12
    shown = _fitting(name, inches, 8.0, "bold")
    start, end = shown.split("…")
    assert len(start) == len(end)
    assert name.startswith(start)
    assert name.endswith(end)
    assert not start or _inches(shown, 8.0, "bold") <= inches
    more = len(start) + 1
    assert _inches(f"{name[:more]}…{name[-more:]}", 8.0, "bold") > inches


def test_votes_for_long_names_stay_distinct() -> None:
    votes = ("Sciurus_carolinensis_leucotis", "Sciurus_vulgaris_fuscoater")
    explanation = Explanation(
        path="a.png", picture=torch.zeros(3, 8, 8, dtype=torch.uint8), label=votes[0], confidence=0.5, votes=votes,
        probabilities=torch.tensor([0.5, 0.5]), shown=votes[0], maps=torch.zeros(2, 2, 2),
        layer="here",
    )  # fmt: skip
    captions = [text.get_text() for text in _draw([explanation], "").texts]
    votes = [text for text in captions if text.startswith("expert")]
    assert [text[-9:] for text in votes] == ["_leucotis", "fuscoater"]


@pytest.mark.parametrize("experts", [1, 2])
def test_one_network_neither_votes_nor_disagrees(experts: int) -> None:
    explanation = Explanation(
        path="a.png", picture=torch.zeros(3, 8, 8, dtype=torch.uint8), label="b", confidence=0.5,
        votes=("b",) * experts, probabilities=torch.tensor([0.5, 0.5]), shown="b",
        maps=torch.ones(experts, 7, 7), layer="here",
    )  # fmt: skip
    words = [text.get_text() for text in _draw([explanation], "").texts] + [rule(experts)]
    about = [any(part in text for text in words) for part in ("expert", "vote", "disagree")]
    assert about == [experts > 1] * 3


@pytest.mark.parametrize("experts", [1, 3])
def test_every_word_of_a_sheet_lies_within_it(experts: int) -> None:
    name = "WIDE WORDS OF A CLASS WITH A LONG NAME " * 3
    explanation = Explanation(
        path=f"{name}.png", picture=torch.zeros(3, 8, 8, dtype=torch.uint8), label=name, confidence=0.5,
        votes=(name,) * experts, probabilities=torch.tensor([0.5, 0.5]), shown="b", maps=torch.ones(experts, 7, 7),
        layer="the map after stage 3 of 7, since the last has 2 x 2 places", actual="b",
    )  # fmt: skip
    figure = _draw([explanation], f"What the experts of {name} look at")
    right = figure.bbox.width
    boxes = {text.get_text(): text.get_window_extent() for text in figure.texts}
    assert not {text: box.x1 for text, box in boxes.items() if box.x0 < 0 or box.x1 > right}
    title = next(box for text, box in boxes.items() if text.startswith("What the"))
    assert title.x1 < next(box for text, box in boxes.items() if text == "less").x0
    assert "since the last has 2 x 2 places." in " ".join(boxes)
