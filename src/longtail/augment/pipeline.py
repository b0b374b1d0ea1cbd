"""`Augment`: the whole chain from a uint8 batch to a normalised float batch, random for each image."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Float32, Int, Int64, UInt8
from torch import Tensor

from longtail.augment import fused
from longtail.augment.checks import OPERATIONS, check_channels, check_number, check_operations, check_scale
from longtail.augment.geometry import affine, crop_flip
from longtail.augment.operations import OperationTable, apply_operations, build_table
from longtail.augment.policies import RANDAUGMENT_LEVELS
from longtail.augment.random import below, draw_bits, draw_keys
from longtail.augment.resized_crop import crop_resize, draw_boxes
from longtail.augment.sampling import (
    CROP_X,
    CROP_Y,
    CUTOUT_X,
    CUTOUT_Y,
    FIRST_STEP,
    FLIP,
    SLOTS_PER_STEP,
    Policy,
    Step,
    autoaugment,
    randaugment,
)


class _Prepared(NamedTuple):
    """What `Augment` keeps for one image size on one device."""

    scale: Float32[Tensor, "3 3 1 1"]
    table: OperationTable
    steps: tuple[Step, ...]
    fused: fused.Fused | None


class Augment:
    """Random crop or resized crop, flip, AutoAugment or RandAugment, Cutout, normalisation, in this order, by image.

    Every random number is a pure function of (seed, epoch, view, index, slot), so batch size, order, workers
    and processes change no bit of the result. Magnitudes and definitions: `longtail.augment.policies`. Each
    operation equals Pillow's bit for bit (resized_crop: to within one grey level), and normalisation torchvision's
    `ToTensor` and `Normalize`.

    * crop: a window of the image's size at a random place of the image padded with `crop_padding` zeros.
    * resized_crop: a box of a random share of the area and of a random ratio, resized to the image's size; see
      `longtail.augment.resized_crop` (torchvision's `RandomResizedCrop`).
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
        crop_scale: smallest and largest share of the area of `resized_crop`, 0 < smallest <= largest <= 1.
        cutout_size: side of the square in pixels, >= 1.
        randaugment_ops: operations an image, >= 1.
        randaugment_magnitude: level of all of them, 0 to 30.
        fill: grey value in [0, 255] of what a geometric operation uncovers.
        dtype: of what comes out; it is computed in float32.

    Raises:
        InputError: an unknown operation, both policies or both crops at once, or a number out of its range.

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
        crop_scale: tuple[float, float] = (0.08, 1.0),
        cutout_size: int = 16,
        randaugment_ops: int = 2,
        randaugment_magnitude: int = 10,
        fill: int = 128,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        check_operations(operations)
        check_channels(mean, std)
        check_number("crop_padding", crop_padding, 0)
        check_scale(crop_scale)
        check_number("cutout_size", cutout_size, 1)
        check_number("randaugment_ops", randaugment_ops, 1)
        check_number("randaugment_magnitude", randaugment_magnitude, 0, RANDAUGMENT_LEVELS)
        check_number("fill", fill, 0, 255)
        self.operations = tuple(name for name in OPERATIONS if name in operations)
        self.crop_padding, self.crop_scale = crop_padding, crop_scale
        self.cutout_size, self.fill, self.dtype = cutout_size, fill, dtype
        self._scale = torch.tensor([[255.0] * 3, list(mean), list(std)])[:, :, None, None]
        self._policy = Policy()
        if "autoaugment" in operations:
            self._policy = autoaugment(FIRST_STEP)
        elif "randaugment" in operations:
            self._policy = randaugment(FIRST_STEP, randaugment_ops, randaugment_magnitude)
        self._prepared: dict[tuple[torch.device, int, int], _Prepared] = {}

    def __call__(
        self,
        image: UInt8[Tensor, "b 3 h w"],
        index: Int[Tensor, " b"],
        *,
        seed: int,
        epoch: int,
        view: int = 0,
        cropped: bool = False,
    ) -> Float[Tensor, "b 3 h w"]:
        """Augment and normalise a batch on its own device: `apply` with the `keys` of (seed, epoch, view).

        Args:
            image: (B, 3, H, W) uint8, left as it is.
            index: (B,) position of each image in its split, in [0, 2^32); it chooses the random numbers.
            seed: of the run; any 64-bit signed integer, as are epoch and view.
            epoch: so that each epoch sees another variant.
            view: number of this view, where a batch has several.
            cropped: the reader has already cut out the boxes of `boxes`, so `resized_crop` is left out here;
                otherwise H = W is needed for it.

        Returns:
            (B, 3, H, W) in channels_last layout.
        """
        return self.apply(image, index, self.keys(seed, epoch, view, image.device), cropped=cropped)

    @staticmethod
    def keys(seed: int, epoch: int, view: int, device: torch.device | str) -> Int64[Tensor, "2"]:
        """The pass over the data as (2,) words on `device`, for `apply`; unrelated for different triples."""
        return torch.tensor(draw_keys(seed, epoch, view)).to(device, non_blocking=True)

    def apply(
        self,
        image: UInt8[Tensor, "b 3 h w"],
        index: Int[Tensor, " b"],
        keys: Int64[Tensor, "2"],
        *,
        cropped: bool = False,
    ) -> Float[Tensor, "b 3 h w"]:
        """Augment and normalise a batch on its own device.

        On an accelerator nothing waits for the host and no shape depends on a value once a batch of this size
        was seen, so that it can be captured as a graph and replayed with other `keys` written into the same tensor.

        Args:
            image: (B, 3, H, W) uint8, left as it is.
            index: (B,) position of each image in its split, in [0, 2^32); it chooses the random numbers.
            keys: (2,) from `keys`, on the image's device.
            cropped: the images are boxes of `boxes` already; `resized_crop` is then not done again.

        Returns:
            (B, 3, H, W) in channels_last layout.
        """
        index = index.to(image.device, non_blocking=True)
        if "resized_crop" in self.operations and not cropped:
            sizes = torch.stack([torch.full_like(index, side) for side in image.shape[-2:]], dim=1)
            image = crop_resize(image, self.boxes(index, sizes, keys), image.shape[-1])
        prepared = self._prepare(image)
        if prepared.fused:
            return prepared.fused(image, index, keys).to(self.dtype)
        if self.operations:
            bits = draw_bits(index, FIRST_STEP + SLOTS_PER_STEP * len(prepared.steps), keys)
            image = self._crop_flip(image, bits)
            dense = self.form(image) == "dense"
            for step in prepared.steps:
                image = apply_operations(image, step.rows(bits), prepared.table, dense=dense)
            image = self._cutout(image, bits)
        return _normalize(image, prepared.scale).to(self.dtype)

    def form(self, image: UInt8[Tensor, "b 3 h w"]) -> Literal["sparse", "dense", "kernel"]:
        """How images of this size and device are made; every form gives the same bits.

        "kernel" is one Triton kernel for the whole chain, where `fused.fits`. The two others are the torch form:
        "dense" on other accelerators and for larger images, "sparse" on processors; see `apply_operations`.
        """
        if image.is_cpu:
            return "sparse"
        return "kernel" if fused.fits(image) else "dense"

    def boxes(
        self, index: Int[Tensor, " b"], sizes: Int[Tensor, "b 2"], keys: Int64[Tensor, "2"]
    ) -> Int[Tensor, "b 4"]:
        """The boxes of `resized_crop`, for a reader that cuts them out of images of other sizes.

        Args:
            index: (B,) position of each image in its split.
            sizes: (B, 2) height and width of each in pixels.
            keys: (2,) from `keys`, on the index's device.

        Returns:
            (B, 4) int64: top, left, height, width.
        """
        return draw_boxes(index, sizes, self.crop_scale, keys)

    def normalize(self, image: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """(image / 255 - mean) / std and nothing random, for evaluation; in channels_last layout."""
        return _normalize(image, self._prepare(image).scale).to(self.dtype)

    def _crop_flip(
        self, image: UInt8[Tensor, "b 3 h w"], bits: Int[Tensor, "b s"]
    ) -> UInt8[Tensor, "b 3 h w"]:
        flip = torch.zeros_like(bits[:, FLIP])
        if "flip" in self.operations:
            flip = below(bits[:, FLIP], 2)
        if "crop" not in self.operations:
            return _mirror(image, flip) if "flip" in self.operations else image
        places = 2 * self.crop_padding + 1
        top = below(bits[:, CROP_Y], places) - self.crop_padding
        left = below(bits[:, CROP_X], places) - self.crop_padding
        return affine(image, crop_flip(top, left, flip, image.shape[-1]), fill=0)

    def _cutout(self, image: UInt8[Tensor, "b 3 h w"], bits: Int[Tensor, "b s"]) -> UInt8[Tensor, "b 3 h w"]:
        if "cutout" not in self.operations:
            return image
        rows, columns = (
            _outside(below(bits[:, slot], side), self.cutout_size, side)
            for slot, side in zip((CUTOUT_Y, CUTOUT_X), image.shape[-2:], strict=True)
        )
        return image * (rows[:, :, None] | columns[:, None, :]).to(torch.uint8)[:, None]

    def _prepare(self, image: UInt8[Tensor, "b 3 h w"]) -> _Prepared:
        height, width = image.shape[-2:]
        key = (image.device, height, width)
        if key not in self._prepared:
            table = build_table(self._policy.operations, height, width, fill=self.fill, device=image.device)
            steps = tuple(step.to(image.device) for step in self._policy.steps)
            scale = self._scale.to(image.device)
            kernel = (
                self._fuse(table, steps, scale, (height, width)) if self.form(image) == "kernel" else None
            )
            self._prepared[key] = _Prepared(scale, table, steps, kernel)
        return self._prepared[key]

    def _fuse(
        self, table: OperationTable, steps: tuple[Step, ...], scale: Tensor, side: tuple[int, int]
    ) -> fused.Fused:
        ramp = torch.arange(256, dtype=torch.uint8, device=scale.device).expand(1, 3, 1, 256)
        return fused.Fused(
            table,
            steps,
            _normalize(ramp, scale).reshape(3, 256).contiguous(),
            side,
            crop_padding=self.crop_padding if "crop" in self.operations else 0,
            flip="flip" in self.operations,
            cutout_size=self.cutout_size if "cutout" in self.operations else 0,
        )


def _mirror(image: UInt8[Tensor, "b 3 h w"], flip: Int[Tensor, " b"]) -> UInt8[Tensor, "b 3 h w"]:
    """Left to right where `flip` is 1; on a CPU only those are touched, elsewhere no size depends on values."""
    if not image.is_cpu:
        return torch.where(flip[:, None, None, None] == 1, image.flip(-1), image)
    mirrored, rows = image.clone(), flip.nonzero()[:, 0]
    mirrored[rows] = image[rows].flip(-1)
    return mirrored


def _outside(centre: Int[Tensor, " b"], size: int, side: int) -> Tensor:
    """(B, side) True where a position is not in the stretch of `size` positions around the centre."""
    distance = torch.arange(side, device=centre.device) - centre[:, None] + size // 2
    return (distance < 0) | (distance >= size)


def _normalize(
    image: UInt8[Tensor, "b 3 h w"], scale: Float32[Tensor, "3 3 1 1"]
) -> Float32[Tensor, "b 3 h w"]:
    """(image / 255 - mean) / std; 255 is a tensor, or an accelerator would multiply by its reciprocal."""
    if not image.is_contiguous(memory_format=torch.channels_last):
        full, mean, std = scale
        normalized = image.float().div_(full).sub_(mean).div_(std)
        return normalized.contiguous(memory_format=torch.channels_last)
    # Row by row: on a CPU, three channels that lie side by side are too few to be worked on together.
    full, mean, std = scale.flatten(1).repeat(1, image.shape[-1])
    rows = image.permute(0, 2, 3, 1).flatten(2)
    normalized = rows.float().div_(full).sub_(mean).div_(std)
    return normalized.view(len(image), *image.shape[-2:], 3).permute(0, 3, 1, 2)
