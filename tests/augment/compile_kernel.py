"""Compile the augmentation kernel for an H100, without one, and print what came out as JSON; called by `test_kernel`.

python compile_kernel.py 32x32 ...
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from longtail.augment import Augment
from longtail.augment.kernel import augment_kernel

TYPES = {torch.uint8: "*u8", torch.int32: "*i32", torch.int64: "*i64", torch.float32: "*fp32"}


def compile_for(height: int, width: int) -> dict[str, int]:
    augment = Augment(("crop", "flip", "autoaugment", "cutout"), (0.5,) * 3, (0.2,) * 3)
    Augment.form = lambda self, image: "kernel"  # type: ignore[method-assign]
    kernel = augment._prepare(torch.zeros(1, 3, height, width, dtype=torch.uint8)).fused
    assert kernel is not None
    constants = kernel._constants | {"stride_w": 1}
    options = {name: constants.pop(name) for name in ("num_warps", "num_stages", "enable_fp_fusion")}
    types = ["*u8", "*i64", "*i64", "*fp32", *(TYPES[table.dtype] for table in kernel._tables), *["i64"] * 4]
    names = augment_kernel.arg_names
    signature = dict(zip(names, types, strict=False)) | dict.fromkeys(constants, "constexpr")
    source = ASTSource(
        augment_kernel,
        {name: signature[name] for name in names},
        {(names.index(name),): value for name, value in constants.items()},
    )
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    return {
        "fused_multiply_adds": len(re.findall(r"\bfma\.", made.asm["ptx"])),
        "shared_bytes": made.metadata.shared,
        "stack_bytes": stack_bytes(made.asm["cubin"]),
    }


def stack_bytes(binary: bytes) -> int:
    """Bytes of a thread's registers that the assembler put on the stack, for the one kernel in `binary`."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        done = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True)
    return max(map(int, re.findall(r"STACK:(\d+)", done.stdout)))


if __name__ == "__main__":
    sizes = [tuple(map(int, size.split("x"))) for size in sys.argv[1:]]
    json.dump([compile_for(*size) for size in sizes], sys.stdout)
