"""`Augment`: the whole chain from a uint8 batch to a normalised float batch, random for each image."""

import difflib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float32, Int, Int64, UInt8
from torch import Tensor

from longtail.augment.geometry import affine, crop_flip
from longtail.augment.operations import OperationTable, apply_operations, build_table
from longtail.augment.policies import RANDAUGMENT_LEVELS
from longtail.augment.random import below, draw_bits, draw_keys
from longtail.augment.sampling import SLOTS_PER_STEP, Policy, Step, autoaugment, randaugment
from longtail.types import InputError

OPERATIONS = ("crop", "flip", "autoaugment", "randaugment", "cutout")

_CROP_Y, _CROP_X, _FLIP, _CUTOUT_Y, _CUTOUT_X, _FIRST_STEP = range(6)


class _Prepared(NamedTuple):
    """What `Augment` keeps for one image size on one device."""

    scale: Float32[Tensor, "3 3 1 1"]
    table: OperationTable
    steps: tuple[Step, ...]


class Augment:
    """Random crop, flip, AutoAugment or RandAugment, Cutout, normalisation, in this order, by image.

    Every random number is a pure function of (seed, epoch, view, index, slot), so batch size, order, workers
    and processes change no bit of the result. Magnitudes and definitions: `longtail.augment.policies`. Each
    operation equals Pillow's bit for bit, and normalisation torchvision's `ToTensor` and `Normalize`.

    * crop: a window of the image's size at a random place of the image padded with `crop_padding` zeros.
    * flip: left to right with probability 1/2.
    * autoaugment: one of the 25 sub-policies of the CIFAR-10 policy (Cubuk et al. 2019).
    * randaugment: `randaugment_ops` operations out of 14, with replacement (Cubuk et al. 2020).
    * cutout: one square of `cutout_size` pixels, its centre anywhere in the image, clipped at the border,
      set to 0 before normalisation (DeVries and Taylor 2017, as released).

    Args:
        operations: names out of OPERATIONS; their order and repetition are of no account; () only normalises.
        mean: of the three channels on the scale [0, 1].
        std: standard deviation of the three channels on the same scale, > 0.
        crop_padding: pixels on each side, >= 0.
        cutout_size: side of the square in pixels, >= 1.
        randaugment_ops: operations an image, >= 1.
        randaugment_magnitude: level of all of them, 0 to 30.
        fill: grey value in [0, 255] of what a geometric operation uncovers.

    Raises:
        InputError: an unknown operation, both policies at once, or a number out of its range.

    >>> augment = Augment(("flip",), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> image = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    >>> augment(image, torch.tensor([0]), seed=0, epoch=0)[0, 0].tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """

    def __init__(
        self,
        operations: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
        *,
        crop_padding: int = 4,
        cutout_size: int = 16,
        randaugment_ops: int = 2,
        randaugment_magnitude: int = 10,
        fill: int = 128,
    ) -> None:
        _check_operations(operations)
        _check_channels(mean, std)
        _check_number("crop_padding", crop_padding, 0)
        _check_number("cutout_size", cutout_size, 1)
        _check_number("randaugment_ops", randaugment_ops, 1)
        _check_number("randaugment_magnitude", randaugment_magnitude, 0, RANDAUGMENT_LEVELS)
        _check_number("fill", fill, 0, 255)
        self.operations = tuple(name for name in OPERATIONS if name in operations)
        self.crop_padding, self.cutout_size, self.fill = crop_padding, cutout_size, fill
        self._scale = torch.tensor([[255.0] * 3, list(mean), list(std)])[:, :, None, None]
        self._policy = Policy()
        if "autoaugment" in operations:
            self._policy = autoaugment(_FIRST_STEP)
        elif "randaugment" in operations:
            self._policy = randaugment(_FIRST_STEP, randaugment_ops, randaugment_magnitude)
        self._prepared: dict[tuple[torch.device, int, int], _Prepared] = {}

    def __call__(
        self,
        image: UInt8[Tensor, "b 3 h w"],
        index: Int[Tensor, " b"],
        *,
        seed: int,
        epoch: int,
        view: int = 0,
    ) -> Float32[Tensor, "b 3 h w"]:
        """Augment and normalise a batch on its own device: `apply` with the `keys` of (seed, epoch, view).

        Args:
            image: (B, 3, H, W) uint8, left as it is.
            index: (B,) position of each image in its split, in [0, 2^32); it chooses the random numbers.
            seed: of the run; any 64-bit signed integer, as are epoch and view.
            epoch: so that each epoch sees another variant.
            view: number of this view, where a batch has several.

        Returns:
            (B, 3, H, W) float32 in channels_last layout.
        """
        return self.apply(image, index, self.keys(seed, epoch, view, image.device))

    @staticmethod
    def keys(seed: int, epoch: int, view: int, device: torch.device | str) -> Int64[Tensor, "2"]:
        """The pass over the data as (2,) words on `device`, for `apply`; unrelated for different triples."""
        return torch.tensor(draw_keys(seed, epoch, view)).to(device, non_blocking=True)

    def apply(
        self, image: UInt8[Tensor, "b 3 h w"], index: Int[Tensor, " b"], keys: Int64[Tensor, "2"]
    ) -> Float32[Tensor, "b 3 h w"]:
        """Augment and normalise a batch on its own device.

        On an accelerator nothing waits for the host and no shape depends on a value once a batch of this size
        was seen, so that it can be captured as a graph and replayed with other `keys` written into the same tensor.

        Args:
            image: (B, 3, H, W) uint8, left as it is.
            index: (B,) position of each image in its split, in [0, 2^32); it chooses the random numbers.
            keys: (2,) from `keys`, on the image's device.

        Returns:
            (B, 3, H, W) float32 in channels_last layout.
        """
        prepared, dense = self._prepare(image), self.form(image) == "dense"
        if self.operations:
            index = index.to(image.device, non_blocking=True)
            bits = draw_bits(index, _FIRST_STEP + SLOTS_PER_STEP * len(prepared.steps), keys)
            image = self._crop_flip(image, bits)
            for step in prepared.steps:
                image = apply_operations(image, step.rows(bits), prepared.table, dense=dense)
            image = self._cutout(image, bits)
        return _normalize(image, prepared.scale)

    def form(self, image: UInt8[Tensor, "b 3 h w"]) -> Literal["sparse", "dense"]:
        """How `apply` treats images like this one: see `apply_operations`. Every form gives the same bits."""
        return "sparse" if image.is_cpu else "dense"

    def normalize(self, image: UInt8[Tensor, "b 3 h w"]) -> Float32[Tensor, "b 3 h w"]:
        """(image / 255 - mean) / std and nothing random, for evaluation; float32 in channels_last layout."""
        return _normalize(image, self._prepare(image).scale)

    def _crop_flip(
        self, image: UInt8[Tensor, "b 3 h w"], bits: Int[Tensor, "b s"]
    ) -> UInt8[Tensor, "b 3 h w"]:
        if not {"crop", "flip"} & set(self.operations):
            return image
        top = left = flip = torch.zeros_like(bits[:, _FLIP])
        if "crop" in self.operations:
            places = 2 * self.crop_padding + 1
            top = below(bits[:, _CROP_Y], places) - self.crop_padding
            left = below(bits[:, _CROP_X], places) - self.crop_padding
        if "flip" in self.operations:
            flip = below(bits[:, _FLIP], 2)
        return affine(image, crop_flip(top, left, flip, image.shape[-1]), fill=0)

    def _cutout(self, image: UInt8[Tensor, "b 3 h w"], bits: Int[Tensor, "b s"]) -> UInt8[Tensor, "b 3 h w"]:
        if "cutout" not in self.operations:
            return image
        rows, columns = (
            _outside(below(bits[:, slot], side), self.cutout_size, side)
            for slot, side in zip((_CUTOUT_Y, _CUTOUT_X), image.shape[-2:], strict=True)
        )
        return image * (rows[:, :, None] | columns[:, None, :]).to(torch.uint8)[:, None]

    def _prepare(self, image: UInt8[Tensor, "b 3 h w"]) -> _Prepared:
        height, width = image.shape[-2:]
        key = (image.device, height, width)
        if key not in self._prepared:
            table = build_table(self._policy.operations, height, width, fill=self.fill, device=image.device)
            steps = tuple(step.to(image.device) for step in self._policy.steps)
            self._prepared[key] = _Prepared(self._scale.to(image.device), table, steps)
        return self._prepared[key]


