"""Long tails: how many images each class keeps, and which."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from longtail.data.dataset import counted
from longtail.data.listing import Listing
from longtail.data.options import DataOptions
from longtail.types import InputError

Profile = Literal["exponential", "pareto", "step"]
PARETO_POWER = 6.0


def long_tailed_counts(
    num_classes: int, max_count: int, imbalance_factor: int | float, profile: Profile = "exponential"
) -> Int[Tensor, " c"]:
    """Number of images of each class, falling from n_max to n_max / IF in label order.

    For class c of C, rounded down:

    * exponential: n_c = n_max * IF^(-c / (C - 1)) (Cui et al. 2019, Cao et al. 2019);
    * pareto: n_c = n_min + (n_max - n_min) * ((C / (c + 1))^(1/a) - 1) / (C^(1/a) - 1), n_min = n_max / IF,
      a = 6: quantiles of the Pareto law that ImageNet-LT was drawn from (Liu et al. 2019). At its C = 1000,
      n_max = 1280, IF = 256 it gives 121,449 images (ImageNet-LT, drawn at random: 115,846);
    * step: n_c = n_max for the first floor(C/2) classes, n_max / IF for the others (Buda et al. 2018, Cao et al. 2019).

    The exponential's floating-point product is cut off as the published code does it: same counts.

    Args:
        num_classes: C >= 2.
        max_count: n_max >= IF.
        imbalance_factor: IF >= 1.
        profile: one of the three.

    Returns:
        (C,) int64, each >= 1.

    Raises:
        InputError: a value outside its range.

    Example:
        >>> long_tailed_counts(3, 100, 100).tolist()
        [100, 10, 1]
    """
    if num_classes < 2:
        raise InputError(f"a long tail needs at least 2 classes, got {num_classes}")
    if not (math.isfinite(imbalance_factor) and imbalance_factor >= 1):
        raise InputError(f"imbalance_factor is {imbalance_factor}; give a number >= 1 (1 = balanced)")
    if max_count < imbalance_factor:
        raise InputError(
            f"imbalance_factor {imbalance_factor:g} leaves no image for the smallest class when the largest "
            f"has {max_count}; give at most {max_count}"
        )
    ratio = 1.0 / imbalance_factor
    falling = [_share(c, num_classes, ratio, profile) for c in range(num_classes)]
    return torch.tensor([max(1, int(max_count * share)) for share in falling])


def subsample(
    targets: NDArray[np.int64],
    class_names: Sequence[str],
    options: DataOptions,
    default_max: int | None = None,
) -> NDArray[np.int64]:
    """Rows that the long-tailed training split keeps, in file order.

    Args:
        targets: (N,) class of each row, in [0, C).
        class_names: C names, for messages.
        options: imbalance factor, profile, max_count, subset.
        default_max: n_max where the options name none; None: the largest class.

    Raises:
        InputError: more images asked of a class than it has, or a value outside its range.
    """
    available = np.bincount(targets, minlength=len(class_names))
    if options.imbalance_factor is None:
        asked = available if options.max_count is None else np.minimum(available, options.max_count)
    else:
        max_count = options.max_count or default_max or int(available.max())
        profile = long_tailed_counts(len(class_names), max_count, options.imbalance_factor, options.profile)
        asked = profile.numpy()
        _refuse_too_many(asked, available, class_names)
    orders = _orders(targets, len(class_names), options)
    return np.sort(np.concatenate([order[:n] for order, n in zip(orders, asked, strict=True)]))


def count_chosen(train: Listing, options: DataOptions, default_max: int | None) -> int:
    """How many images of a listing the training split keeps, before some are held out; see `subsample`."""
    present, targets = np.unique(train.targets, return_inverse=True)
    return len(subsample(targets, [train.class_names[c] for c in present], options, default_max))


def _share(c: int, num_classes: int, ratio: float, profile: Profile) -> float:
    if profile == "step":
        return 1.0 if c < num_classes // 2 else ratio
    if profile == "exponential":
        return float(ratio ** (c / (num_classes - 1.0)))
    height = (num_classes / (c + 1)) ** (1 / PARETO_POWER) - 1
    share = ratio + (1 - ratio) * height / (num_classes ** (1 / PARETO_POWER) - 1)
    return float(round(share, 12))


def _refuse_too_many(
    asked: NDArray[np.int64], available: NDArray[np.int64], class_names: Sequence[str]
) -> None:
    short = np.flatnonzero(asked > available)
    if len(short) == 0:
        return
    c = short[0]
    others = f" (likewise {counted(len(short) - 1, 'more class')})" if len(short) > 1 else ""
    raise InputError(
        f"class {class_names[c]} has {available[c]} images but {asked[c]} are asked for{others}; lower "
        "data.max_count, change data.imbalance_factor, or leave it out to keep the counts as they are"
    )


def _orders(targets: NDArray[np.int64], num_classes: int, options: DataOptions) -> list[NDArray[np.int64]]:
    orders = [np.flatnonzero(targets == c) for c in range(num_classes)]
    if options.subset == "shuffle0":
        # The published subsets: numpy's old generator, seeded once, run through the classes in order.
        legacy = np.random.RandomState(0)
        for order in orders:
            legacy.shuffle(order)
    elif options.subset == "seeded":
        for c, order in enumerate(orders):
            np.random.default_rng([options.subset_seed, c]).shuffle(order)
    return orders
