"""Work in threads: results in order, so many ahead and no more, and no thread that outlives its iterator."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path

import pytest

from longtail import cpu
from longtail.data import threads
from longtail.data.opening import UnreadableError
from longtail.data.threads import in_threads, thread_count


def pool_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("ThreadPoolExecutor")]


def soon(is_so: Callable[[], bool]) -> bool:
    """Whether it becomes so within a time that is long enough for a busy machine."""
    until = time.monotonic() + 60
    while not is_so() and time.monotonic() < until:
        time.sleep(0.001)
    return is_so()


def test_threads_go_on_while_a_result_is_used_and_stop_ahead_of_it() -> None:
    taken, worked = list[int](), list[int]()

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = in_threads(lambda item: worked.append(item) or -item, items(), ahead=8, block=2)  # type: ignore[func-returns-value]
    assert taken == []
    assert next(results) == 0
    assert soon(lambda: len(worked) == 10)
    assert taken == list(range(10))  # the block of the result, and eight ahead
    assert list(results) == [-item for item in range(1, 100)]
    assert sorted(worked) == taken == list(range(100))


def test_what_is_unreadable_has_its_place_and_another_error_its_turn() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise UnreadableError("damaged")
        if item == 7:
            raise ZeroDivisionError
        return item

    found = []
    results = in_threads(work, count(), ahead=20, block=1)
    for result in islice(results, 7):
        found.append(result.reason if isinstance(result, UnreadableError) else result)  # noqa: PERF401
    assert found == [0, 1, 2, "damaged", 4, 5, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert pool_threads() == []


def test_closing_ends_each_thread_after_its_item(monkeypatch: pytest.MonkeyPatch) -> None:
    worked, released = list[int](), threading.Event()

    class Closed(threading.Event):
        def set(self) -> None:
            super().set()
            released.set()

    def work(item: int) -> int:
        worked.append(item)
        if item >= 10:
            assert released.wait(60)
        return item

    monkeypatch.setattr(threads, "Event", Closed)
    results = in_threads(work, count(), ahead=1000, block=10)
    assert next(results) == 0
    assert soon(lambda: len(worked) > 10)
    results.close()
    assert released.is_set()
    assert pool_threads() == []
    assert 10 < len(worked) <= 10 + thread_count()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no affinity")
def test_threads_follow_the_cpus_of_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cpu, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert thread_count() == 5
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(200)))
    assert thread_count() == 32
    (tmp_path / "cpu.max").write_text("200000 100000\n")
    assert thread_count() == 6
