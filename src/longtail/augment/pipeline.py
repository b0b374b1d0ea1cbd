"""`Augment`: the whole chain from a uint8 batch to a normalised float batch, random for each image."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Float32, Int, Int64, UInt8
from torch import Tensor

from longtail.augment import fused, spaced
from longtail.augment.checks import (
    LARGEST_SIGMA,
    OPERATIONS,
    check_channels,
    check_choice,
    check_jitter,
    check_number,
    check_operations,
    check_range,
)
from longtail.augment.normalization import normalized
from longtail.augment.operations import OperationTable, apply_operations, build_table
from longtail.augment.policies import RANDAUGMENT_LEVELS
from longtail.augment.random import draw_bits, draw_keys
from longtail.augment.resized_crop import crop_resize, draw_boxes
from longtail.augment.sampling import (
    FIRST_STEP,
    MOST_RANDAUGMENT_OPS,
    Policy,
    Step,
    autoaugment,
    joined,
    randaugment,
)
from longtail.augment.windows import CropFill, crop_and_flip, cut_out
from longtail.types import Fit


class _Prepared(NamedTuple):
    """What `Augment` keeps for one image size on one device."""

    scale: Float32[Tensor, "3 3 1 1"]
    table: OperationTable
    steps: tuple[tuple[Step, tuple[int, ...]], ...]  # each with the families that it can choose
    fused: fused.Fused | None


class Augment:
    """Random operations, each image in its own way, and normalisation.

    Every random number is a pure function of (seed, epoch, view, index, slot), so batch size, order, workers
    and processes change no bit of the result. Magnitudes and definitions: `longtail.augment.policies`. Each
    operation equals Pillow's bit for bit (resized_crop and blur: to within one grey level), and normalisation
    torchvision's `ToTensor` and `Normalize`. The operations are applied in this order:

    * crop: a window of the image's size at a random place of the image padded by `crop_padding` pixels.
    * resized_crop: a box of a random share of the area and of a random ratio, resized to the image's size; see
      `longtail.augment.resized_crop` (torchvision's `RandomResizedCrop`).
    * flip: left to right with probability 1/2.
    * rotation: about the centre by an angle of at most `rotation_degrees` either way, nearest neighbour, black outside.
    * autoaugment: one of the 25 sub-policies of the CIFAR-10 policy (Cubuk et al. 2019).
    * autoaugment_port: the same as the much copied PIL port does it: shears bicubic, rotations counter-clockwise alone.
    * randaugment: `randaugment_ops` operations out of 14, with replacement (Cubuk et al. 2020).
    * color_jitter: brightness, contrast, saturation and hue, in this order, all of them with `jitter_probability`
      (SimCLR, Chen et al. 2020); see `longtail.augment.spaced`.
    * grayscale: no colour, with `grayscale_probability`.
    * blur: Gaussian of a deviation in `blur_sigma` pixels, with `blur_probability`; see `longtail.augment.blur`.
    * cutout: one square of `cutout_size` pixels, its centre anywhere in the image, clipped at the border,
      set to 0 before normalisation (DeVries and Taylor 2017, as released).

    Args:
        operations: names out of OPERATIONS, in any order, repeated or not; () only normalises.
        mean: of the three channels on the scale [0, 1].
        std: standard deviation of the three channels on the same scale, > 0.
        crop_padding: pixels on each side, >= 0.
        crop_fill: what the padding shows: black, or the image reflected at its border (NumPy's "reflect").
        crop_scale: smallest and largest share of the area of `resized_crop`, 0 < smallest <= largest <= 1.
        rotation_degrees: largest angle, in (0, 180].
        randaugment_ops: operations an image, 1 to 16.
        randaugment_magnitude: level of all of them, 0 to 30.
        jitter_strength: reach of the factors of brightness, contrast and saturation around 1, each >= 0, and of the hue
            as a share of the circle, in [0, 0.5].
        jitter_probability: in [0, 1].
        grayscale_probability: in [0, 1].
        blur_sigma: smallest and largest deviation, 0 < smallest <= largest <= 100.
        blur_probability: in [0, 1].
        cutout_size: side of the square in pixels, >= 1.
        fill: grey value in [0, 255] of what a geometric operation of a policy uncovers.
        fit: how images become squares, which decides the `boxes` of `resized_crop` in images that are none yet.
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
        crop_fill: CropFill = "zeros",
        crop_scale: tuple[float, float] = (0.08, 1.0),
        rotation_degrees: float = 15.0,
        randaugment_ops: int = 2,
        randaugment_magnitude: int = 10,
        jitter_strength: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1),
        jitter_probability: float = 0.8,
        grayscale_probability: float = 0.2,
        blur_sigma: tuple[float, float] = (0.1, 2.0),
        blur_probability: float = 0.5,
        cutout_size: int = 16,
        fill: int = 128,
        fit: Fit = "crop",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        check_operations(operations)
        check_channels(mean, std)
        check_number("crop_padding", crop_padding, 0)
        check_choice("crop_fill", crop_fill, get_args(CropFill))
        check_range("crop_scale", crop_scale, 1)
        check_number("rotation_degrees", rotation_degrees, 0, 180, above=True)
        check_number("randaugment_ops", randaugment_ops, 1, MOST_RANDAUGMENT_OPS)
        check_number("randaugment_magnitude", randaugment_magnitude, 0, RANDAUGMENT_LEVELS)
        check_jitter(jitter_strength)
        check_number("jitter_probability", jitter_probability, 0, 1)
        check_number("grayscale_probability", grayscale_probability, 0, 1)
        check_range("blur_sigma", blur_sigma, LARGEST_SIGMA)
        check_number("blur_probability", blur_probability, 0, 1)
        check_number("cutout_size", cutout_size, 1)
        check_number("fill", fill, 0, 255)
        check_choice("fit", fit, get_args(Fit))
        self.operations = tuple(name for name in OPERATIONS if name in operations)
        self.crop_padding, self.crop_fill, self.crop_scale = crop_padding, crop_fill, crop_scale
        self.cutout_size, self.fill, self.fit, self.dtype = cutout_size, fill, fit, dtype
        self._scale = torch.tensor([[255.0] * 3, list(mean), list(std)])[:, :, None, None]
        made: dict[str, Callable[[], Policy]] = {
            "rotation": lambda: spaced.rotation(rotation_degrees),
            "autoaugment": lambda: autoaugment(FIRST_STEP),
            "autoaugment_port": lambda: autoaugment(FIRST_STEP, ported=True),
            "randaugment": lambda: randaugment(FIRST_STEP, randaugment_ops, randaugment_magnitude),
            "color_jitter": lambda: spaced.color_jitter(jitter_strength, jitter_probability),
            "grayscale": lambda: spaced.grayscale(grayscale_probability),
            "blur": lambda: spaced.blurred(blur_sigma, blur_probability),
        }
        self._policy = joined(make() for name, make in made.items() if name in self.operations)
        self._rows = [step.row.flatten().tolist() for step in self._policy.steps]
        self._num_slots = max((FIRST_STEP, *(step.last_slot + 1 for step in self._policy.steps)))
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
            bits = draw_bits(index, self._num_slots, keys)
            image = crop_and_flip(
                image, bits, padding=self._padding, fill=self.crop_fill, flip="flip" in self.operations
            )
            dense = self.form(image) == "dense"
            for step, kinds in prepared.steps:
                rows = step.rows(bits)
                image = apply_operations(image, rows, prepared.table, dense=dense, kinds=kinds)
            image = cut_out(image, bits, self.cutout_size) if "cutout" in self.operations else image
        return normalized(image, prepared.scale).to(self.dtype)

    def form(self, image: UInt8[Tensor, "b 3 h w"]) -> Literal["sparse", "dense", "kernel"]:
        """How images of this size and device are made; every form gives the same bits.

        "kernel" is one Triton kernel for the whole chain, where `fused.fits` and nothing is asked for that it does not
        have: hue, blur, reflected crops. The two others are the torch form: "dense" on other accelerators and for
        larger images, "sparse" on CPUs; see `apply_operations`.
        """
        if image.is_cpu:
            return "sparse"
        known = fused.knows(self._policy) and not (self._padding and self.crop_fill == "reflect")
        return "kernel" if known and fused.fits(image) else "dense"

    @property
    def _padding(self) -> int | None:
        return self.crop_padding if "crop" in self.operations else None

    def boxes(
        self, index: Int[Tensor, " b"], sizes: Int[Tensor, "b 2"], keys: Int64[Tensor, "2"]
    ) -> Int[Tensor, "b 4"]:
        """The boxes of `resized_crop`, for a reader that cuts them out of images of other sizes.

        Args:
            index: (B,) position of each image in its split.
            sizes: (B, 2) height and width of each in pixels.
            keys: (2,) from `keys`, on the index's device.

        Returns:
            (B, 4) int64: top, left, height, width; with `pad` they may reach beyond the image.
        """
        return draw_boxes(index, sizes, self.crop_scale, keys, self.fit)

    def normalize(self, image: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """(image / 255 - mean) / std and nothing random, for evaluation; in channels_last layout."""
        return normalized(image, self._prepare(image).scale).to(self.dtype)

    def _prepare(self, image: UInt8[Tensor, "b 3 h w"]) -> _Prepared:
        height, width = image.shape[-2:]
        key = (image.device, height, width)
        if key not in self._prepared:
            table = build_table(self._policy.operations, height, width, fill=self.fill, device=image.device)
            steps = tuple(step.to(image.device) for step in self._policy.steps)
            kinds = [table.kinds_of(rows) for rows in self._rows]
            scale = self._scale.to(image.device)
            kernel = (
                self._fuse(table, steps, scale, (height, width)) if self.form(image) == "kernel" else None
            )
            self._prepared[key] = _Prepared(scale, table, tuple(zip(steps, kinds, strict=True)), kernel)
        return self._prepared[key]

    def _fuse(
        self, table: OperationTable, steps: tuple[Step, ...], scale: Tensor, side: tuple[int, int]
    ) -> fused.Fused:
        ramp = torch.arange(256, dtype=torch.uint8, device=scale.device).expand(1, 3, 1, 256)
        return fused.Fused(
            table,
            steps,
            normalized(ramp, scale).reshape(3, 256).contiguous(),
            side,
            crop_padding=self._padding or 0,
            flip="flip" in self.operations,
            cutout_size=self.cutout_size if "cutout" in self.operations else 0,
        )
