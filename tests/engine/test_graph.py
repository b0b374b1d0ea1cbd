"""Recorded steps: the results of plain ones, whatever changes from step to step."""

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import STEPS, tiny
from torch import Tensor

from longtail.engine.display import Display
from longtail.engine.graph import WARM_UP, RecordedStep
from longtail.engine.job import build_job
from longtail.engine.optimizers import PlainSGD
from longtail.engine.step import StageTraining
from longtail.methods.icl import ICL
from longtail.runs.folder import RunFolder
from longtail.types import Batch, Progress

LENGTH = 5


class Again:
    """Stands in for CUDA: a replay calls the work again, which sees what was recorded and not what was meant."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0
        self.lasting: Callable[[], dict[str, Tensor]] = dict

    def ready(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1
        places = {name: tensor.data_ptr() for name, tensor in self.lasting().items()}

        def replay() -> None:
            now = self.lasting()  # a graph would write where they were
            assert {name: now[name].data_ptr() for name in places} == places
            self.replayed += 1
            work()

        return replay


class Refusing(Again):
    """Fails in the middle of a step, after the gradients are there, as a capture may."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

        with pytest.MonkeyPatch.context() as patch, torch.no_grad():
            patch.setattr(PlainSGD, "step", fail)
            held = {tensor: tensor.clone() for tensor in self.lasting().values()}
            try:
                with torch.enable_grad():
                    work()
            finally:
                for tensor, value in held.items():  # a capture does nothing
                    tensor.copy_(value)
        raise AssertionError


def lasting(training: StageTraining) -> dict[str, Tensor]:
    """What outlives a step: weights, statistics, momentum, sums."""
    job, meter = training.job, training.meter
    momentum = {
        f"momentum {n}": s["momentum_buffer"] for n, s in enumerate(training.optimizer.state.values())
    }
    sums = {
        f"{kind} {names}": t for kind in ("_sums", "_first_bad") for names, t in vars(meter)[kind].items()
    }
    counts = {"correct": meter._correct, "step": meter._step}
    return job.model.state_dict() | job.method.state_dict() | momentum | sums | counts


def train(
    tmp_path: Path,
    recorder: Again | None,
    phase: Callable[[Progress], Hashable | None] | None = None,
    **more: Any,
) -> tuple[dict[str, Tensor], list[dict[str, Any]], list[str]]:
    """Some epochs of the feature stage: weights and statistics at the end, the epochs' log, what was said."""
    changes = {"optim__epochs": LENGTH + 2, "method__diversity_stop": 2, "method__contrastive_start": 3}
    job = build_job(tiny(**(changes | more)), RunFolder(tmp_path / "job"), Display(1, quiet=True))
    training, said = StageTraining(job, 0), list[str]()
    if recorder is not None:
        recorder.lasting = lambda: lasting(training)
        training._recorded = RecordedStep(
            phase or job.method.phase, recorder, training.optimizer.zero_grad, said.append
        )
    log = []
    for epoch in range(LENGTH):
        steps = training.epoch(Progress("feature", epoch, LENGTH, epoch, epoch * STEPS, 3))
        while True:
            try:
                next(steps)
            except StopIteration as end:
                log.append(end.value)
                break
    return job.model.state_dict() | job.method.state_dict(), log, said


@pytest.fixture(scope="module")
def plain(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Tensor], list[dict[str, Any]], list[str]]:
    """Without a recorder; not to be changed."""
    return train(tmp_path_factory.mktemp("plain"), None)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, b[name]) for name, value in a.items())


def test_recorded_steps_do_what_plain_ones_do(tmp_path: Path, plain: Any) -> None:
    recorder = Again()
    recorded = train(tmp_path, recorder)
    assert same(plain[0], recorded[0])
    counts = [epoch.pop("replayed_steps") for epoch in recorded[1]]
    assert plain[1] == recorded[1]
    # two full batches and a smaller one an epoch; diversity in epochs 0-1, neither in 2, contrast in 3-4
    assert recorder.recorded == 2
    assert recorder.replayed == sum(counts) == 2 * (2 * 2 - WARM_UP)
    assert counts == [0, 1, 0, 0, 1]
    assert recorded[2] == []


