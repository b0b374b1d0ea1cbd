"""Run folders as training leaves them, made up without training: any number of classes, images, experts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from longtail.recipe import load_recipe
from longtail.runs import RunFolder, layout

GROUPS = ("many", "medium", "few")
RATES = {"many": 0.85, "medium": 0.7, "few": 0.4}
ODD_NAMES = (
    "<img src=x onerror=alert(1)>", "</script>", '"on=', "a$_$", "new\nline", "قطة", "x" * 200, "__proto__", "007",
    "=1+1", "NA", "Löwe",
)  # fmt: skip

UNEVEN = [40, 25, 9, 3, 0, 12, 30, 1, 100, 20, 15, 60]  # test images: some too few, one class not tested
KINDS: dict[str, dict[str, Any]] = {  # runs whose pages are looked at
    "odd": {"names": ODD_NAMES, "images": UNEVEN, "unknown": {"<b>zebra</b>": 3}, "temperature": 1.5},
    "hundred": {"num_classes": 100},
    "thousands": {"num_classes": 400, "images": 3},
    "single": {"num_classes": 7, "experts": 1, "images": 1},
    "unfinished": {"num_classes": 7, "status": "interrupted"},
    "perfect": {"num_classes": 7, "rates": [1.0] * 7},
}


def class_sizes(num_classes: int) -> np.ndarray:
    """Training images of each class: exponential from 500 to 5, or a power law above 1,000 classes."""
    place = np.arange(num_classes)
    if num_classes > 1000:
        return np.maximum(2, 1000 / (1 + place) ** 0.6).astype(int)
    return np.maximum(1, 500 * 100.0 ** (-place / max(1, num_classes - 1))).astype(int)


def made_up_run(
    path: Path,
    *,
    num_classes: int = 10,
    names: Sequence[str] | None = None,
    images: int | Sequence[int] = 20,
    rates: Mapping[str, float] | Sequence[float] = RATES,
    experts: int = 3,
    epochs: int = 4,
    status: str = "done",
    split: str = "test",
    evaluated: bool = True,
    temperature: float | None = None,
    sources: int = 0,
    never: int = 0,
    unknown: Mapping[str, int] | None = None,
    audit: Mapping[str, Any] | None = None,
    data: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    probed: Mapping[str, Sequence[Any]] | None = None,
    seed: int = 0,
) -> Path:
    """Write a run folder and return its path.

    Args:
        path: where; made.
        num_classes: C, where `names` gives none.
        names: of the classes, `ODD_NAMES` for those that break pages.
        images: evaluated images of every class, or of each.
        rates: share of right answers by group, or of each class.
        experts: M; 1 is a run of plain cross-entropy.
        epochs: of the whole run; unless done, half of them are finished.
        status: done, running, failed or interrupted.
        split: "test" or "val".
        evaluated: whether eval/<split>/ is there.
        temperature: fitted, or None.
        sources: patients, cameras or bursts that the evaluated images come from; 0 says nothing of them.
        never: that many of the last classes are never predicted.
        unknown: classes of the evaluated data that the model does not know.
        audit: content of audit.json.
        data: path of a folder of images, else the run is on cifar100.
        overrides: of the recipe.
        probed: key of the log -> its value in each finished epoch; None leaves it out.
        seed: of all draws.
    """
    names = tuple(names) if names is not None else tuple(f"class {c}" for c in range(num_classes))
    rng, counts = np.random.default_rng(seed), class_sizes(len(names))
    groups = np.array(["many" if n > 100 else "few" if n < 20 else "medium" for n in counts])
    folder = RunFolder(path)
    _write_recipe(folder, experts, epochs, data, overrides or {}, seed)
    rows = zip(names, counts.tolist(), groups.tolist(), strict=True)
    folder.write_json(
        layout.CLASSES,
        [{"name": n, "index": i, "count": c, "group": g} for i, (n, c, g) in enumerate(rows)],
    )
    ran = epochs if status == "done" else epochs // 2
    folder.set_status(status, epoch=ran, epochs=epochs)
    folder.write_json(layout.ENVIRONMENT, ENVIRONMENT)
    model = {"classes": names, "epoch": ran} | ({"temperature": temperature} if temperature else {})
    folder.write_json(layout.DESCRIPTION, model)
    if audit is not None:
        folder.write_json(layout.AUDIT, dict(audit))

    each = np.broadcast_to(np.asarray(images), len(names))
    rate = np.array([rates[g] for g in groups] if isinstance(rates, Mapping) else rates)
    true = np.repeat(np.arange(len(names)), each)
    label = _labels(rng, true, rate, never)
    votes = np.stack([_votes(rng, label, true) for _ in range(experts)]) if experts > 1 else label[None]
    confidence = _confidences(rng, label == true, len(names))
    metrics = _scores(true, label, votes, groups, names, confidence) | {"split": split, "epoch": ran}
    metrics |= {"unknown_classes": dict(unknown or {}), "unreadable": []}
    _write_log(folder, ran, epochs, split, metrics if len(true) else None, probed or {})
    _write_splits(path, names, counts, true, split, sources)
    if evaluated and status == "done":
        place = path / layout.evaluation(split)
        place.mkdir(parents=True)
        _write_tables(place, names, groups, counts, true, label)
        _write_predictions(place, names, split, true, label, votes, confidence, temperature)
        if temperature:
            metrics |= {
                "temperature": temperature,
                "ece_calibrated": 0.02,
                "nll_calibrated": 0.9 * metrics["nll"],
            }
        folder.write_json(layout.metrics(split), metrics)
    return path


ENVIRONMENT = {
    "versions": {"python": "3.12.0", "longtail": "0.1.0", "torch": "2.11.0"}, "device": "cpu", "device_name": "x86_64",
    "cpu_count": 2, "threads": 1, "processes": 1, "cpu_capability": "AVX2", "system": "Linux", "index_hash": "0" * 64,
}  # fmt: skip


def _write_recipe(
    folder: RunFolder, experts: int, epochs: int, data: str | None, overrides: Mapping[str, Any], seed: int
) -> None:
    given: dict[str, Any] = {"model.num_experts": experts, "run.seed": seed}
    if experts == 1:
        given["method.name"] = "cross_entropy"
    if data is not None:
        given |= {"data.name": "folder", "data.path": data}
    target = "icl-cifar100-lt" if data is None else "icl-images"
    recipe, _ = load_recipe(target, given | dict(overrides), epochs=max(epochs, 4))
    folder.write_text(layout.RECIPE, recipe.to_toml())


def _labels(rng: np.random.Generator, true: np.ndarray, rate: np.ndarray, never: int) -> np.ndarray:
    """Predictions: right at each class's rate; mistakes go to a neighbour or, more often, to a larger class."""
    classes = len(rate)
    right = rng.random(len(true)) < rate[true]
    larger = (rng.random(len(true)) ** 2 * classes).astype(int)
    neighbour = np.clip(true + rng.choice([-1, 1], len(true)), 0, classes - 1)
    wrong = np.where(rng.random(len(true)) < 0.5, neighbour, larger)
    wrong = np.where(wrong == true, (true + 1) % classes, wrong)
    label = np.where(right, true, wrong)
    return np.where(label >= classes - never, 0, label)


