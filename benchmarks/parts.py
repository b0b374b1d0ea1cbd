"""Where a step's time goes: the calls of a step one by one, with the time of each."""

import statistics
from dataclasses import replace

import torch

import reference
from longtail.engine.views import view_keys

PARTS = ("data", "augmentation", "forward", "statistics", "losses", "backward", "optimizer", "log")


def library_parts(library, steps):
    """Median seconds of each part of a step of the phase that the library is in."""
    clock, stream = reference.Clock(), _batches(library)
    rows = []
    for batch in stream:
        clock.mark("start")
        _step(library, batch, clock)
        rows.append(clock.totals())
        if len(rows) > steps:
            break
    return _medians(rows)


def _batches(library):
    progress, method = library.progress, library.job.method
    keys = view_keys(progress.seed, progress.total_epoch, method.num_views)
    return library.training._batches(progress, keys)


def _step(library, batch, clock):
    """What `StageTraining.step` does, with a mark after each part."""
    training, job, progress = library.training, library.job, library.progress
    image = job.augment(batch.image, batch.index, seed=progress.seed, epoch=progress.total_epoch)
    clock.mark("augmentation")
    batch = job.method.prepare(replace(batch, image=image), progress)
    with job.runtime.autocast():
        output = job.model(batch.image, bank=training.stage.bank)
    clock.mark("forward")
    with torch.no_grad():
        job.method.observe(output, batch, progress)
    clock.mark("statistics")
    terms = job.method.loss(output, batch, progress)
    total = torch.stack(list(terms.values())).sum()
    clock.mark("losses")
    job.runtime.backward(total)
    clock.mark("backward")
    training.optimizer.step()
    training.optimizer.zero_grad()
    clock.mark("optimizer")
    with torch.no_grad():
        job.method.after_step(job.model, progress)
        detached = {name: term.detach() for name, term in terms.items()}
        training.meter.add(detached, job.method.logits(output).detach(), batch.target)
    clock.mark("log")


def reference_parts(plain, steps):
    """Median seconds of each part of a step of the plain program; its data are augmented as they are loaded."""
    clock, rows = plain.state.clock, []
    clock.totals()
    for _ in range(steps + 1):
        clock.mark("start")
        plain.step()
        rows.append(clock.totals())
    return _medians(rows)


def _medians(rows):
    """Over all steps but the first."""
    return {part: statistics.median(row.get(part, 0.0) for row in rows[1:]) for part in PARTS}
