"""The table of a study: seeds put together, differences by hand, the four forms."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longtail.study import layout
from longtail.study.result import Images, Result, read_results, write_result
from longtail.study.run import table_of
from longtail.study.study_file import Study
from longtail.study.table import Gain, gain, gain_text, rows_of
from longtail.types import InputError

SCORES = ("overall", "macro", "many", "medium", "few")


def images(right: list[bool], hash_: str = "a") -> dict[str, Any]:
    return {"hash": hash_, "counts": [4, 2], "right": np.packbits(np.array(right)).tobytes().hex()}


def cell(
    key: str, seed: int, right: list[bool] | None = None, hash_: str = "a", **more: Any
) -> dict[str, Any]:
    macro = 0.5 if right is None else (sum(right[:4]) / 4 + sum(right[4:]) / 2) / 2
    seen = {} if right is None else {"images": images(right, hash_)}
    found = {"metrics": dict.fromkeys(SCORES, macro) | {"few": None}, "seconds": 10.0 * (seed + 1), **seen}
    command = f"longtail bench s --only {key} --seeds {seed}"
    return {
        "table": "s", "row": f"{key}_& row", "paper": 57.6, "command": command, "machine": {}, "study": "s",
        "key": key, "parameters": 460000, "seeds": {str(seed): found}, **more,
    }  # fmt: skip


ONE = [True, True, False, False, True, True]
TWO = [True, True, True, False, False, True]


def results(*cells: dict[str, Any]) -> list[Result]:
    return [Result.model_validate(each) for each in cells]


def test_seeds_of_a_row_are_put_together() -> None:
    first, second = rows_of(results(cell("a", 1, ONE), cell("b", 0), cell("a", 0, TWO)))
    assert list(first.seeds) == ["0", "1"]
    assert first.values("macro") == [pytest.approx(0.625), pytest.approx(0.75)]
    assert first.commands == ("longtail bench s --only a --seeds 0,1",)
    assert (first.seconds, second.seconds) == (15.0, 10.0)


def test_the_difference_is_paired_over_seeds_and_images() -> None:
    a, b = rows_of(results(cell("a", 0, ONE), cell("a", 2, ONE), cell("b", 0, TWO), cell("b", 1, TWO)))
    found = gain(a, b)
    assert isinstance(found, Gain)
    assert (found.value, found.seeds) == (pytest.approx(0.125), 1)
    weight = np.array([1 / 8] * 4 + [1 / 4] * 2)
    each = weight * (np.array([0, 0, -1, 0, 1, 0]) - 0.125)
    half = 1.959964 * ((each**2).sum() + (weight**2).sum() / 6) ** 0.5
    assert (found.low, found.high) == (pytest.approx(0.125 - half), pytest.approx(0.125 + half))
    assert gain_text(found) == f"+12.5 [{100 * (0.125 - half):.1f}, {100 * (0.125 + half):.1f}]"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (cell("b", 1, TWO), "no seed in common"),
        (cell("b", 0), "images not kept"),
        (cell("b", 0, TWO, "other"), "other test images"),
    ],
)
def test_what_cannot_be_paired_has_no_difference(other: dict[str, Any], why: str) -> None:
    a, b = rows_of(results(cell("a", 0, ONE), other))
    assert gain(a, b) == why
    assert gain_text(why) == "-"


def test_the_four_forms_say_the_same_and_name_each_command() -> None:
    study = Study.model_validate(
        {"name": "s", "title": "T", "recipe": "r", "against": "b", "rows": {"b": {}, "a": {}, "c": {}}}
    )
    table = table_of(study, results(cell("b", 0, TWO), cell("a", 0, ONE), cell("a", 1, ONE)))
    forms = [
        "\n".join(layout.terminal(table)),
        layout.markdown(table),
        layout.latex(table),
        layout.csv(table),
    ]
    for form in forms:
        assert "longtail bench s --only a --seeds 0,1" in form
        assert "longtail bench s --only b --seeds 0" in form
    for form in forms[:3]:
        assert "57.6" in form
        assert "+12.5 [" in form
        assert "0.46" in form
        assert "top-1 accuracy as published" in form
        assert "1 of 3 rows have no result yet: c." in form
    for form in forms[:2]:
        assert "macro - b_& row" in form
    assert r"a\_\& row & 75.0 $\pm$ 0.0" in forms[2]
    (b, a) = csv.DictReader(forms[3].splitlines())
    assert (a["row"], a["macro"], a["macro_sd"], a["few"], a["gain"]) == ("a", "0.75", "0.0", "", "0.125")
    assert (b["gain"], b["macro_sd"], b["seeds"], a["seeds"]) == ("", "", "0", "0 1")


def test_files_of_the_older_form_are_read(tmp_path: Path) -> None:
    old = {
        "table": "digits", "row": "ICL", "paper": None, "command": "python benchmarks/score.py x", "machine": {},
        "seeds": {str(n): {"metrics": dict.fromkeys(SCORES, 0.5), "seconds": 1.0} for n in (0, 1)},
    }  # fmt: skip
    write_result(tmp_path / "old.json", old)
    write_result(tmp_path / "new.json", cell("a", 0, ONE))
    (tmp_path / "other.json").write_text(json.dumps({"tables": []}))
    assert [(r.row, r.study, len(r.seeds)) for r in read_results(tmp_path)] == [
        ("a_& row", "s", 1),
        ("ICL", None, 2),
    ]
    write_result(tmp_path / "new.json", cell("a", 0, ONE, seeds={"0": {"seconds": 1.0}}))
    with pytest.raises(InputError, match=r"new\.json is damaged \(seeds.0.metrics is missing"):
        read_results(tmp_path)


def test_right_has_a_bit_for_each_image() -> None:
    seen = Images.model_validate(images(ONE))
    assert seen.flags.tolist() == ONE
    assert seen.target.tolist() == [0, 0, 0, 0, 1, 1]
    with pytest.raises(ValueError, match="a bit for each image"):
        Images.model_validate(images(ONE) | {"counts": [40, 2]})
