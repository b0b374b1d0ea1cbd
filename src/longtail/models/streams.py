"""Computes independent parts of a network on parallel CUDA streams."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def side_by_side(parts: Sequence[Callable[[], Tensor]], reads: Sequence[Tensor]) -> list[Tensor]:
    """Call each part on a stream of its own, after all that was asked of the current stream so far.

    Inside the recording of a CUDA graph this makes the parts branches that the device may overlap; gradients take the
    same streams. Elsewhere it gains nothing, since the CPU cannot launch fast enough.

    Args:
        parts: each makes one tensor.
        reads: tensors of the current stream that the parts read; their memory is kept until the parts are done.

    Returns:
        The parts' tensors, ready for the current stream.
    """
    here = torch.cuda.current_stream()
    made = []
    for part in parts:
        stream = torch.cuda.Stream(here.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            made.append((stream, part()))
        for tensor in reads:
            tensor.record_stream(stream)
    for stream, tensor in made:
        here.wait_stream(stream)
        tensor.record_stream(here)
    return [tensor for _, tensor in made]