def _votes(rng: np.random.Generator, label: np.ndarray, true: np.ndarray) -> np.ndarray:
    """One expert's predictions: mostly those of all together, sometimes right alone, sometimes the largest class."""
    draw = rng.random(len(label))
    return np.where(draw < 0.85, label, np.where(draw < 0.9, true, 0))


def _confidences(rng: np.random.Generator, right: np.ndarray, classes: int) -> np.ndarray:
    drawn = np.where(right, rng.beta(6, 1.2, len(right)), rng.beta(3, 2, len(right)))
    return np.clip(drawn, 1 / classes, 1)


def _means(true: np.ndarray, label: np.ndarray, groups: np.ndarray) -> dict[str, float | None]:
    images = np.bincount(true, minlength=len(groups))
    right = np.bincount(true[true == label], minlength=len(groups))
    recall = np.where(images > 0, right / np.maximum(images, 1), np.nan)
    chosen = {"macro": images > 0} | {g: (images > 0) & (groups == g) for g in GROUPS}
    means = {key: float(recall[which].mean()) if which.any() else None for key, which in chosen.items()}
    return {"overall": float(right.sum() / images.sum()) if images.sum() else None} | means


def _scores(
    true: np.ndarray,
    label: np.ndarray,
    votes: np.ndarray,
    groups: np.ndarray,
    names: Sequence[str],
    confidence: Any,
) -> dict[str, Any]:
    images = np.bincount(true, minlength=len(names))
    recall = np.bincount(true[true == label], minlength=len(names)) / np.maximum(images, 1)
    tested = np.flatnonzero(images)
    worst = int(tested[recall[tested].argmin()]) if len(tested) else None
    return _means(true, label, groups) | {
        "geometric_mean": 0.0,
        "worst_class": None
        if worst is None
        else {"name": names[worst], "index": worst, "recall": float(recall[worst])},
        "ece": _ece(true == label, confidence),
        "nll": 1.0,
        "num_images": len(true),
        "experts": [_means(true, vote, groups) for vote in votes],
        "not_tested": [names[c] for c in np.flatnonzero(images == 0)],
    }


