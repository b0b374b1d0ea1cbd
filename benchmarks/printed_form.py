"""Why ICL as it is printed learns nothing: its terms at the start, and its first steps with one part exchanged.

    python benchmarks/printed_form.py --data DIR --json benchmarks/results/printed_form-1-thread.json

CIFAR-100-LT with imbalance factor 100 at 32 pixels, ResNet-32, recipe icl-cifar100-lt-printed. First the norm of each
term's gradient in the shared trunk, at random weights, one batch. Then `--steps` steps, with the contrastive term on
from the first, of the printed form and of forms that differ from it in one point.
"""

import argparse

import torch
from torch.nn import functional

from longtail.engine.averaging import statistics_kept
from longtail.engine.display import Display
from longtail.engine.job import build_job
from longtail.engine.step import StageTraining
from longtail.recipe import load_recipe
from longtail.runs.folder import RunFolder
from longtail.types import Batch, Progress
from record import about, table, tell

FORMS = {
    "printed": {},
    "Eq. 6 of cosines": {"method.similarity": "cosine"},
    "no contrast": {"method.contrastive_weight": 0.0},
    "Eq. 8 times M squared": {"method.parallel_factor": "num_experts_squared"},
    "no distillation": {"method.distillation_weight": 0.0},
    "no contrast, Eq. 8 times M squared": {
        "method.contrastive_weight": 0.0, "method.parallel_factor": "num_experts_squared"
    },
}  # fmt: skip
START = ["form", "term", "value", "gradient in the trunk"]
STEPS = ["form", "step", "cross-entropy of each expert", "contrastive", "weights / start", "dead channels, %"]
EVERY = 15


def begin(settings, data, seed):
    """A job, its first stage and the stage's first epoch."""
    given = {"data.path": data, "run.seed": seed, "method.contrastive_start": 0, **settings}
    recipe, _ = load_recipe("icl-cifar100-lt-printed", given)
    job = build_job(recipe, RunFolder("."), Display(recipe.optim.epochs, quiet=True))
    stage = StageTraining(job, 0)
    return job, stage, Progress(job.stages[0].name, 0, job.stages[0].epochs, 0, 0, seed)


def a_batch(job, size=128):
    """Some training images, normalised and not augmented."""
    data = job.data.train
    index = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:size].sort().values
    mean, std = (torch.tensor(value)[:, None, None] for value in (job.data.mean, job.data.std))
    return Batch((data.images[index] / 255 - mean) / std, data.targets[index], index)


def gradients(job, progress):
    """Each weighted term of the loss for one batch, and the norm of its gradient in the trunk that experts share."""
    batch = job.method.prepare(a_batch(job), progress)
    with statistics_kept(job.model):
        output = job.model(batch.image, job.stages[0].bank)
    with torch.no_grad():
        job.method.observe(output, batch, progress)
    trunk = list(job.model.trunk.parameters())
    rows = {}
    for name, term in job.method.loss(output, batch, progress).items():
        each = torch.autograd.grad(term, trunk, retain_graph=True, allow_unused=True)
        norm = torch.stack([one.norm() for one in each if one is not None]).norm()
        rows[name] = {"value": float(term.detach()), "gradient": float(norm)}
    return rows


@torch.no_grad()
def state_of(job, batch, weights):
    """Cross-entropy of each expert, growth of the weights, and the channels that are 0 for every image of a batch."""
    with statistics_kept(job.model):
        output = job.model(batch.image, job.stages[0].bank)
    losses = [float(functional.cross_entropy(logits.float(), batch.target)) for logits in output.logits]
    now = torch.stack([weight.norm() for weight in job.model.experts.parameters()])
    return {
        "cross_entropy": losses,
        "growth": float((now / weights).nan_to_num(0, 0, 0).max()),
        "dead": float((output.features.abs().amax(dim=1) == 0).float().mean()),
    }


def first_steps(settings, data, seed, steps):
    """What becomes of a form within some steps, by step."""
    job, stage, progress = begin(settings, data, seed)
    batch = a_batch(job)
    weights = torch.stack([weight.detach().norm() for weight in job.model.experts.parameters()])
    found, terms, plain = {0: state_of(job, batch, weights)}, {}, job.method.loss

    def kept(*given):
        terms.update(plain(*given))
        return plain(*given)

    job.method.loss = kept
    for done, _ in enumerate(stage.epoch(progress), 1):
        if done % EVERY == 0:
            known = {name: float(term.detach()) for name, term in terms.items()}
            found[done] = state_of(job, batch, weights) | {"terms": known}
        if done == steps:
            return found
    raise SystemExit(f"an epoch has {done} steps only")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="CIFAR-100, as data.path takes it")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json")
    args = parser.parse_args()
    result = about("printed_form.py") | {"seed": args.seed, "start": {}, "steps": {}}
    start, rows = [], []
    for name in args.forms:
        job, _, progress = begin(FORMS[name], args.data, args.seed)
        result["start"][name] = gradients(job, progress)
        for term, one in result["start"][name].items():
            start.append([name, term, f"{one['value']:.2f}", f"{one['gradient']:.2f}"])
        result["steps"][name] = first_steps(FORMS[name], args.data, args.seed, args.steps)
        for step, one in result["steps"][name].items():
            contrast = one.get("terms", {}).get("contrastive")
            rows.append([
                name, str(step), " / ".join(f"{loss:.2f}" for loss in one["cross_entropy"]),
                "-" if contrast is None else f"{contrast:.1f}", f"{one['growth']:.1f}", f"{100 * one['dead']:.0f}",
            ])  # fmt: skip
        result["tables"] = [
            table("the printed form at its start", START, start),
            table("its first steps", STEPS, rows),
        ]
        tell(args.json, result)


if __name__ == "__main__":
    main()
