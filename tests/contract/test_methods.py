"""What every method must hold to; each file in `longtail/methods/` is tested without being named here."""

from collections.abc import Hashable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from longtail.engine.objective import Objective
from longtail.method import Epochs, Method, Stage
from longtail.methods import available
from longtail.models import ModelOptions, build_model
from longtail.types import Batch, ModelOutput, Progress

B, C, D, EPOCHS = 12, 5, 16, 200
COUNTS = torch.tensor([50, 20, 7, 1, 3])
TARGETS = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2, 0, 3, 1])  # class 3 has one image, class 4 none

methods = pytest.mark.parametrize("name", list(available()))
experts = pytest.mark.parametrize("num_experts", [1, 2, 3])


def build(name: str, num_experts: int = 3, counts: Tensor = COUNTS, dim: int = D) -> Method:
    cls = available()[name]
    known = experts_of(cls)
    torch.manual_seed(0)  # a method may have weights of its own
    return cls(cls.Options(name=name), counts, num_experts if num_experts in known else known[0], dim)


def experts_of(cls: type[Method]) -> tuple[int, ...]:
    """How many experts a method may have."""
    needed = cls.needs.get("num_experts", (1, 2, 3))
    return needed if isinstance(needed, tuple) else (needed,)


def most_experts(cls: type[Method]) -> int:
    return max(count for count in experts_of(cls) if count <= 3)


def stages_of(method: Method, epochs: int = EPOCHS) -> tuple[Stage, ...]:
    return type(method).stages(type(method).Options(name="x"), epochs)


def moments(method: Method) -> Iterator[Progress]:
    """The first and last epoch of each stage and both sides of each edge of the method's epoch windows."""
    options = type(method).Options(name="x")
    fields = type(options).model_fields.items()
    values = [
        getattr(options, key) for key, field in fields if any(isinstance(m, Epochs) for m in field.metadata)
    ]
    windows = {edge for value in values for edge in (value if isinstance(value, tuple) else (value,))}
    done = 0
    for stage in stages_of(method):
        edges = {0, stage.epochs - 1} | {edge + side for edge in windows for side in (-1, 0, 1)}
        for epoch in sorted(edge for edge in edges if 0 <= edge < stage.epochs):
            yield Progress(stage.name, epoch, stage.epochs, done + epoch, (done + epoch) * 7, 0)
        done += stage.epochs


def example(
    method: Method, progress: Progress, targets: Tensor = TARGETS, seed: int = 0, scale: float = 3.0
) -> tuple[ModelOutput, Batch]:
    """A batch as the method prepares it, and what a model might say of it."""
    generator = torch.Generator().manual_seed(seed)
    batch = method.prepare(given(method, targets, generator), progress)
    rows, count = len(batch.image), method.num_experts
    assert rows % len(targets) == 0
    features = torch.randn(count, rows, D, generator=generator)
    if method.has_teacher:
        taught = {"teacher_features": features.roll(1), "teacher_logits": features.new_ones(count, rows, C)}
        batch = replace(batch, aux={**batch.aux, **taught})
    mixed = method.mix(features.requires_grad_(), batch, progress)
    logits = scale * torch.randn(*mixed.shape[:2], C, generator=generator)
    aux = {"classifier": torch.randn(count, C, D, generator=generator).requires_grad_()}
    aux["scale"] = torch.tensor(30.0 if method.needs.get("head") == "cosine" else 1.0)
    return ModelOutput(mixed, logits.requires_grad_(), aux), batch


def given(method: Method, targets: Tensor, generator: torch.Generator | None = None) -> Batch:
    """A batch as the engine gives it, with another one where some stage draws a second."""
    rows = method.num_views * len(targets)
    image = torch.randn(rows, 3, 8, 8, generator=generator)
    index, keys = torch.arange(len(targets)), torch.tensor([3, 4])
    batch = Batch(image, targets, index, keys=keys)
    if any(stage.second_sampler for stage in stages_of(method)):
        batch = replace(batch, other=Batch(image.flip(0), targets.flip(0), index + 7, keys=keys))
    return batch


def step(method: Method, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Tensor]:
    """What the engine does around a loss."""
    with torch.no_grad():
        method.observe(output, batch, progress)
    return method.loss(output, batch, progress)


def check(terms: Mapping[str, Tensor], output: ModelOutput) -> None:
    assert terms
    assert all(isinstance(name, str) and name.isidentifier() for name in terms)
    for term in terms.values():
        assert term.shape == ()
        assert term.isfinite()
        assert term.requires_grad
    grads = torch.autograd.grad(torch.stack(list(terms.values())).sum(), list(output[:2]), allow_unused=True)
    present = [grad for grad in grads if grad is not None]
    assert present
    assert all(grad.isfinite().all() for grad in present)


