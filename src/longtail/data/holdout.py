"""The validation split: images of each class held out of training."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from longtail.data.assigning import SHOWN, VAL, assign, far_from_wanted, wanted_of
from longtail.data.dataset import Split, counted
from longtail.data.grouping import said_of_spanning
from longtail.data.listing import Source
from longtail.data.no_validation import no_validation as no_validation
from longtail.data.options import DataOptions
from longtail.data.related import WITHOUT, Related, find_related

HELD_OUT = 0.2  # of each class, where a set of the user's own has nothing to test on
_STREAM = 0x686F6C64  # keeps these draws apart from others that use the same seed


def hold_out(
    targets: NDArray[np.int64],
    num_classes: int,
    fraction: float,
    seed: int,
    groups: Sequence[str] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide rows into train and validation, class by class, as a function of the seed alone.

    Without groups the draws have a stream of their own, not that of `assign`: with another, a seed would hold out
    other images than it did in the runs that were measured.

    Args:
        targets: (N,) class of each row, in [0, C).
        num_classes: C.
        fraction: share of each class held out, rounded to whole images, in [0, 1); one image always stays.
        seed: >= 0.
        groups: N names, "" for an image by itself; whole groups are held out, see `assign`.

    Returns:
        The sorted rows of train and of validation.
    """
    if groups is not None and fraction > 0:
        parts = assign(targets, num_classes, val=fraction, groups=groups, seed=seed)
        return np.flatnonzero(parts != VAL), np.flatnonzero(parts == VAL)
    held = []
    for c in range(num_classes):
        rows = np.flatnonzero(targets == c)
        count = min(int(fraction * len(rows) + 0.5), max(0, len(rows) - 1))
        held.append(np.random.default_rng([_STREAM, seed, c]).permutation(rows)[:count])
    validation = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(targets)), validation), validation


def said_of_groups(
    names: Sequence[str],
    targets: NDArray[np.int64],
    groups: Sequence[str],
    held: NDArray[np.int64],
    fraction: float,
    grouped_by: str | None,
) -> tuple[list[str], list[str]]:
    """What to say where whole groups, or copies, were held out.

    Args:
        names: C names.
        targets: (N,) class of each image before.
        groups: N names of what stays together, "" for an image by itself.
        held: (C,) images of each class that were held out.
        fraction: as of `hold_out`.
        grouped_by: where the groups come from; None where copies alone stand together.

    Returns:
        Of shares that are far from `fraction`; and of classes that groups leave without an image to evaluate on.
    """
    wanted = wanted_of(np.bincount(targets, minlength=len(names)), 0.0, fraction)[0][VAL]
    shares = far_from_wanted(names, targets, groups, wanted, held, "held-out")
    without = [names[c] for c in np.flatnonzero((held == 0) & (wanted > 0)).tolist()]
    if not without:
        return shares, []
    more = f" and {len(without) - SHOWN:,} more" if len(without) > SHOWN else ""
    way = (
        "without groups: data.group_by=none (data: --group-by none)" if grouped_by else f"without: {WITHOUT}"
    )
    return shares, [
        f"groups by {grouped_by or 'what is copied or looks alike'} leave {counted(len(without), 'class')} without an "
        f"image to evaluate on: {', '.join(without[:SHOWN])}{more}; each needs a second group that can be spared; {way}"
    ]


def looks_for_alike(options: DataOptions) -> bool:
    """Whether images that are divided are compared; a published set is left as it was published."""
    return options.is_own and options.group_copies is True


def related_in(pool: Split, options: DataOptions) -> Related:
    """What stays together of images that are divided; see `DataOptions.group_copies`.

    Without `pool.prints` these are groups and copies alone.
    """
    if not options.is_own or not options.group_copies:
        return Related(pool.groups, [], [], [], [])
    return find_related(pool.groups, pool.contents, pool.prints, pool.ids, pool.targets.cpu().numpy())


def said_of_division(
    pool: Split,
    val: Split | None,
    names: Sequence[str],
    options: DataOptions,
    source: Source,
    together: Related,
) -> tuple[list[str], list[str]]:
    """Of what stayed together, and what that did to what was held out, see `said_of_groups`."""
    held = np.array([], dtype=np.int64) if val is None else val.targets.numpy()
    if options.validation == 0 or together.groups is None:
        return (together.said(pool.ids) if options.validation else []), []
    targets, got = pool.targets.numpy(), np.bincount(held, minlength=len(names))
    by = None if pool.groups is None else source.grouped_by or "the set itself"
    said, blind = said_of_groups(names, targets, together.groups, got, options.validation, by)
    spanning = said_of_spanning(
        pool.groups or (), [names[c] for c in pool.targets.tolist()] if pool.groups else ()
    )
    return [*together.said(pool.ids), *spanning, *said], blind
