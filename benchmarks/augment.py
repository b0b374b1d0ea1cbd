"""Augmentation on one core: `Augment` against the usual PIL/torchvision pipeline, alternating in one run.
With a GPU also there: the Triton kernel against the torch form, each launched as usual and replayed as a graph.

python benchmarks/augment.py [--rounds 7] [--json FILE]
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

from longtail.augment import Augment
from record import about, table, tell

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
BATCH_SIZE, SIDE, CUTOUT_SIZE = 128, 32, 16
CHAIN = ("crop", "flip", "autoaugment", "cutout")
BATCHES = 200  # batches between two marks of its clock


class Cutout:
    """One square at a random centre, set to zero in a float image, as released training code does it."""

    def __call__(self, image: Tensor) -> Tensor:
        y, x = torch.randint(SIDE, (2,)).tolist()
        top, left = max(0, y - CUTOUT_SIZE // 2), max(0, x - CUTOUT_SIZE // 2)
        image[:, top : y + CUTOUT_SIZE // 2, left : x + CUTOUT_SIZE // 2] = 0
        return image


def usual_pipeline() -> transforms.Compose:
    return transforms.Compose(
        [
            transforms.RandomCrop(SIDE, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10, fill=(128, 128, 128)),
            transforms.ToTensor(),
            Cutout(),
            transforms.Normalize(MEAN, STD),
        ]
    )


def some_images(count: int) -> Tensor:
    """Smooth random images: speed does not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic")
    return (smooth * 255).clamp(0, 255).to(torch.uint8)


def microseconds_per_image(work: Callable[[int], object], batches: int) -> float:
    """CPU time: one thread does all the work, and what else the machine does counts less."""
    start = time.process_time()
    for number in range(batches):
        work(number)
    return (time.process_time() - start) / (batches * BATCH_SIZE) * 1e6


def measure(rounds: int) -> dict[str, Any]:
    images = some_images(BATCH_SIZE)
    pictures = [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in images]
    index = torch.arange(BATCH_SIZE)
    augment = Augment(CHAIN, MEAN, STD, cutout_size=CUTOUT_SIZE)
    usual = usual_pipeline()
    works: dict[str, tuple[Callable[[int], object], int]] = {
        "longtail": (lambda epoch: augment(images, index, seed=0, epoch=epoch), 20),
        "torchvision": (lambda _: torch.stack([usual(picture) for picture in pictures]), 2),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, (work, batches) in works.items():
            spent = microseconds_per_image(work, batches)
            if number:
                times[name].append(spent)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "us_per_image": medians,
        "ratio": medians["torchvision"] / medians["longtail"],
        "all_us_per_image": times,
        "batch_size": BATCH_SIZE,
        "side": SIDE,
    }


class Dense(Augment):
    """The torch form, also where the kernel could run."""

    def form(self, image: Tensor) -> Literal["dense"]:
        return "dense"


def microseconds_per_batch(work: Callable[[], object]) -> float:
    """Time on the GPU's own clock, which launches count in where the GPU waits for them."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(BATCHES):
        work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / BATCHES * 1e3


def graph_of(work: Callable[[], object]) -> torch.cuda.CUDAGraph:
    work()  # what is prepared or compiled once must not be captured
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def measure_on_gpu(rounds: int) -> dict[str, Any]:
    """Batches on the GPU, medians of alternating rounds; refuses unequal results."""
    images, index = some_images(BATCH_SIZE).to("cuda"), torch.arange(BATCH_SIZE, device="cuda")
    keys = Augment.keys(0, 0, 0, "cuda")
    options = {"mean": MEAN, "std": STD, "cutout_size": CUTOUT_SIZE}
    augments = {one.form(images): one for one in (Augment(CHAIN, **options), Dense(CHAIN, **options))}
    works: dict[str, Callable[[], object]] = {}
    results = []
    for form, augment in augments.items():
        work = functools.partial(augment.apply, images, index, keys)
        results.append(work())
        works |= {form: work, f"{form}, graph": graph_of(work).replay}
    if not all(torch.equal(results[0], result) for result in results):
        raise SystemExit("the kernel and the torch form differ; the times mean nothing")
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            spent = microseconds_per_batch(work)
            if number:
                times[name].append(spent)
    return {
        "us_per_batch": {name: statistics.median(values) for name, values in times.items()},
        "all_us_per_batch": times,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="alternating rounds after one warm-up round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    result = about("augment.py") | measure(arguments.rounds)
    rows = [[name, f"{value:.1f}"] for name, value in result["us_per_image"].items()]
    rows.append(["ratio", f"{result['ratio']:.1f}"])
    title = "augmentation on one core (crop, flip, AutoAugment, Cutout, normalise), medians"
    result["tables"] = [table(title, ["", "us an image"], rows)]
    if torch.cuda.is_available():
        result["gpu"] = measure_on_gpu(arguments.rounds)
        rows = [[name, f"{value:.1f}"] for name, value in result["gpu"]["us_per_batch"].items()]
        title = f"the same on the GPU, a batch of {BATCH_SIZE}, medians"
        result["tables"].append(table(title, ["", "us a batch"], rows))
    tell(arguments.json, result)


if __name__ == "__main__":
    main()
