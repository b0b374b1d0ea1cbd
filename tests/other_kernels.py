"""Run the tests of numbers once more with kernels for an older CPU, which round differently: `make kernels`."""

import hashlib
import os
import subprocess
import sys

import torch

OLDER = {  # of this CPU's kernels: what asks PyTorch and oneDNN for the next older ones
    "AVX512": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "AVX2": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}
TESTS = (
    "tests/golden", "tests/engine/test_processes.py", "tests/engine/test_reuse.py", "tests/engine/test_graph.py",
    "tests/test_reference_parity.py",
)  # fmt: skip


def bits() -> str:
    """A digest of an fp32 convolution."""
    image = torch.linspace(-1, 1, 2 * 16 * 9 * 9).view(2, 16, 9, 9)
    weight = torch.linspace(-0.3, 0.7, 16 * 16 * 9).view(16, 16, 3, 3)
    return hashlib.sha256(torch.nn.functional.conv2d(image, weight).numpy().tobytes()).hexdigest()


def main() -> int:
    capability = torch.backends.cpu.get_cpu_capability()
    if capability not in OLDER:
        print(f"kernels: {capability} has no older kernels to compare with; nothing was run")
        return 0
    env = os.environ | OLDER[capability]
    words = [sys.executable, __file__, "--bits"]
    if subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout.strip() == bits():
        print(f"kernels: {OLDER[capability]} changes no bit of a convolution, so nothing would be tested")
        return 1
    print(f"kernels: {capability} is this CPU's own; the tests now run with {OLDER[capability]}", flush=True)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", *TESTS], env=env, check=False
    ).returncode


if __name__ == "__main__":
    if "--bits" in sys.argv:
        print(bits())
    else:
        sys.exit(main())
