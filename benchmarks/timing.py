"""Seconds, by turns: what is compared runs alternately in one process, and medians are compared."""

import statistics
import time

from record import wait


def seconds(call):
    """Wall seconds of one call, with the device's work."""
    wait()
    started = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - started


def take_turns(calls, rounds):
    """Seconds of each named call: of the first, which warms up, and of `rounds` more, one after the other in turn."""
    first = {name: seconds(call) for name, call in calls.items()}
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return first, times


def medians(calls, rounds):
    """The median seconds of each named call."""
    return {name: statistics.median(values) for name, values in take_turns(calls, rounds)[1].items()}


def compare(ours, plain, rounds, repeats=1):
    """Ours against the plain side: medians in seconds, and the median of the pairs' ratios.

    Args:
        repeats: calls that are timed as one; seconds are of one call, those of the first round are of the whole.
    """

    def repeated(call):
        return lambda: [call() for _ in range(repeats)]

    first, times = take_turns({"library": repeated(ours), "reference": repeated(plain)}, rounds)
    ratios = [b / a for a, b in zip(times["library"], times["reference"], strict=True)]
    result = {"ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}
    for side, values in times.items():
        result[f"{side}_s"] = statistics.median(values) / repeats
        result[f"{side}_first_s"] = first[side] - repeats * result[f"{side}_s"]
    return result
