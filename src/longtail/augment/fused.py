"""The whole chain as one launch of the Triton kernel: where that is possible, and what the kernel is given."""

import functools
import importlib.util
import os
import shutil
from collections.abc import Sequence

import torch
from jaxtyping import Float32, Int, Int64, UInt8
from torch import Tensor

from longtail.augment.operations import OperationTable
from longtail.augment.sampling import Policy, Step

LARGEST_SIDE = 64
_NOT_IN_THE_KERNEL = ("hue", "blur", "shear_x_bicubic", "shear_y_bicubic")


@functools.cache
def _has_triton(device: torch.device) -> bool:
    """Whether there are Triton, the C compiler that some versions of it need, and an NVIDIA GPU that it supports."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    found = compiler is not None and importlib.util.find_spec("triton") is not None
    return found and torch.version.hip is None and torch.cuda.get_device_capability(device) >= (8, 0)


def fits(image: UInt8[Tensor, "b 3 h w"]) -> bool:
    """Whether the kernel can make such images: on a CUDA device with Triton, sides of at most `LARGEST_SIDE`.

    A program holds its whole image in registers, with one shared-memory copy at a time: more than 64 x 64 pixels
    would spill to memory, and such images are few a batch, so that launches no longer weigh.
    """
    return image.is_cuda and max(image.shape[-2:]) <= LARGEST_SIDE and _has_triton(image.device)


def knows(policy: Policy) -> bool:
    """Whether the kernel has every operation of a policy."""
    return not any(one.name in _NOT_IN_THE_KERNEL for one in policy.operations)


class Fused:
    """From uint8 to normalised float32 in one launch, bit for bit the torch form of `Augment.apply`.

    Args:
        table: of the operations, for this image size.
        steps: of the policy, on the table's device.
        normalized: (3, 256) the normalised number of each value of each channel, contiguous.
        side: (H, W) of the images, each at most `LARGEST_SIDE`.
        crop_padding: pixels on each side; 0 does not crop.
        flip: whether to mirror half of the images.
        cutout_size: side of the square; 0 cuts nothing out.
    """

    def __init__(
        self,
        table: OperationTable,
        steps: Sequence[Step],
        normalized: Float32[Tensor, "3 256"],
        side: tuple[int, int],
        *,
        crop_padding: int,
        flip: bool,
        cutout_size: int,
    ) -> None:
        settings, begin = [], 0
        for step in steps:
            settings.append([step.choice_slot, step.own_slot, len(step.threshold), begin])
            begin += len(step.threshold)
        nothing = table.family.new_empty(0)
        self._tables = (
            table.family.new_tensor(settings),
            torch.cat([nothing, *(step.threshold for step in steps)]),
            torch.cat([nothing, *(step.row.flatten() for step in steps)]),
            table.family,
            table.coefficients,
            table.lookup,
            table.factor,
            table.fill,
            normalized,
        )
        pixels = side[0] * side[1]
        block = max(32, 1 << (pixels - 1).bit_length())
        self._constants = {
            "H": side[0],
            "W": side[1],
            "BLOCK": block,
            "CROP_PADDING": crop_padding,
            "FLIP": flip,
            "NUM_STEPS": len(steps),
            "CUTOUT_SIZE": cutout_size,
            # Launch options: at least four pixels a thread and no more threads than values of a pixel, and no
            # a * b + c rounded once where torch rounds twice.
            "num_warps": min(max(block // 128, 1), 8),
            "num_stages": 1,
            "enable_fp_fusion": False,
        }

    def __call__(
        self,
        images: UInt8[Tensor, "b 3 h w"],
        index: Int[Tensor, " b"],
        keys: Int64[Tensor, "2"],
    ) -> Float32[Tensor, "b 3 h w"]:
        """Launch; compiles at the first call of a process, which takes seconds unless Triton's cache knows the kernel.

        Args:
            images: (B, 3, H, W), any strides.
            index: (B,) in [0, 2^32).
            keys: (2,) of `Augment.keys`.

        Returns:
            (B, 3, H, W) float32 in channels_last layout.
        """
        from longtail.augment.kernel import augment_kernel

        out = torch.empty_like(images, dtype=torch.float32, memory_format=torch.channels_last)
        with torch.cuda.device(images.get_device()):  # the launch goes to the current one
            augment_kernel[(len(index),)](
                images, index.contiguous(), keys, out, *self._tables, *images.stride(),
                **self._constants,
            )  # fmt: skip
        return out
