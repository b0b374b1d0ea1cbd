"""Each expert's share of the gradient, from the log."""

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from longtail.analysis import gradient_share
from longtail.analysis.sources import named_runs
from longtail.types import InputError
from run_factory import made_up_run

SHARES = [[0.5, 0.3, 0.2], [0.4, 0.35, 0.25], [0.34, 0.33, 0.33], None]


def test_a_row_for_each_expert_and_epoch(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "a", num_classes=4, probed={"gradient_share": SHARES})
    table = gradient_share.compute(named_runs([run]))
    assert list(table.columns) == ["run", "epoch", "stage", "expert", "share"]
    assert table[table["expert"] == 2]["share"].tolist()[:3] == [0.3, 0.35, 0.33]
    assert table["epoch"].tolist() == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    assert table.loc[table["epoch"] == 4, "share"].isna().all()
    assert "no share in 1 of 4 epochs" in gradient_share.notes(table)[0]


def test_its_picture(tmp_path: Path, drawn: Callable[..., Figure]) -> None:
    runs = [
        made_up_run(tmp_path / name, num_classes=4, probed={"gradient_share": SHARES})
        for name in ("a", "a run with a name that is much too long for the panel", "c", "a$_$")
    ]
    figure = drawn(gradient_share, gradient_share.compute(named_runs(runs)))
    assert len(figure.axes) == 4
    solid = [line for line in figure.axes[0].lines if line.get_marker() not in ("None", None)]
    assert [list(line.get_ydata()) for line in solid] == [
        [0.5, 0.4, 0.34],
        [0.3, 0.35, 0.33],
        [0.2, 0.25, 0.33],
    ]
    drawn(gradient_share, gradient_share.compute(named_runs(runs[:1])))


def test_what_a_run_lacks_is_said_with_the_remedy(tmp_path: Path) -> None:
    plain = made_up_run(tmp_path / "no probe", num_classes=4)
    with pytest.raises(InputError, match="gradient_share") as refused:
        gradient_share.compute(named_runs([plain]))
    assert f"longtail train '{plain / 'recipe.toml'}' --set 'run.probes=" in str(refused.value)
    single = made_up_run(tmp_path / "single", num_classes=4, experts=1)
    with pytest.raises(InputError, match="single expert"):
        gradient_share.compute(named_runs([single]))
    other = made_up_run(tmp_path / "other", num_classes=4, probed={"gradient_share": [[0.5, 0.5]] * 4})
    with pytest.raises(InputError, match="damaged"):
        gradient_share.compute(named_runs([other]))
