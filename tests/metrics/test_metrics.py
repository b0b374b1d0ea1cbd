import json
import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    log_loss,
    precision_score,
    recall_score,
)

from longtail.metrics import EvaluationCounts, Scores, class_groups, per_class_rows, summarize, to_metrics
from longtail.metrics.counts import BINS, confidence_bin
from longtail.types import InputError

M, N, C = 3, 400, 6
TRAIN = torch.tensor([500, 101, 100, 20, 19, 1])
NAMES = tuple("abcdef")
GROUPS = ("many", "many", "medium", "medium", "few", "few")
MEANS = ["overall", "macro", "many", "medium", "few"]
OTHERS = ["geometric_mean", "worst_class", "ece", "nll", "num_images", "experts", "not_tested"]
KEYS = [*MEANS, *OTHERS]
COLUMNS = ["class", "group", "train_images", "test_images", "correct", "recall", "precision", "mistaken_for"]


@pytest.fixture(scope="module")
def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(C, (N,), generator=generator)
    logits = torch.randn(M, N, C, generator=generator)
    logits[:, torch.arange(N), target] += 1.5
    return logits, target


def count(logits: torch.Tensor, target: torch.Tensor, batch: int = 64) -> EvaluationCounts:
    counts = EvaluationCounts.zeros(len(logits), logits.shape[2])
    for z, y in zip(logits.split(batch, 1), target.split(batch), strict=True):
        counts.add(z.mean(0), z, y)
    return counts


def calibration_error(probability: np.ndarray, target: np.ndarray, bins: int = 15) -> float:
    """Mean over images of |accuracy - confidence| of the image's bin, straight from the definition."""
    confidence, right = probability.max(1), probability.argmax(1) == target
    error = 0.0
    for i in range(bins):
        inside = (confidence > i / bins) & (confidence <= (i + 1) / bins)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


def test_metrics_agree_with_scikit_learn(data) -> None:
    logits, target = data
    metrics = to_metrics(count(logits, target), TRAIN, NAMES)
    probability = logits.mean(0).double().softmax(-1).numpy()
    truth, guess = target.numpy(), probability.argmax(1)
    recall = recall_score(truth, guess, average=None)
    assert list(metrics) == KEYS
    assert metrics["overall"] == pytest.approx(accuracy_score(truth, guess), abs=1e-12)
    assert metrics["macro"] == pytest.approx(balanced_accuracy_score(truth, guess), abs=1e-12)
    assert metrics["many"] == pytest.approx(recall[:2].mean(), abs=1e-12)
    assert metrics["medium"] == pytest.approx(recall[2:4].mean(), abs=1e-12)
    assert metrics["few"] == pytest.approx(recall[4:].mean(), abs=1e-12)
    assert metrics["geometric_mean"] == pytest.approx(recall.prod() ** (1 / C), abs=1e-12)
    worst = int(recall.argmin())
    assert metrics["worst_class"] == {"name": NAMES[worst], "index": worst, "recall": recall[worst]}
    assert metrics["nll"] == pytest.approx(log_loss(truth, probability), abs=1e-6)
    assert metrics["ece"] == pytest.approx(calibration_error(probability, truth), abs=1e-6)
    assert metrics["num_images"] == N
    assert metrics["not_tested"] == []
    assert len(metrics["experts"]) == M
    for expert, z in zip(metrics["experts"], logits, strict=True):
        own = recall_score(truth, z.argmax(-1).numpy(), average=None)
        expected = [accuracy_score(truth, z.argmax(-1).numpy()), own.mean(), *own.reshape(3, 2).mean(1)]
        assert list(expert) == MEANS
        assert list(expert.values()) == pytest.approx(expected, abs=1e-12)


def test_rows_agree_with_scikit_learn(data) -> None:
    logits, target = data
    counts = count(logits, target)
    guess = logits.mean(0).argmax(-1)
    matrix = confusion_matrix(target, guess)
    assert np.array_equal(counts.confusion, matrix)
    rows = per_class_rows(counts, TRAIN, NAMES)
    assert [row["recall"] for row in rows] == pytest.approx(recall_score(target, guess, average=None))
    assert [row["precision"] for row in rows] == pytest.approx(precision_score(target, guess, average=None))
    for index, row in enumerate(rows):
        wrong = matrix[index].copy()
        wrong[index] = -1
        assert list(row) == COLUMNS
        assert (row["class"], row["group"]) == (NAMES[index], GROUPS[index])
        assert row["train_images"] == TRAIN[index]
        assert (row["test_images"], row["correct"]) == (matrix[index].sum(), matrix[index, index])
        assert row["mistaken_for"] == NAMES[wrong.argmax()]


def test_batches_and_processes_change_nothing(data) -> None:
    logits, target = data
    whole = to_metrics(count(logits, target, batch=N), TRAIN, NAMES)
    parts = [count(logits[:, part], target[part]) for part in (slice(0, 100), slice(100, 101), slice(101, N))]
    merged = to_metrics(parts[0] + parts[1] + parts[2], TRAIN, NAMES)
    assert merged.keys() == whole.keys()
    for key, value in whole.items():
        assert merged[key] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)
    assert parts[0].num_images == 100  # adding leaves the parts as they were


