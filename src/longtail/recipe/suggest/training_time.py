"""How long training is on this machine, by measured speeds and without timing a step."""

from collections.abc import Sequence

from longtail.durations import duration
from longtail.recipe.suggest.facts import Facts

LARGE = 96  # pixels below which images are only made smaller where no length fits
WORK = 2.9e13  # operations of forward passes in a training, by CPU thread, at most where no time is given
SPEED = 1.2e10  # of them a second and thread where a time is given; optimistic, for steps are timed next
# measured: EfficientNet-Lite0 at 128 and 224 pixels, ResNet-32 at 32; CPU seconds of one thread, AMD EPYC
FINE_TUNED, FROM_SCRATCH = 5.7e9, 1.7e10


def affordable(
    sizes: Sequence[int], lengths: Sequence[int], facts: Facts, work: float, speed: float, seconds: float | None
) -> tuple[int, int, str]:  # fmt: skip
    """Size and epochs that a CPU does in the time aimed at, and what they take; a GPU does all.

    The largest size at which the fewest epochs fit, and the most epochs that then fit.

    Args:
        sizes: sides to choose from, largest first; those under 96 pixels come last.
        lengths: epochs to choose from, most first.
        facts: of the images and the machine.
        work: operations of a forward pass, by pixel.
        speed: of such operations while training, a second and thread, as measured.
        seconds: the time given, in which steps are timed next; None: none is.
    """
    if facts.has_gpu:
        return sizes[0], lengths[0], "what a GPU can do"
    most, more = WORK if seconds is None else SPEED * seconds, ""

    def needed(size: int, length: int) -> float:
        return work * facts.number * length * size**2 / facts.threads

    tried = [(s, e) for s in sizes if s >= LARGE for e in lengths] + [(sizes[-1], e) for e in lengths]
    for size, length in tried:
        if needed(size, length) <= most:
            break
    else:
        more = "; a GPU would allow more"
    on = f"on {facts.threads} CPU thread{'s' * (facts.threads != 1)}"
    if seconds is not None:
        return size, length, f"what should fit into the time {on}"
    return size, length, f"roughly {duration(needed(size, length) / speed)} {on}, not timed{more}"
