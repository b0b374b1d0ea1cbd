"""Steps timed before images are read count what will be evaluated, and so does the size that the time allows."""

from dataclasses import replace

import pytest

from longtail.data import load_data
from longtail.data.source_kinds import read_source
from longtail.engine.timing import Timing, of_data
from longtail.recipe import Recipe, load_recipe
from longtail.search import probing

SPEED = Timing(0.044, 0.017, images=0, judged=0, final=0, where="1 CPU thread")


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setattr(probing, "time_steps", lambda *_: SPEED)
    return load_recipe("icl-digits")[0]


@pytest.mark.parametrize("validation", [0.0, 0.25])
def test_all_parts_of_the_source_are_counted(recipe, validation) -> None:
    given = {"data.validation": validation}
    recipe = load_recipe("icl-digits", given)[0]
    probed, known = probing.probe(recipe, read_source), of_data(SPEED, load_data(recipe.data))
    assert known.tested > 0
    assert probed.tested == pytest.approx(known.tested, abs=5)
    assert probed.judged == pytest.approx(known.judged, abs=5)


def test_an_own_validation_part_is_counted(recipe) -> None:
    source = read_source(recipe.data)
    both = replace(source, val=source.train)
    probed = probing.probe(recipe, lambda _: both)
    assert probed.judged == len(source.train.targets)
    assert probed.tested == len(source.train.targets) + len(source.test.targets)


def test_many_test_images_make_training_images_smaller(monkeypatch) -> None:
    recipe = load_recipe("finetune", {"data.path": "photos", "data.image_size": 224}, epochs=10)[0]
    timing = replace(SPEED, images=1_000, judged=20_000)
    monkeypatch.setattr(probing, "probe", lambda recipe, _: timing)
    smaller, _, cuts = probing.affordable(recipe, timing, read_source, {}, 560.0)
    assert smaller.data.image_size == 192  # an evaluation is of smaller images too
    assert len(cuts) == 1
    assert probing.affordable(recipe, replace(timing, judged=0), read_source, {}, 560.0) == (
        recipe, replace(timing, judged=0), [],
    )  # fmt: skip
