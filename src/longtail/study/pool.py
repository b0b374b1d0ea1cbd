"""Several processes at once work on a study; one that dies takes no other with it, and its cell is named."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from longtail.stopping import Stop, handled_by
from longtail.study.plan import Plan, Request, plan_study
from longtail.study.worker import News, OutOfTimeError, Say, Terms, open_cells, work, write_failure

STOPPED, INTERRUPTED = 3, 130  # what a process ends with
GRACE = 60.0  # seconds that a process has to stop after it was asked


@dataclass
class _Worker:
    """A process and the cell that it last said it trains."""

    process: BaseProcess
    news: Connection
    cell: str | None = None


def work_together(
    request: Request, plan: Plan, workers: int, known: frozenset[str], seconds: float | None, say: Say
) -> None:
    """`work` in several processes, each with one thread where the recipe leaves them open.

    Args:
        request: what is planned again in each process.
        plan: its plan.
        workers: how many processes.
        known: see `Terms`.
        seconds: until they are to stop; None: never.
        say: what to do with their news.

    Raises:
        OutOfTimeError: there are cells left and no time.
        KeyboardInterrupt: stopped by the user; all processes have ended.
    """
    until = None if seconds is None else time.monotonic() + seconds
    running = [_start(request, known, until) for _ in range(min(workers, max(1, len(plan.cells))))]
    try:
        while running:
            _listen(running, say)
            for worker in [one for one in running if not one.process.is_alive()]:
                _listen([worker], say, patience=0.0)
                running.remove(worker)
                if _died(worker, plan, say) and open_cells(plan, known):
                    running.append(_start(request, known, until))
    finally:
        _stop(running)
    if until is not None and open_cells(plan, known) and time.monotonic() >= until:
        raise OutOfTimeError


def _start(request: Request, known: frozenset[str], until: float | None) -> _Worker:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    left = None if until is None else until - time.monotonic()
    process = context.Process(target=_work, args=(request, known, left, there))
    process.start()
    there.close()
    return _Worker(process, here)


def _work(request: Request, known: frozenset[str], seconds: float | None, news: Connection) -> None:
    """What a process does."""
    parent, until = multiprocessing.parent_process(), stop_after(seconds)
    stop = Stop()
    with handled_by(stop):
        try:
            terms = Terms(known, lambda: until() or not (parent and parent.is_alive()), threads=1, quiet=True)
            work(plan_study(request), terms, news.send)
        except OutOfTimeError:
            os._exit(STOPPED)
        except (KeyboardInterrupt, BrokenPipeError):
            os._exit(INTERRUPTED)


def stop_after(seconds: float | None) -> Callable[[], bool]:
    """Whether so many seconds have passed since this call; None: never."""
    until = None if seconds is None else time.monotonic() + seconds
    return lambda: until is not None and time.monotonic() >= until


def _listen(running: list[_Worker], say: Say, patience: float = 1.0) -> None:
    """Pass on what the processes say."""
    for ready in wait([worker.news for worker in running], patience):
        worker = next(one for one in running if one.news is ready)
        try:
            while worker.news.poll():
                news: News = worker.news.recv()
                worker.cell = None if news.kind in ("done", "failed") else news.cell
                say(news)
        except EOFError:
            worker.process.join()


def _died(worker: _Worker, plan: Plan, say: Say) -> bool:
    """Keep and say what a process left unfinished that ended by a fault; whether another should take its place."""
    code = worker.process.exitcode
    if code in (0, STOPPED, INTERRUPTED):
        return False
    how = (
        f"by signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"with status {code}"
    )
    reason = f"its process ended {how}; perhaps there was too little memory for so many --workers"
    cell = next((one for one in plan.cells if str(one) == worker.cell), None)
    if cell is None:
        say(News("failed", "a process", reason))
        return False
    write_failure(cell, reason)
    say(News("failed", str(cell), reason))
    return True


def _stop(running: list[_Worker]) -> None:
    """End the processes; each leaves a run that can be resumed."""
    for worker in running:
        worker.process.terminate()
    until = time.monotonic() + GRACE
    for worker in running:
        worker.process.join(max(0.0, until - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