def _ece(right: np.ndarray, confidence: np.ndarray) -> float | None:
    slot = np.clip(np.ceil(confidence * 15), 1, 15).astype(int)
    gaps = np.abs(np.bincount(slot, right - confidence))
    return float(gaps.sum() / len(right)) if len(right) else None


def _write_log(
    folder: RunFolder,
    ran: int,
    epochs: int,
    split: str,
    metrics: dict[str, Any] | None,
    probed: Mapping[str, Sequence[Any]],
) -> None:
    records = []
    for epoch in range(ran):
        feature = epoch < epochs - 1
        loss = {"parallel": 2.0 / (epoch + 1), "diversity": -0.1} if feature else {"logit_adjustment": 1.0}
        record: dict[str, Any] = {
            "epoch": epoch, "stage": "feature" if feature else "classifier", "stage_epoch": epoch,
            "loss": loss, "lr": 0.1 / (1 + epoch), "train_accuracy": 0.9 * (epoch + 1) / epochs,
            "seconds": 2.0,
        }  # fmt: skip
        if metrics is not None and (epoch % 2 or epoch == ran - 1):
            part = (epoch + 1) / ran
            scores = {key: metrics[key] and part * metrics[key] for key in ("overall", "macro", *GROUPS)}
            record[split] = metrics | scores
        record |= {key: values[epoch] for key, values in probed.items() if values[epoch] is not None}
        records.append(record)
    folder.write_log(records)


def _write_splits(
    path: Path, names: Sequence[str], counts: np.ndarray, true: np.ndarray, split: str, sources: int
) -> None:
    named = np.array(names, dtype=object)
    train = np.repeat(np.arange(len(names)), counts)
    table = pd.DataFrame(
        {
            "path": [f"train/{n}" for n in range(len(train))] + [f"{split}/{n}" for n in range(len(true))],
            "class": named[np.concatenate([train, true]).astype(int)],
            "split": ["train"] * len(train) + [split] * len(true),
        }
    )
    if sources:
        mine = [f"patient {n}" for n in np.arange(len(true)) % sources]
        table["group"] = [f"train patient {n % 50}" for n in range(len(train))] + mine
    table.to_csv(path / layout.SPLITS, index=False)


def _write_tables(
    folder: Path, names: Sequence[str], groups: Any, counts: Any, true: np.ndarray, label: np.ndarray
) -> None:
    named, classes = np.array(names, dtype=object), len(names)
    images, right = np.bincount(true, minlength=classes), np.bincount(true[true == label], minlength=classes)
    predicted = np.bincount(label, minlength=classes)
    wrong = pd.DataFrame({"t": true[true != label], "p": label[true != label]})
    pairs = wrong.value_counts(sort=False).reset_index(name="images")
    pairs = pairs.sort_values(["images", "t", "p"], ascending=[False, True, True], kind="stable")
    worst = pairs.drop_duplicates("t").set_index("t")["p"]
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, precision = right / images, right / predicted
    pd.DataFrame(
        {
            "class": named, "group": groups, "train_images": counts, "test_images": images, "correct": right,
            "recall": recall, "precision": precision,
            "mistaken_for": [named[worst[c]] if c in worst.index else None for c in range(classes)],
        }
    ).to_csv(folder / layout.PER_CLASS, index=False)  # fmt: skip
    table = {"class": named[pairs["t"]], "predicted": named[pairs["p"]], "images": pairs["images"]}
    pd.DataFrame(table).to_csv(folder / layout.CONFUSIONS, index=False)


def _write_predictions(
    folder: Path,
    names: Sequence[str],
    split: str,
    true: Any,
    label: Any,
    votes: Any,
    confidence: Any,
    temperature: Any,
) -> None:
    named = np.array(names, dtype=object)
    columns = {
        "path": [f"{split}/{n}" for n in range(len(true))],
        "class": named[true],
        "label": named[label],
        "confidence": confidence,
        "agreement": (votes == label).mean(axis=0),
    }
    columns |= {f"expert_{m}": named[vote] for m, vote in enumerate(votes, 1)}
    if temperature:
        columns["uncalibrated_confidence"] = confidence
        odds = np.log(np.clip(confidence, 1e-6, 1 - 1e-6) / np.clip(1 - confidence, 1e-6, 1))
        columns["confidence"] = 1 / (1 + np.exp(-odds / temperature))
    pd.DataFrame(columns).to_parquet(folder / layout.PREDICTIONS, index=False)