def _outside(centre: Int[Tensor, " b"], size: int, side: int) -> Tensor:
    """(B, side) True where a position is not in the stretch of `size` positions around the centre."""
    distance = torch.arange(side, device=centre.device) - centre[:, None] + size // 2
    return (distance < 0) | (distance >= size)


def _normalize(
    image: UInt8[Tensor, "b 3 h w"], scale: Float32[Tensor, "3 3 1 1"]
) -> Float32[Tensor, "b 3 h w"]:
    """(image / 255 - mean) / std; 255 is a tensor, or an accelerator would multiply by its reciprocal."""
    full, mean, std = scale
    normalized = image.float().div_(full).sub_(mean).div_(std)
    return normalized.contiguous(memory_format=torch.channels_last)


def _check_operations(operations: Sequence[str]) -> None:
    for name in operations:
        if name not in OPERATIONS:
            near = difflib.get_close_matches(name, OPERATIONS, n=1, cutoff=0.0)[0]
            raise InputError(
                f"unknown augmentation {name!r}; did you mean {near!r}? Valid are {', '.join(OPERATIONS)}"
            )
    if {"autoaugment", "randaugment"} <= set(operations):
        raise InputError("augmentations 'autoaugment' and 'randaugment' are both given; keep one of them")


def _check_channels(mean: Sequence[float], std: Sequence[float]) -> None:
    if len(mean) != 3 or len(std) != 3:
        raise InputError(
            f"mean {tuple(mean)} and std {tuple(std)} need three numbers each, one for each channel"
        )
    if min(std) <= 0:
        raise InputError(f"std {tuple(std)} has a number that is not positive; give positive deviations")


def _check_number(name: str, value: int, lowest: int, highest: int | None = None) -> None:
    if value < lowest or (highest is not None and value > highest):
        valid = f"at least {lowest}" if highest is None else f"{lowest} to {highest}"
        raise InputError(f"{name} is {value}; valid is {valid}")
