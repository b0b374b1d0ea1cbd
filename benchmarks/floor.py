"""The floor under a step: its multiplications and additions at the rate of this machine's best matrix product."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from longtail.models import fold_batch_norm
from longtail.types import Batch
from sides import ON_CUDA
from timing import seconds


def product_rate(size=0, tries=7):
    """FLOP/s of the best of several square matrix products, in fp32 on a CPU, in bf16 on a GPU."""
    device, dtype = ("cuda", torch.bfloat16) if ON_CUDA else ("cpu", torch.float32)
    size = size or (8192 if ON_CUDA else 2048)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / min(seconds(lambda: left @ right) for _ in range(tries))


def step_flop(library, batch):
    """FLOP of one step of the phase that the library is in: forward, losses, backward."""
    job, stage = library.job, library.training.stage
    images = torch.randn(batch, 3, job.data.image_size, job.data.image_size, device=job.runtime.device)
    seen = torch.arange(batch, device=job.runtime.device)
    made = Batch(images.contiguous(memory_format=torch.channels_last), seen % job.model.num_classes, seen)
    with FlopCounterMode(display=False) as counter:
        library.training.objective(made, stage.bank, library.progress).total.backward()
    library.training.optimizer.zero_grad()
    return counter.get_total_flops()


@torch.inference_mode()
def image_flop(job):
    """FLOP of the forward pass of one image in evaluation."""
    image = torch.randn(1, 3, job.data.image_size, job.data.image_size, device=job.runtime.device)
    network = fold_batch_norm(job.model)
    with FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops()
