"""How alike the experts' mistakes are, on answers small enough to count."""

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from longtail.analysis import expert_errors
from longtail.analysis.sources import named_runs
from longtail.types import InputError
from run_factory import made_up_run

TRUE = [0, 0, 0, 0, 1, 1, 2, 2]
VOTES = [[0, 0, 1, 1, 1, 0, 0, 2], [0, 1, 1, 0, 1, 0, 1, 2]]


def test_counted_by_hand(tmp_path: Path, answered: Callable[..., Path]) -> None:
    run = answered(tmp_path / "a", TRUE, VOTES[0], VOTES)
    table = expert_errors.compute(named_runs([run])).set_index("group")
    assert table.loc["all", ["expert_a", "expert_b", "images"]].tolist() == [1, 2, 8]
    measures = ["disagreement", "both_wrong", "same_mistake", "error_correlation"]
    assert table.loc["all", measures].tolist() == [3 / 8, 3 / 8, 2 / 8, 0.5]
    assert table.loc["many", measures].tolist() == [2 / 4, 1 / 4, 1 / 4, 0]
    assert table.loc["few", measures].tolist() == [1 / 2, 1 / 2, 0, 1]


def test_an_expert_that_is_always_right_has_no_correlation(
    tmp_path: Path, answered: Callable[..., Path]
) -> None:
    run = answered(tmp_path / "a", [0, 0, 1, 1], [0, 0, 1, 1], [[0, 0, 1, 1], [0, 1, 1, 1]])
    table = expert_errors.compute(named_runs([run]))
    assert table["error_correlation"].isna().all()
    assert "no correlation for 3 pairs" in expert_errors.notes(table)[0]


def test_its_picture(tmp_path: Path, drawn: Callable[..., Figure]) -> None:
    runs = [made_up_run(tmp_path / name, num_classes=12, seed=seed) for seed, name in enumerate(("a", "b"))]
    assert len(drawn(expert_errors, expert_errors.compute(named_runs(runs))).axes) == 2
    few = made_up_run(tmp_path / "few", num_classes=3, images=1, experts=2)
    assert len(drawn(expert_errors, expert_errors.compute(named_runs([few]))).axes) == 2


def test_a_single_expert_and_no_evaluation_are_refused(tmp_path: Path) -> None:
    single = made_up_run(tmp_path / "single", num_classes=4, experts=1)
    with pytest.raises(InputError, match="single expert"):
        expert_errors.compute(named_runs([single]))
    bare = made_up_run(tmp_path / "not tested", num_classes=4, evaluated=False)
    with pytest.raises(InputError, match=f"longtail evaluate '{bare}'"):
        expert_errors.compute(named_runs([bare]))