def test_a_hand_checked_evaluation() -> None:
    probability = torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.9, 0.05, 0.05]])
    counts = EvaluationCounts.zeros(1, 3)
    counts.add(probability.log(), probability.log().unsqueeze(0), torch.tensor([0, 0, 1]))
    metrics = to_metrics(counts, torch.tensor([200, 50, 2]), ("cat", "dog", "owl"))
    assert metrics["overall"] == pytest.approx(1 / 3)
    assert metrics["macro"] == 0.25
    assert (metrics["many"], metrics["medium"], metrics["few"]) == (0.5, 0.0, None)
    assert metrics["geometric_mean"] == 0
    assert metrics["worst_class"] == {"name": "dog", "index": 1, "recall": 0.0}
    assert metrics["not_tested"] == ["owl"]
    assert metrics["nll"] == pytest.approx(-math.log(0.7 * 0.4 * 0.05) / 3, rel=1e-6)
    assert metrics["ece"] == pytest.approx((0.3 + 0.5 + 0.9) / 3, rel=1e-6)
    assert metrics["experts"] == [{key: metrics[key] for key in MEANS}]
    cat, dog, owl = per_class_rows(counts, torch.tensor([200, 50, 2]), ("cat", "dog", "owl"))
    assert (cat["recall"], cat["precision"], cat["mistaken_for"]) == (0.5, 0.5, "dog")
    assert (dog["recall"], dog["precision"], dog["mistaken_for"]) == (0.0, 0.0, "cat")
    assert (owl["recall"], owl["precision"], owl["mistaken_for"]) == (None, None, None)
    assert (owl["group"], owl["test_images"], owl["correct"]) == ("few", 0, 0)
    json.dumps([metrics, cat, dog, owl], allow_nan=False)


def test_nothing_tested_is_none_everywhere() -> None:
    metrics = to_metrics(EvaluationCounts.zeros(2, C), TRAIN, NAMES)
    for key in (*MEANS, "geometric_mean", "worst_class", "ece", "nll"):
        assert metrics[key] is None
    assert metrics["num_images"] == 0
    assert metrics["not_tested"] == list(NAMES)
    assert metrics["experts"] == [dict.fromkeys(MEANS)] * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_certain_and_wrong_predictions_stay_finite(dtype) -> None:
    logits = torch.tensor([[1e4, -1e4], [1e4, -1e4]], dtype=dtype)
    counts = EvaluationCounts.zeros(1, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counts.add(logits, logits.unsqueeze(0), torch.tensor([0, 1]))
    metrics = to_metrics(counts, torch.tensor([5, 5]), ("a", "b"))
    assert metrics["nll"] == pytest.approx(1e4, rel=0.01)
    assert metrics["ece"] == pytest.approx(0.5)
    assert counts.bin_count.tolist() == [0] * 14 + [2]


def test_a_confidence_on_the_edge_belongs_to_the_lower_bin() -> None:
    edges = [confidence_bin(torch.tensor([i / BINS], dtype=torch.float64)).item() for i in range(BINS + 1)]
    assert edges == [0, *range(BINS)]
    assert confidence_bin(torch.tensor([1e-9, 0.5, 1 - 1e-9], dtype=torch.float64)).tolist() == [0, 7, 14]
    half = torch.tensor([[0.0, 0.0]])
    counts = EvaluationCounts.zeros(1, 2)
    counts.add(half, half.unsqueeze(0), torch.tensor([0]))
    assert int(counts.bin_count.argmax()) == 7  # 0.5 lies in (7/15, 8/15]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({}, GROUPS), ({"many_above": 99, "few_below": 2}, ("many", "many", "many", "medium", "medium", "few"))],
)
def test_groups(limits, expected) -> None:
    assert class_groups(TRAIN, **limits) == expected
    rows = per_class_rows(EvaluationCounts.zeros(1, C), TRAIN, NAMES, **limits)
    assert tuple(row["group"] for row in rows) == expected


def test_groups_of_the_published_long_tail() -> None:
    counts = torch.tensor([int(500 * 0.01 ** (c / 99)) for c in range(100)])
    groups = class_groups(counts)
    assert [groups.count(name) for name in ("many", "medium", "few")] == [35, 35, 30]


def test_thresholds_reach_the_metrics(data) -> None:
    counts = count(*data)
    metrics = to_metrics(counts, TRAIN, NAMES, many_above=1000, few_below=0)
    assert metrics["many"] is metrics["few"] is None
    assert metrics["medium"] == metrics["macro"]


def test_summarize_gives_scores() -> None:
    scores = summarize(torch.tensor([1, 0]), torch.tensor([2, 0]), ("many", "few"))
    assert scores == Scores(overall=0.5, macro=0.5, many=0.5, medium=None, few=None, recall=(0.5, None))


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(InputError, match=r"3, 6.*2, 6"):
        EvaluationCounts.zeros(2, C) + EvaluationCounts.zeros(3, C)
    for wrong in ((TRAIN[:5], NAMES), (TRAIN, NAMES[:5])):
        with pytest.raises(InputError, match="5"):
            to_metrics(EvaluationCounts.zeros(1, C), *wrong)
        with pytest.raises(InputError, match="5"):
            per_class_rows(EvaluationCounts.zeros(1, C), *wrong)
