"""Every method learns: a short real run on digits, with as few experts as it allows, is far better than chance.

Each file in `longtail/methods/` is tested without being named here, and so are those in `LONGTAIL_METHODS`.
"""

from pathlib import Path

import pytest

from longtail.data.sources.named import digits
from longtail.engine import train
from longtail.engine.train import fit
from longtail.methods import available
from longtail.recipe import load_recipe

pytestmark = pytest.mark.slow

CHANCE = 0.1  # ten classes, a balanced test split
SHORT = {
    "data.max_count": 40, "data.imbalance_factor": 4.0, "data.augment": [], "model.name": "resnet8",
    "model.gates": False, "optim.batch_size": 32, "optim.peak_lr": 0.1, "optim.warmup_epochs": 0,
    "run.evaluate_every": 0, "run.device": "cpu", "run.threads": 1,
}  # fmt: skip


def fewest_experts(name: str) -> int:
    needed = available()[name].needs.get("num_experts", 1)
    return min(needed) if isinstance(needed, tuple) else int(needed)


def epochs_of(name: str) -> int:
    """Five, and two for each further stage: a stage of features has two at least."""
    cls = available()[name]
    return 3 + 2 * len(cls.stages(cls.Options(name=name), 200))


@pytest.mark.parametrize("name", list(available()))
def test_a_short_run_is_far_better_than_chance(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digits, "TEST_PER_CLASS", 20)
    monkeypatch.setattr(train, "_is_kept", lambda job, ends: ends)  # no state of epochs within a stage
    given = SHORT | {"method.name": name, "model.num_experts": fewest_experts(name)}
    recipe, _ = load_recipe("icl-digits", given, epochs=epochs_of(name))
    folder = fit(recipe, str(tmp_path / "run"), quiet=True)
    assert folder.metrics("test")["overall"] > 3 * CHANCE
