"""Devices, precision and processes, through accelerate; and a description of the machine for the run folder."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from longtail.types import InputError

version = cache(metadata.version)
AUTOCAST = {"bf16": "bf16", "fp16": "fp16"}  # precision -> what accelerate calls it


def start_runtime(device: str, precision: str, *, threads: int = 0) -> Accelerator:
    """The accelerator of this process.

    Args:
        device: "auto" (CUDA where it is there, else the CPU), "cpu" or "cuda".
        precision: "fp32", "fp64", "bf16" or "fp16" (accelerators only).
        threads: of the CPU's arithmetic, for the whole process; 0 leaves them as they are.

    Raises:
        InputError: the device is not there, or cannot compute in that precision.
    """
    if threads:
        torch.set_num_threads(threads)
    AcceleratorState._reset_state(reset_partial_state=True)
    on_cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="no")
    found = accelerator.device.type
    if device not in ("auto", found):
        raise InputError(
            f"run.device = {device!r} is not on this machine, which has {found!r}; use --set run.device=auto"
        )
    if precision == "fp16" and found == "cpu":
        raise InputError(
            "fp16 needs an accelerator, this machine has none; use --set optim.precision=bf16 or fp32"
        )
    if precision in AUTOCAST:
        AcceleratorState._reset_state(reset_partial_state=True)
        accelerator = Accelerator(cpu=on_cpu, mixed_precision=AUTOCAST[precision])
    return accelerator


def weight_dtype(precision: str) -> torch.dtype:
    """Type of the weights, of the statistics, and of the images that the network is given."""
    return torch.float64 if precision == "fp64" else torch.float32


@contextmanager
def building_in(dtype: torch.dtype) -> Iterator[None]:
    """Fresh weights are drawn in this type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def environment(accelerator: Accelerator) -> dict[str, Any]:
    """Versions and kind of machine; no names of hosts or users."""
    packages = ("longtail", "torch", "torchvision", "accelerate", "numpy", "pillow", "scikit-learn")
    device = accelerator.device
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or platform.machine()
    )
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "device": device.type,
        "device_name": name,
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": accelerator.num_processes,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
    }
