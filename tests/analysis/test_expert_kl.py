"""How far the experts' predictions lie apart, as a run noted it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from longtail.analysis import expert_kl
from longtail.analysis.sources import named_runs
from longtail.types import InputError
from run_factory import made_up_run

NOTED = [None, [9.0, 9.0, 9.0, 9.0], None, [0.6, 1.2, None, 2.4]]


def test_the_newest_that_was_noted(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "a", num_classes=4, images=[5, 5, 0, 5], probed={"expert_kl": NOTED})
    table = expert_kl.compute(named_runs([run]))
    classes = table[table["level"] == "class"]
    assert classes["kl"].tolist()[:2] + classes["kl"].tolist()[3:] == [0.6, 1.2, 2.4]
    assert classes["kl_of_a_pair"].tolist()[1] == pytest.approx(1.2 / 6)  # six ordered pairs of three experts
    assert classes["train_images"].tolist() == [500, 107, 23, 5]
    groups = table[table["level"] == "group"].set_index("name")["kl"]
    assert groups.to_dict() == pytest.approx(
        {"all": 1.4, "many": 0.9, "few": 2.4}
    )  # the medium one has no images
    assert set(table["measured"]) == {"after epoch 4"}
    assert "1 class without evaluated images" in expert_kl.notes(table)[0]


def test_its_picture(tmp_path: Path, drawn: Callable[..., Figure]) -> None:
    noted = [None] * 3 + [[0.5 + 0.01 * c for c in range(60)]]
    runs = [
        made_up_run(tmp_path / "a", num_classes=60, probed={"expert_kl": noted}),
        made_up_run(tmp_path / "b", num_classes=4, probed={"expert_kl": NOTED}),
    ]
    assert len(drawn(expert_kl, expert_kl.compute(named_runs(runs)), ("run", "name")).axes) == 2
    assert len(drawn(expert_kl, expert_kl.compute(named_runs(runs[1:])), ("run", "name")).axes) == 2


def test_a_log_of_other_classes_and_a_single_expert_are_refused(tmp_path: Path) -> None:
    other = made_up_run(tmp_path / "other", num_classes=5, probed={"expert_kl": NOTED})
    with pytest.raises(InputError, match=r"damaged .*4 classes"):
        expert_kl.compute(named_runs([other]))
    single = made_up_run(tmp_path / "single", num_classes=4, experts=1)
    with pytest.raises(InputError, match="single expert"):
        expert_kl.compute(named_runs([single]))
