"""How far apart the experts of finished runs are: their features, their answers, and what all together add.

    python benchmarks/experts.py runs/ham-4-icl runs/ham-5-balanced-3 [--json FILE]

A folder of several seeds gives one row: means over its seeds, on the test images. cos is the mean cosine between two
experts' features of the same image; channels is how many of the features an expert uses (mean over the images above a
twentieth of its largest), and how many all experts use; disagree is the share of images that two experts name
differently; macro recall is that of the experts alone, on average, and that of all together.
"""

import argparse
from itertools import combinations
from pathlib import Path
from statistics import fmean

import torch
from torch.nn import functional

from longtail.augment import Augment
from longtail.data import batches, load_test
from longtail.predict import load_run
from record import about, table, tell


def macro(named, target):
    return fmean((named[target == c] == c).double().mean().item() for c in target.unique().tolist())


@torch.no_grad()
def measure(folder):
    """cos, channels used by one, channels used by all, disagree, macro of each alone, macro of all."""
    run = load_run(folder, device="cpu")
    known = run.description
    options = run.recipe.data.model_copy(update={"image_size": known["image_size"]})
    split, _ = load_test(options, run.classes)
    augment = Augment((), known["mean"], known["std"])
    stream = batches(split, torch.arange(len(split.targets)), 64, run.device)
    outputs = [(run.model(augment.normalize(b.image), bank=known["bank"]), b.target) for b in stream]
    features = torch.cat([output.features for output, _ in outputs], dim=1)
    logits = torch.cat([run.method.expert_logits(output) for output, _ in outputs], dim=1)
    joint = torch.cat([run.method.logits(output) for output, _ in outputs]).argmax(dim=-1)
    target, named = torch.cat([target for _, target in outputs]), logits.argmax(dim=-1)
    pairs = list(combinations(range(len(features)), 2))
    means = features.mean(dim=1)
    used = means > means.amax(dim=1, keepdim=True) / 20
    return (
        fmean(functional.cosine_similarity(features[a], features[b], dim=-1).mean().item() for a, b in pairs),
        used.sum(dim=1).double().mean().item(),
        used.all(dim=0).sum().item(),
        fmean((named[a] != named[b]).double().mean().item() for a, b in pairs),
        fmean(macro(each, target) for each in named),
        macro(joint, target),
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, or folders of several seeds")
    parser.add_argument("--json")
    args = parser.parse_args()
    result, rows = about("experts.py"), []
    for place in args.runs:
        seeds = [file.parent for file in sorted(place.glob("seed-*/recipe.toml"))] or [place]
        cos, one, every, *shares = (fmean(column) for column in zip(*map(measure, seeds), strict=True))
        figures = [f"{cos:.2f}", f"{one:.0f}", f"{every:.0f}", *(f"{100 * share:.1f}" for share in shares)]
        rows.append([place.name, str(len(seeds)), *figures])
    head = [
        "run", "seeds", "cos", "channels of one", "channels of all", "disagree, %", "macro of one, %", "macro of all, %"
    ]  # fmt: skip
    result["tables"] = [table("how far apart the experts of a run are", head, rows)]
    tell(args.json, result)


if __name__ == "__main__":
    main()
