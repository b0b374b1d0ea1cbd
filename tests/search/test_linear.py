"""Fits on features: exact, cross-validated, and with the class counts taken into account."""

import math

import torch
from torch import Tensor

from longtail.engine.display import Display
from longtail.search.fits import BEGUN_AT, DECAYS, Fits
from longtail.search.linear import coordinates, cross_validated, fit


def drawn(counts: tuple[int, ...], dim: int, distance: float = 1.5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.cat([torch.full((count,), c) for c, count in enumerate(counts)])
    centres = torch.randn(len(counts), dim, generator=generator) * distance / dim**0.5
    return centres[targets] + torch.randn(len(targets), dim, generator=generator), targets


def test_fewer_coordinates_than_channels_give_the_same_classifier() -> None:
    features, targets = drawn((20, 10, 5), dim=60)
    few = coordinates(features)
    assert few.shape == (35, 36)
    level = (features - features.mean(0)) / features.std(0, correction=0)
    whole = torch.cat([level, torch.ones(35, 1)], 1)
    torch.testing.assert_close(few @ few.T, whole @ whole.T, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(
        few @ fit(few, targets, 3, 1.0, 0.1), whole @ fit(whole, targets, 3, 1.0, 0.1), atol=0.02, rtol=0.02
    )


def test_a_fit_is_at_its_minimum() -> None:
    features, targets = drawn((20, 10, 5), dim=8)
    x = coordinates(features)
    weight = fit(x, targets, 3, 1.0, 0.1).requires_grad_()
    shift = torch.tensor([20.0, 10.0, 5.0]).log()
    loss = torch.nn.functional.cross_entropy(x @ weight + shift, targets) + 0.05 * weight.square().sum()
    loss.backward()
    assert weight.grad is not None
    assert weight.grad.abs().max() < 1e-3


def test_no_image_is_judged_by_a_classifier_that_saw_it() -> None:
    features, targets = drawn((12, 12, 6), dim=10)
    x, fold = coordinates(features), torch.arange(30) % 3
    said = cross_validated(x, targets, fold, 3, 1.0, 0.1)
    other = torch.where(fold == 0, (targets + 1) % 3, targets)
    again = cross_validated(x, other, fold, 3, 1.0, 0.1)
    assert torch.equal(said[0, fold == 0], again[0, fold == 0])
    assert not torch.equal(said[0, fold == 1], again[0, fold == 1])


def test_class_counts_help_the_rare_class_in_the_loss_and_after_it() -> None:
    features, targets = drawn((200, 8), dim=20)
    x, fold = coordinates(features), torch.arange(208) % 4
    plain, after = cross_validated(x, targets, fold, 2, 0.0, 0.1, (0.0, 1.0)).argmax(2)
    within = cross_validated(x, targets, fold, 2, 1.0, 0.1)[0].argmax(1)
    rare = targets == 1
    assert int((plain[rare] == 1).sum()) < int((after[rare] == 1).sum())
    assert int((plain[rare] == 1).sum()) < int((within[rare] == 1).sum())


def test_the_least_loss_over_classes_is_chosen_and_single_images_judge_nothing() -> None:
    features, targets = drawn((60, 12, 1), dim=20)
    fits = Fits(features, targets, 3, torch.arange(73) % 4, math.inf, Display(1, quiet=True))
    best = fits.run()
    assert best.loss == min(one.loss for one in fits.fits)
    assert fits.judged.sum() == 72
    rows = fits.trials(best)
    assert [row.chosen for row in rows] == [True] + [False] * (len(rows) - 1)


def test_every_kind_of_classifier_is_tried_with_every_decay() -> None:
    fits = Fits(*drawn((20, 8), dim=4), 2, torch.arange(28) % 4, math.inf, Display(1, quiet=True))
    fits.run()
    decays = {
        kind: {one.decay for one in fits.fits if one.kind == kind} for kind in {one.kind for one in fits.fits}
    }
    assert len(decays) == 7
    assert all(tried == {BEGUN_AT, *DECAYS} for tried in decays.values())


def test_one_fit_is_made_however_short_the_time() -> None:
    fits = Fits(*drawn((9, 3), dim=4), 2, torch.arange(12) % 3, 0.0, Display(1, quiet=True))
    assert fits.run().name == "balanced softmax, decay 0.1"