def test_all_tensors_of_a_batch_are_those_of_the_step() -> None:
    seen: list[list[int]] = []

    class Done:
        ready = nullcontext

        def record(self, work: Callable[[], None]) -> Callable[[], None]:
            return work

    def step(batch: Batch, keys: Tensor, progress: Progress) -> None:
        parts = [batch, batch.other]
        tensors = [getattr(part, field.name) for part in parts for field in fields(Batch)]
        seen.append([int(one.flatten()[0]) for one in (keys, *tensors) if isinstance(one, Tensor)])

    recorded = RecordedStep(lambda _: 0, Done(), lambda: None, print)
    for number in range(6):
        one = torch.full((2,), number)
        image = one.view(2, 1, 1, 1).expand(2, 3, 1, 1)
        batch = Batch(image, one, one, repeats=one)
        recorded(step, replace(batch, other=batch), one.view(1, 2), Progress("feature", 0, 1, 0, 0, 0))
    assert seen == [[number] * 9 for number in range(6)]


def test_a_phase_that_hides_a_change_would_be_noticed(tmp_path: Path, plain: Any) -> None:
    assert not same(plain[0], train(tmp_path, Again(), lambda _: "one")[0])


def test_without_a_phase_nothing_is_recorded(tmp_path: Path) -> None:
    recorder = Again()
    train(tmp_path, recorder, lambda _: None)
    assert (recorder.recorded, recorder.replayed) == (0, 0)


def test_where_recording_fails_the_run_goes_on_and_says_so_once(tmp_path: Path, plain: Any) -> None:
    refused = train(tmp_path, Refusing())
    assert same(plain[0], refused[0])
    assert len(refused[2]) == 1
    assert "not permitted when stream is capturing" in refused[2][0]


def test_every_batch_has_its_own_images_and_every_epoch_its_own_views(tmp_path: Path) -> None:
    """What the test above compares would also be equal if neither changed."""
    seen: list[float] = []
    loss = ICL.loss

    def looking(self: ICL, output: Any, batch: Any, progress: Progress) -> Any:
        seen.append(batch.image.double().sum().item())
        return loss(self, output, batch, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ICL, "loss", looking)
        train(tmp_path, Again())
    assert len(set(seen)) == len(seen) == LENGTH * STEPS


def test_memory_that_moves_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_epoch = ICL.start_epoch

    def moving(self: ICL, progress: Progress) -> None:
        start_epoch(self, progress)
        self.confusion.counts = self.confusion.counts.clone()

    monkeypatch.setattr(ICL, "start_epoch", moving)
    with pytest.raises(AssertionError, match="confusion"):
        train(tmp_path, Again(), method__diversity_stop=0, method__contrastive_start=5)


def test_a_subclass_that_changes_a_step_is_not_recorded_by_its_parents_phases() -> None:
    class Ramp(ICL):
        def loss(self, *args: Any) -> Any:
            return super().loss(*args)

    class Named(Ramp):
        def phase(self, progress: Progress) -> Any:
            return progress.stage, progress.epoch

    here = Progress("feature", 0, 2, 0, 0, 0)
    for method, recorded in ((ICL, True), (Ramp, False), (Named, True)):
        made = method(method.Options(name="x"), torch.ones(3, dtype=torch.int64), 2, 4)
        assert (made.phase(here) is not None) == recorded


@pytest.mark.skipif(not torch.cuda.is_available(), reason="records CUDA graphs, needs a GPU")
@pytest.mark.parametrize("streams", [False, True])
def test_cuda_graphs_do_what_plain_steps_do(tmp_path: Path, streams: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    on = {"run__device": "cuda", "optim__peak_lr": 1e-3}
    plain = train(tmp_path, None, run__graphs=False, **on)
    recorded = train(tmp_path, None, run__graphs=True, run__expert_streams=streams, **on)
    assert "replayed_steps" not in plain[1][0]
    assert [epoch["replayed_steps"] for epoch in recorded[1]] == [
        0,
        1,
        0,
        0,
        1,
    ]  # a smaller batch is not seen often enough
    for name, value in plain[0].items():
        torch.testing.assert_close(recorded[0][name], value, rtol=1e-4, atol=1e-5, msg=name)