def snapshot(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module: torch.nn.Module, before: dict[str, Tensor]) -> list[str]:
    after = module.state_dict()
    assert after.keys() == before.keys()
    return [name for name, value in after.items() if not torch.equal(value, before[name])]


@methods
def test_options_need_nothing_but_the_name_and_know_their_keys(name: str) -> None:
    cls = available()[name]
    assert cls.__module__ == f"longtail.methods.{name}"
    assert cls.__doc__
    assert cls.paper or name == "cross_entropy"
    options = cls.Options(name=name)
    assert options == cls.Options(**options.model_dump(mode="json"))
    with pytest.raises(ValidationError, match="Extra inputs"):
        cls.Options(name=name, no_such_key=1)
    with pytest.raises(ValidationError, match="frozen"):
        options.name = "other"


@methods
@pytest.mark.parametrize("epochs", [EPOCHS, 60])
def test_stages(name: str, epochs: int) -> None:
    method = build(name)
    stages = stages_of(method, epochs)
    assert sum(stage.epochs for stage in stages) == epochs
    assert all(stage.epochs >= 1 for stage in stages)
    assert len({stage.name for stage in stages}) == len(stages)
    banks = tuple(dict.fromkeys(stage.bank for stage in stages))
    model = build_model(ModelOptions(name="resnet8", num_experts=2), C, banks)
    names = [key for key, _ in model.named_parameters()]
    names += [f"method.{key}" for key, _ in method.named_parameters()]
    for stage in stages:
        patterns = (*stage.trainable, *(pattern for pattern, _ in stage.lr_shares))
        assert [one for one in patterns if not any(fnmatchcase(key, one) for key in names)] == []
    assert stages_of(method, epochs) == stages


@methods
@experts
def test_terms_are_finite_named_scalars_at_every_edge(name: str, num_experts: int) -> None:
    method = build(name, num_experts)
    for seed, progress in enumerate(moments(method)):
        method.start_epoch(progress)
        output, batch = example(method, progress, seed=seed)
        check(step(method, output, batch, progress), output)


@methods
def test_what_a_step_does_hangs_on_its_phase_alone(name: str) -> None:
    """Where phases are equal a recorded step is replayed, which sees nothing of the progress."""
    found: dict[Hashable, tuple[Mapping[str, Tensor], dict[str, Tensor]]] = {}
    for progress in moments(build(name)):
        method = build(name)
        phase = method.phase(progress)
        if phase is None:
            return
        terms = step(method, *example(method, progress), progress)
        expected, state = found.setdefault(phase, (terms, snapshot(method)))
        assert terms.keys() == expected.keys()
        assert all(torch.equal(terms[key], value) for key, value in expected.items())
        assert not changed(method, state)


@methods
@pytest.mark.parametrize(
    ("targets", "scale"),
    [([3], 3.0), ([4], 3.0), ([2, 2, 2], 3.0), ([0, 1, 2, 3], 1e4)],
    ids=["one image of a one-image class", "a class that training lacks", "one class", "extreme logits"],
)
def test_awkward_batches(name: str, targets: list[int], scale: float) -> None:
    method = build(name, counts=torch.tensor([50, 20, 7, 1, 0]))
    for progress in moments(method):
        method.start_epoch(progress)
        output, batch = example(method, progress, torch.tensor(targets), scale=scale)
        check(step(method, output, batch, progress), output)


@methods
def test_the_loss_changes_no_state_and_repeats(name: str) -> None:
    method = build(name)
    for progress in moments(method):
        method.start_epoch(progress)
        output, batch = example(method, progress)
        step(method, output, batch, progress)
        before = snapshot(method)
        first, second = method.loss(output, batch, progress), method.loss(output, batch, progress)
        method.logits(output)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)
        assert changed(method, before) == []


@methods
def test_state_survives_a_round_trip(name: str) -> None:
    method, other = build(name), build(name)
    for seed, progress in enumerate(moments(method)):
        method.start_epoch(progress)
        output, batch = example(method, progress, seed=seed)
        step(method, output, batch, progress)
        other.load_state_dict(snapshot(method))
        assert changed(other, snapshot(method)) == []
        after = replace(progress, step=progress.step + 1)
        for copy in (method, other):
            copy.start_epoch(after)
        output, batch = example(method, after, seed=seed + 100)
        a, b = step(method, output, batch, after), step(other, output, batch, after)
        assert {key: value.item() for key, value in a.items()} == {
            key: value.item() for key, value in b.items()
        }
        assert changed(other, snapshot(method)) == []


