"""Ideas that were tried and what they bring on this machine, so that the claim can be repeated.

    python benchmarks/probes.py [--rounds 15] [--json FILE]

1. One convolution for the experts' first convolutions, which share an input (3 experts and a gate: 4 at once; the
   shortcuts: 3 at once), against one after the other; forward and backward, with batch norm and ReLU.
2. Evaluation in batches of several sizes: small maps stay in the CPU's cache.
3. Batch norm folded into the convolutions for evaluation, against the network in evaluation mode.
"""

import argparse
from functools import partial
from tempfile import TemporaryDirectory

import torch
from torch.nn import functional

from longtail.engine.evaluate import evaluate
from longtail.models import fold_batch_norm
from record import about, table, tell
from sides import Library, load_job, made_up
from timing import medians

BATCH_SIZES = (32, 64, 128, 500)


def first_convolutions(batch):
    """Calls that compute and differentiate the layers which share the last map of the trunk (B, 32, 16, 16)."""
    last = torch.channels_last
    x = torch.randn(batch, 32, 16, 16).contiguous(memory_format=last).requires_grad_()
    gradient = torch.randn(batch, 64, 8, 8).contiguous(memory_format=last)

    def weights(count, side):
        return [torch.randn(64, 32, side, side, requires_grad=True) for _ in range(count)]

    def norm(y):
        channels = y.shape[1]
        return functional.batch_norm(
            y, None, None, torch.ones(channels), torch.zeros(channels), training=True
        )

    def separate(each, padding, activate):
        back([activate(norm(functional.conv2d(x, w, None, 2, padding))) for w in each])

    def merged(each, padding, activate):
        y = functional.conv2d(x, torch.cat(each), None, 2, padding)
        back([activate(norm(part)) for part in y.chunk(len(each), 1)])

    def all_merged(each, padding, activate):
        y = activate(norm(functional.conv2d(x, torch.cat(each), None, 2, padding)))
        back([part.contiguous(memory_format=last) for part in y.chunk(len(each), 1)])

    def back(outputs):
        torch.autograd.backward(outputs, [gradient] * len(outputs))

    first, shortcut = (weights(4, 3), 1, torch.relu_), (weights(3, 1), 0, lambda y: y)
    return {
        "first convolutions, one after the other": partial(separate, *first),
        "first convolutions, merged": partial(merged, *first),
        "first convolutions, batch norm merged too": partial(all_merged, *first),
        "shortcuts, one after the other": partial(separate, *shortcut),
        "shortcuts, merged": partial(merged, *shortcut),
    }


def evaluations(library):
    """An evaluation in batches of each size."""
    job = library.job
    ask = partial(
        evaluate, job.model, job.method, library.tested, job.augment,
        bank=job.stages[0].bank, device=job.runtime.device,
    )  # fmt: skip
    return {f"batches of {size}": partial(ask, batch_size=size) for size in BATCH_SIZES}


def foldings(library, batch=64):
    """Forward passes of the same batches with batch norm folded and not."""
    model = library.job.model.eval()
    images = library.job.augment.normalize(library.tested.images).split(batch)

    @torch.inference_mode()
    def forward(network):
        for part in images:
            network(part)

    return {"folded": partial(forward, fold_batch_norm(model)), "not folded": partial(forward, model)}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tiny", action="store_true", help="only show that the program runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    result, batch, images = about("probes.py"), *((4, 8) if args.tiny else (128, 500))
    with TemporaryDirectory() as folder:
        library = Library(load_job(made_up(folder, largest=100, tested=5), 128), images)
    probes = {
        f"layers that share an input, batch of {batch}": first_convolutions(batch),
        f"evaluation of {images} images": evaluations(library),
        f"forward pass of {images} images in evaluation": foldings(library),
    }
    result["seconds"] = {title: medians(calls, args.rounds) for title, calls in probes.items()}
    result["tables"] = [
        table(f"{title}, medians of {args.rounds} rounds", ["", "ms"],
              [[name, f"{1e3 * value:.1f}"] for name, value in times.items()])
        for title, times in result["seconds"].items()
    ]  # fmt: skip
    tell(args.json, result)


if __name__ == "__main__":
    main()
