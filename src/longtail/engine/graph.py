"""CUDA graphs of training steps: a step is recorded once and replayed with one launch instead of two thousand."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from longtail.types import Batch, Progress

WARM_UP = 3

Step = Callable[[Batch, Int[Tensor, "v 2"], Progress], None]


@runtime_checkable
class Recorder(Protocol):
    """Interface that records and replays a step; the one for CUDA is `CudaRecorder`."""

    def ready(self) -> AbstractContextManager[Any]:
        """The context in which a step is done as it is before it is recorded."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record what the call launches, without doing it; returns what does it."""


class CudaRecorder:
    """CUDA graphs that share one pool of memory; they must not run at the same time."""

    def __init__(self, device: torch.device) -> None:
        here = torch.cuda.current_stream(device)  # a run among others has one of its own already
        new = here == torch.cuda.default_stream(device)
        self._stream = torch.cuda.Stream(device) if new else here  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def ready(self) -> Iterator[None]:
        """The stream that records, so that libraries and gradients set themselves up where they will be used."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            yield
        torch.cuda.current_stream().wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            work()
        replay: Callable[[], None] = graph.replay
        return replay


@dataclass
class _Recording:
    """One phase and batch shape: what a replay reads, and the replay once there is one."""

    batch: Batch
    keys: Tensor
    steps: int = 0
    replay: Callable[[], None] | None = None


class RecordedStep:
    """A step that is recorded and from its fourth call on replayed, with the results of the plain one.

    Two steps are the same recording when the method says that their phase is equal and their batches have one shape.
    Everything else that changes from step to step lies in tensors which the recording reads: images, targets and
    indices are copied into it, as are the keys of the augmentation; learning rate, weights and the method's
    statistics stay where they are. The first steps of each recording are done as they are. Where recording
    fails, every step is.

    Args:
        phase: of a place in the run; None where steps must not be recorded. See `Method.phase`.
        recorder: records.
        forget: drops the gradients that a recording left when it failed half-way.
        say: called once, with the reason, where nothing is recorded.
    """

    def __init__(
        self,
        phase: Callable[[Progress], Hashable | None],
        recorder: Recorder,
        forget: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._phase, self._recorder, self._forget, self._say = phase, recorder, forget, say
        self._replayed = 0
        self._recordings: dict[Hashable, _Recording] = {}
        self._works = True

    def __call__(self, step: Step, batch: Batch, keys: Int[Tensor, "v 2"], progress: Progress) -> None:
        """Do a step, by a replay where there is one; `step` does it and waits for nothing."""
        phase = self._phase(progress)
        if phase is None or not self._works:
            step(batch, keys, progress)
            return
        recording = self._find((phase, batch.image.shape, batch.image.dtype), batch, keys)
        if recording.replay is None and recording.steps >= WARM_UP:
            recording.replay = self._record(step, recording, progress)
        recording.steps += 1
        if recording.replay is None:
            with self._recorder.ready() if self._works else nullcontext():
                step(batch, keys, progress)
            return
        for kept, new in zip(_tensors(recording.batch), _tensors(batch), strict=True):
            kept.copy_(new)
        recording.keys.copy_(keys)
        recording.replay()
        self._replayed += 1

    def take_count(self) -> int:
        """How many steps were replayed since this was last asked."""
        count, self._replayed = self._replayed, 0
        return count

    def _find(self, key: Hashable, batch: Batch, keys: Tensor) -> _Recording:
        if key not in self._recordings:
            self._recordings[key] = _Recording(_copied(batch), keys.clone())
        return self._recordings[key]

    def _record(self, step: Step, recording: _Recording, progress: Progress) -> Callable[[], None] | None:
        try:
            return self._recorder.record(lambda: step(recording.batch, recording.keys, progress))
        except RuntimeError as error:
            self._works = False
            self._forget()
            reason = str(error).splitlines()[0]
            self._say(
                f"steps are not recorded as a CUDA graph ({reason}); going on without, with the same results"
            )
            return None


def _copied(batch: Batch) -> Batch:
    image, target, index = (tensor.clone() for tensor in (batch.image, batch.target, batch.index))
    repeats = None if batch.repeats is None else batch.repeats.clone()
    other = batch.other and _copied(batch.other)
    return replace(batch, image=image, target=target, index=index, repeats=repeats, other=other)


def _tensors(batch: Batch) -> tuple[Tensor, ...]:
    repeats = () if batch.repeats is None else (batch.repeats,)
    more = () if batch.other is None else _tensors(batch.other)
    return batch.image, batch.target, batch.index, *repeats, *more