@methods
def test_state_follows_the_device(name: str) -> None:
    """A tensor that is no buffer would be left behind when the method moves."""
    method = build(name)
    for progress in moments(method):
        method.start_epoch(progress)
        step(method, *example(method, progress), progress)
    loose = [
        f"{where}.{key}"
        for where, module in method.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, Tensor)
    ]
    assert loose == []
    method.to("meta")
    assert all(value.device.type == "meta" for value in [*method.buffers(), *method.parameters()])


@methods
def test_a_step_waits_for_nothing(name: str) -> None:
    """Fake tensors have no values: whatever reads one, or has a shape that hangs on one, fails."""
    traced = terms_without_values(available()[name], name)
    assert list(traced) == [stage.name for stage in stages_of(build(name))]
    assert all(traced.values())


def terms_without_values(cls: type[Method], name: str) -> dict[str, set[str]]:
    """Stage -> the terms that a step with fake tensors gave in it, at all edges of its windows."""
    traced: dict[str, set[str]] = {}
    method = cls(cls.Options(name=name), torch.ones(C, dtype=torch.int64), most_experts(cls), D)
    with FakeTensorMode() as mode:
        method._apply(mode.from_tensor)
        for progress in moments(method):
            output, batch = example(method, progress, torch.zeros(B, dtype=torch.int64))
            terms = step(method, output, batch, progress)
            torch.stack(list(terms.values())).sum().backward()
            assert method.logits(output).shape == output.logits.shape[1:]
            traced.setdefault(progress.stage, set()).update(terms)
    return traced


def test_waiting_would_be_noticed() -> None:
    class Waits(available()["cross_entropy"]):
        def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Tensor]:
            return {"x": output.logits.sum() / batch.target.max().item()}

    with pytest.raises(DataDependentOutputException):
        terms_without_values(Waits, "x")


@methods
@experts
def test_predictions_are_one_row_an_image(name: str, num_experts: int) -> None:
    method = build(name, num_experts)
    images = torch.randn(method.num_experts, B, D), torch.randn(method.num_experts, B, C)
    logits = method.logits(ModelOutput(*images))
    assert logits.shape == (B, C)
    assert logits.isfinite().all()
    one = method.logits(ModelOutput(*(part[:, :1] for part in images)))
    torch.testing.assert_close(one, logits[:1])
    assert method.expert_logits(ModelOutput(*images)).shape == images[1].shape


@methods
def test_predictions_hang_on_state_only_where_that_is_shipped(name: str) -> None:
    """Where a method predicts, it is made anew: it has its state alone if it says that it needs it."""
    method = build(name)
    output = ModelOutput(torch.randn(method.num_experts, B, D), torch.randn(method.num_experts, B, C))

    def said() -> list[Tensor]:
        priors = [method.assumed_log_prior(stage) for stage in stages_of(method)]
        return [method.logits(output), method.expert_logits(output), *priors]

    before = said()
    for value in method.state_dict().values():
        value.copy_(torch.rand(value.shape) * 2 + 1)
    same = all(map(torch.equal, before, said()))
    assert same is not method.predicts_with_state


@methods
def test_a_small_network_learns_from_it(name: str) -> None:
    """Six steps on one batch through a real network: in each stage one of the last three has a lower loss."""
    torch.manual_seed(0)
    method = build(name, 2, dim=64)
    stages = stages_of(method)
    model = build_model(small(method), C, tuple(dict.fromkeys(stage.bank for stage in stages)))
    method.start(model)
    raw = given(method, TARGETS, torch.Generator().manual_seed(0))
    for stage in stages:
        progress = Progress(stage.name, 40 % stage.epochs, stage.epochs, 40, 0, 0)
        parameters = [*model.parameters(), *method.parameters()]
        optimizer = torch.optim.SGD([p for p in parameters if p.requires_grad], lr=0.01)
        objective, totals = Objective(model, method, nullcontext), []
        for _ in range(6):
            outcome = objective(raw, stage.bank, progress)
            optimizer.zero_grad()
            outcome.total.backward()
            optimizer.step()
            with torch.no_grad():
                method.after_step(model, progress)
            totals.append(outcome.total.item())
        assert min(totals[3:]) < totals[0]
    with torch.no_grad():
        said = method.finalize(model, None)
    assert said is None or "\n" not in said
    assert model(raw.image[:B]).logits.isfinite().all()


def small(method: Method) -> ModelOptions:
    needs = {key: value[0] if isinstance(value, tuple) else value for key, value in method.needs.items()}
    return ModelOptions(name="resnet8", **{**needs, "num_experts": method.num_experts})
