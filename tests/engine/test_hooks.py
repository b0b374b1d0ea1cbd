"""What a method may ask of the engine: each thing is done, survives a resume and is refused where it cannot be."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from test_resume import differences
from tiny_runs import STEPS, state_of, tiny

import longtail
from longtail import draws, methods
from longtail.engine.display import Display
from longtail.engine.job import build_job
from longtail.engine.step import StageTraining
from longtail.engine.train import fit
from longtail.method import Method
from longtail.methods import find
from longtail.recipe import load_recipe
from longtail.runs.folder import RunFolder
from longtail.types import Batch, InputError, Progress

PLUGINS = Path(__file__).parent / "plugins"
EVERYTHING = {"method__name": "everything", "optim__epochs": 3, "data__validation": 0.25}


@pytest.fixture(scope="module", autouse=True)
def plugins() -> Iterator[None]:
    before = [*methods.__path__]
    methods.__path__.append(str(PLUGINS))
    importlib.invalidate_caches()
    yield
    methods.__path__[:] = before
    methods.available.cache_clear()
    methods._load.cache_clear()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hooks") / "run"
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Display, "say", lambda self, line: said.append(line))
        fit(tiny(**EVERYTHING), str(out), quiet=True)
    (out.parent / "said").write_text("\n".join(said))
    return out


def test_what_a_method_does_at_the_end_is_said(run: Path) -> None:
    assert "everything is done" in (run.parent / "said").read_text().splitlines()


def test_a_run_that_was_stopped_is_resumed_to_the_same_bits(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the second epoch, whose survey, draws and teacher are then made again."""
    own = find("everything")
    observe = own.observe

    def stopping(self: Any, output: Any, batch: Any, progress: Any) -> None:
        if progress.step == STEPS + 1:
            raise KeyboardInterrupt
        observe(self, output, batch, progress)

    monkeypatch.setattr(own, "observe", stopping)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(**EVERYTHING), str(tmp_path / "run"), quiet=True)
    monkeypatch.setattr(own, "observe", observe)
    fit(tiny(**EVERYTHING), str(tmp_path / "run"), resume=True, quiet=True)
    one, other = state_of(run), state_of(tmp_path / "run")
    for key in ("model", "method", "optimizer"):
        assert differences(one[key], other[key]) == []


def test_what_a_stage_does_not_name_stays_as_it_was(run: Path, tmp_path: Path) -> None:
    job = build_job(tiny(**EVERYTHING), RunFolder(tmp_path), Display(3, quiet=True))
    training = StageTraining(job, 1)
    trained = {name for name, p in job.own_parameters.items() if p.requires_grad}
    assert trained == {"method.shift"}
    moved = sum(len(group["params"]) for group in training.optimizer.param_groups)
    assert moved == 1 + sum(p.requires_grad for p in job.model.parameters())
    first = StageTraining(job, 0)
    shares = {share for group in first.optimizer.param_groups for share in [group["share"]]}
    assert shares == {0.5, 1.0, 2.0}
    state = state_of(run)["method"]
    assert not torch.equal(state["scale"], torch.ones_like(state["scale"]))


def test_a_survey_sees_every_training_image_and_the_end_sees_the_held_out_ones(run: Path) -> None:
    classifier = longtail.load(run)
    method = classifier.method
    held = sum(1 for line in (run / "splits.csv").read_text().splitlines() if ",val" in line)
    assert method.held_out.tolist() == [held, held, len(classifier.classes)]
    assert method.means.ne(0).any(dim=-1).all()


def test_predictions_look_at_the_state_that_was_shipped(run: Path) -> None:
    loaded = longtail.load(run)
    assert torch.equal(loaded.method.shift, state_of(run)["method"]["shift"])


def test_the_second_batch_has_an_order_and_views_of_its_own(tmp_path: Path) -> None:
    job = build_job(tiny(**EVERYTHING), RunFolder(tmp_path), Display(3, quiet=True))
    seen: list[Batch] = []
    prepare = type(job.method).prepare

    def seeing(self: Any, batch: Batch, progress: Progress) -> Batch:
        seen.append(batch)
        return prepare(self, batch, progress)

    type(job.method).prepare = seeing  # type: ignore[method-assign]
    try:
        for _ in StageTraining(job, 0).epoch(Progress("first", 0, 2, 0, 0, 3)):
            pass
    finally:
        type(job.method).prepare = prepare  # type: ignore[method-assign]
    first = torch.cat([batch.index for batch in seen])
    others = [batch.other for batch in seen if batch.other is not None]
    second = torch.cat([other.index for other in others])
    assert sorted(first.tolist()) == list(range(len(job.data.train)))
    assert len(second) == len(first)
    assert len(second.unique()) < len(second)
    counts = torch.cat([other.target for other in others]).bincount(minlength=10).double()
    rare, common = job.data.class_counts.argmin(), job.data.class_counts.argmax()
    assert counts[rare] > counts[common]
    both = [(i, j) for i in range(len(first)) for j in range(len(second)) if first[i] == second[j]]
    images, more = torch.cat([b.image for b in seen]), torch.cat([other.image for other in others])
    assert any(not torch.equal(images[i], more[j]) for i, j in both)
    again = [(i, j) for j in range(len(second)) for i in range(j) if second[i] == second[j]]
    alike = sum(torch.equal(more[i], more[j]) for i, j in again)
    assert alike < len(again) / 4  # a crop may fall on the same place
    numbers = [number for other in others for number in draws.uniform(other)[:, 0].tolist()]
    assert all(numbers[i] != numbers[j] for i, j in again)


def test_draws_depend_on_the_image_the_epoch_and_the_slot_alone() -> None:
    def batch(rows: list[int], keys: tuple[int, int] = (5, 6)) -> Batch:
        index = torch.tensor(rows)
        return Batch(torch.zeros(len(rows), 3, 1, 1), index, index, keys=torch.tensor(keys))

    both, one = draws.uniform(batch([4, 9]), 3), draws.uniform(batch([9]), 3)
    assert torch.equal(both[1:], one)
    assert torch.equal(draws.uniform(batch([9]), 2, slot=1), one[:, 1:])
    assert not torch.equal(draws.uniform(batch([9], (5, 7)), 3), one)
    many = batch(list(range(4000)))
    assert abs(draws.uniform(many).mean() - 0.5) < 0.02
    assert abs(draws.normal(many).std() - 1) < 0.05
    assert draws.permutation(many).sort().values.tolist() == list(range(4000))
    for alpha in (0.2, 1.0, 4.0):
        shares = draws.Beta(alpha)(many)
        assert abs(shares.mean() - 0.5) < 0.02
        assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_what_a_method_overrides_it_has_to_declare() -> None:
    with pytest.raises(TypeError, match="mixes_images"):

        class Mixes(Method):
            def prepare(self, batch: Batch, progress: Progress) -> Batch:
                return batch

    with pytest.raises(TypeError, match="predicts_with_state"):

        class Predicts(Method):
            def logits(self, output: Any) -> Any:
                return output.logits[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"run.reuse_features": 1}, "second batch of images"),
        ({"model.num_experts": 3, "method.name": "two_only"}, "needs model.num_experts = 2"),
    ],
)
def test_refusals(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_recipe("icl-digits", {"method.name": "everything"} | given)


def test_a_method_put_into_a_recipe_brings_what_it_needs() -> None:
    recipe, notes = load_recipe("icl-digits", {"method.name": "two_only"})
    assert recipe.model.num_experts == 2
    assert recipe.method.model_dump()["start"] == 64
    assert any("needs model.num_experts = 2" in note for note in notes)
    assert any("start 64" in note for note in notes)
