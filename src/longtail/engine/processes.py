"""Data-parallel training: each process computes its shard of every batch, and all hold the same state."""

import atexit
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache, partial
from operator import mul
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch import distributed as dist
from torch.nn.functional import pad

from longtail.metrics import EvaluationCounts
from longtail.stopping import handled_by
from longtail.types import InputError

LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
GRACE = 5.0
Result = TypeVar("Result")


@dataclass(frozen=True)
class Processes:
    """The processes of one launcher. All of them call the methods that communicate, in the same order.

    Attributes:
        rank: number of this one, 0 <= rank < count.
        count: how many there are; with one, every method does nothing but the obvious.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files and talks to people."""
        return self.rank == 0

    def part(self, rows: Tensor) -> Tensor:
        """The rows of this process: contiguous, and as many as any other's or one less; possibly none."""
        return rows.tensor_split(self.count)[self.rank]

    def gather(self, own: Float[Tensor, "m own n"], rows: int, views: int = 1) -> Float[Tensor, "m all n"]:
        """The whole batch from each process's part, in the batch's order, view after view.

        Every process must go on to compute the same loss from it. Backward hands each its own slice of the
        gradient, times the number of processes, so that a mean over processes gives the gradient of that loss: what
        passes through the slices is summed, and what reaches weights directly, equal on all, stays as it is.

        Args:
            own: (M, V * b, N) of the b images of this process's part.
            rows: B, images of the whole batch.
            views: V.

        Returns:
            (M, V * B, N).
        """
        if self.count == 1:
            return own
        sizes = [(rows + self.count - 1 - rank) // self.count for rank in range(self.count)]
        mine = own.reshape(len(own), views, sizes[self.rank], own.shape[-1])
        padded = pad(mine.detach(), (0, 0, 0, max(sizes) - sizes[self.rank])).contiguous()
        gathered = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(gathered, padded)
        parts = [part.narrow(2, 0, size) for part, size in zip(gathered, sizes, strict=True)]
        if mine.requires_grad:
            mine.register_hook(partial(mul, self.count))  # type: ignore[no-untyped-call]
        parts[self.rank] = mine
        return torch.cat(parts, dim=2).flatten(1, 2)

    def total(self, counts: EvaluationCounts) -> EvaluationCounts:
        """The sum of all processes' counts, on each of them; `counts` itself changes."""
        self.add_up(*(getattr(counts, field.name) for field in fields(counts)))
        return counts

    def add_up(self, *sums: Tensor) -> None:
        """Make each of these the sum of those of all processes."""
        if self.count > 1:
            for tensor in sums:
                dist.all_reduce(tensor)

    def collect(self, own: Result) -> list[Result]:
        """On the first process what each of them gives, by rank; on the others what they gave themselves."""
        if self.count == 1:
            return [own]
        found: list[Any] | None = [None] * self.count if self.is_first else None
        dist.gather_object(own, found, group=_messengers())
        return [own] if found is None else found

    def run_on_main(self, action: Callable[[], Result]) -> Result:
        """Do something on the first process alone; its result, or its refusal, is that of all.

        Raises:
            InputError: the first process raised one.
        """
        if self.count == 1:
            return action()
        outcome: list[Any] = [None, None]
        if self.is_first:
            outcome = list(_attempt(action))
        dist.broadcast_object_list(outcome, group=_messengers())
        result: Result = _settle(outcome[0], outcome[1])
        return result

    def on_each(self, action: Callable[[], Result]) -> Result:
        """Do something, which does not talk to others, on each process; what one refuses all refuse.

        Raises:
            InputError: some process raised one; it is that of the lowest rank.
        """
        if self.count == 1:
            return action()
        done, error = _attempt(action)
        errors: list[InputError | None] = [None] * self.count
        dist.all_gather_object(errors, error, group=_messengers())
        result: Result = _settle(done, next((found for found in errors if found is not None), None))
        return result

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A signal to stop reaches all processes: the first ends, the others let it finish what they do together.

        They are gone `GRACE` seconds later at the latest; what fails in between, the first having left, is no fault.
        """
        if self.is_first:
            yield
            return
        stopped = threading.Event()

        def stop(*_: object) -> None:
            if stopped.is_set():
                return
            stopped.set()
            timer = threading.Timer(GRACE, os._exit, [130])
            timer.daemon = True
            timer.start()

        with handled_by(stop):
            try:
                yield
            except Exception:
                if stopped.is_set():
                    raise KeyboardInterrupt from None
                raise


ALONE = Processes()


def join_processes() -> Processes:
    """Those that a launcher (`torchrun`, `accelerate launch`) started with this one; waits until all are there.

    Raises:
        InputError: the environment names several processes but not how they find each other.
    """
    if not dist.is_initialized():
        size = os.environ.get("WORLD_SIZE") or "1"
        if not size.isdecimal() or int(size) == 1:
            return ALONE
        missing = [name for name in LAUNCHED if not os.environ.get(name)]
        if missing:
            raise InputError(
                f"WORLD_SIZE = {os.environ['WORLD_SIZE']} names several processes but {', '.join(missing)} is not set; "
                "start them with torchrun or accelerate launch, or unset WORLD_SIZE"
            )
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(_leave)
    return Processes(dist.get_rank(), dist.get_world_size())


@cache
def _messengers() -> dist.ProcessGroup:
    """The same processes once more, for messages between them.

    `DistributedDataParallel` never lets go of the group it computes with. A thread of that group which still held the
    last message when the interpreter ends would abort the process; the threads of this group are waited for.
    """
    return cast(dist.ProcessGroup, dist.new_group(backend="gloo"))


def _leave() -> None:
    _messengers.cache_clear()
    dist.destroy_process_group()


def _attempt(action: Callable[[], Result]) -> tuple[Result | None, InputError | None]:
    try:
        return action(), None
    except InputError as error:
        return None, error


def _settle(result: Any, error: InputError | None) -> Any:
    if error is not None:
        raise InputError(str(error), error.details)  # now known to all, whatever kind it was
    return result
