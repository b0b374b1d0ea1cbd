"""A trained run as a classifier of images: predictions with the experts' votes, and further evaluation."""

import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
import torch

from longtail.augment import Augment
from longtail.data import DataOptions, Notes, Split, find_images, load_data, load_test, read_images, source_of
from longtail.data.images import walk_images
from longtail.data.loading import read_source
from longtail.engine.evaluate import Predictions, evaluate, evaluation_batch, infer
from longtail.engine.run_folder import RunFolder
from longtail.engine.runtime import start_runtime
from longtail.engine.scores import Classes, prediction_table, write_evaluation
from longtail.method import Method
from longtail.models import ExpertModel, ModelOptions, build_model
from longtail.recipe import Recipe, load_recipe
from longtail.types import Batch, InputError

DESCRIBED = {"model", "bank", "classes", "image_size", "mean", "std", "epoch"}
Sources = str | Path | Iterable[str | Path]
Unreadable = list[tuple[str, str]]


def load(run: str | Path, *, device: str = "auto") -> "Classifier":
    """The classifier that a run has trained, or has trained so far.

    Args:
        run: the run folder.
        device: "auto", "cpu" or "cuda".

    Raises:
        InputError: it is no run folder, or has no weights yet.
    """
    return Classifier(RunFolder(run), device)


class Classifier:
    """A run's network with its classes; made by `load`.

    Attributes:
        classes: C names.
        num_experts: M.
        note: what to know before trusting it: the run is not finished; None where there is nothing to say.
    """

    def __init__(self, folder: RunFolder, device: str) -> None:
        self.folder, self._status = folder, folder.status()
        self.recipe: Recipe = load_recipe(str(folder.path / "recipe.toml"))[0]
        self._description, self._weights = _read_weights(folder.path)
        self.classes: tuple[str, ...] = tuple(self._description["classes"])
        self.device = start_runtime(device, "fp32").device
        self.model = self._build_model().to(memory_format=torch.channels_last).to(self.device)
        self.num_experts = self.model.num_experts
        counts = torch.tensor([row["count"] for row in folder.read_json("classes.json")])
        self._method = self.recipe.build_method(counts, self.model.feature_dim).to(self.device)
        self._start_method()
        o = self.recipe.data
        self._known = Classes(self.classes, counts, o.many_above, o.few_below)
        self._augment = Augment((), self._description["mean"], self._description["std"])

    @property
    def note(self) -> str | None:
        s = self._status
        if s["status"] == "done":
            return None
        return (
            f"{self.folder.path} is not finished: using its weights after epoch {self._description['epoch']} "
            f"of {s['epochs']}"
        )

    @property
    def _batch_size(self) -> int:
        size = self._description["image_size"]
        return evaluation_batch(self.recipe.run.evaluate_batch_size, self.device, size)

    def predict(self, sources: Sources, *, top_k: int = 1) -> pd.DataFrame:
        """What each image shows.

        Args:
            sources: image files and folders, searched through.
            top_k: classes named for each image, >= 1.

        Returns:
            One row an image: path, label, confidence, agreement (share of the experts that choose the label),
            expert_1 ... expert_M, then label_2, confidence_2, ... Probabilities are in [0, 1].

        Raises:
            InputError: a source does not exist or holds no image, or no image at all can be read.

        Images that cannot be read are left out and named in a warning.
        """
        bad: Unreadable = []
        tables = list(self.stream(_find(sources), bad, top_k=top_k))
        if not tables:
            raise unreadable_error(bad)
        if bad:
            warnings.warn(f"{unreadable_error(bad)}: {', '.join(unreadable_lines(bad))}", stacklevel=2)
        return pd.concat(tables, ignore_index=True)

    def predict_proba(self, sources: Sources) -> np.ndarray:
        """Probabilities (N, C), in the order of `predict`; an image that cannot be read is refused."""
        bad: Unreadable = []
        parts = [logits.softmax(dim=-1).cpu().numpy() for _, logits, _ in self._infer(_find(sources), bad)]
        if bad:
            raise unreadable_error(bad)
        return np.concatenate(parts)

    def stream(
        self, paths: Sequence[Path], unreadable: Unreadable, *, top_k: int = 1
    ) -> Iterator[pd.DataFrame]:
        """`predict` in pieces, so that any number of images takes the same memory.

        Args:
            paths: image files.
            unreadable: filled with (path, reason) of the images that are left out.
            top_k: see `predict`.
        """
        if top_k < 1:
            raise InputError(f"top_k is {top_k}; give 1 or more")
        for ids, logits, each in self._infer(paths, unreadable):
            predictions = Predictions.joined([Predictions.of(logits, each, top_k)])
            yield prediction_table(ids, predictions, self.classes)

    def evaluate(self, data: str | Path | None = None, *, strict: bool = False) -> dict[str, Any]:
        """Evaluate and write `eval/<split>/` into the run folder; see `longtail.evaluate`."""
        name, split, _ = self._own_split(strict) if data is None else self._other_split(Path(data), strict)
        counts, predictions = evaluate(
            self.model, self._method, split, self._augment,
            bank=self._description["bank"], device=self.device,
            batch_size=self._batch_size, workers=self.recipe.data.workers,
        )  # fmt: skip
        more = {
            "split": name,
            "epoch": self._description["epoch"],
            "reuse_features": self.recipe.run.reuse_features,
            "unknown_classes": dict(split.unknown_classes),
            "unreadable": [f"{path} ({reason})" for path, reason in split.unreadable],
        }
        if data is not None:
            more["data"] = str(Path(data).resolve())
        return write_evaluation(self.folder, name, split, self._known, counts, predictions, more)

    def _start_method(self) -> None:
        """Bring the method to where training left it, by way of a network of the shape that it was started with."""
        if type(self._method).start is not Method.start:
            banks = tuple(dict.fromkeys(stage.bank for stage in self.recipe.stages()))
            self._method.start(build_model(self.recipe.model, len(self.classes), banks).to(self.device))
        if self._method_state:
            self._method.load_state_dict(self._method_state)

    def _build_model(self) -> ExpertModel:
        d, state = self._description, self._weights
        model = build_model(ModelOptions(**d["model"]), len(self.classes), (d["bank"],))
        self._method_state = {k[7:]: state.pop(k) for k in list(state) if k.startswith("method.")}
        model.load_state_dict(state)
        return model.eval()

    def _infer(
        self, paths: Sequence[Path], unreadable: Unreadable
    ) -> Iterator[tuple[tuple[str, ...], torch.Tensor, torch.Tensor]]:
        """For each batch the paths, the joint logits (B, C) and each expert's logits (M, B, C)."""
        size = self._batch_size

        def loaded() -> Iterator[Batch]:
            for start in range(0, len(paths), size):
                chunk = paths[start : start + size]
                images, bad = read_images(chunk, self._description["image_size"])
                unreadable.extend(bad)
                skipped = {path for path, _ in bad}
                rows = [start + n for n, path in enumerate(chunk) if str(path) not in skipped]
                if rows:
                    index = torch.tensor(rows, device=self.device)
                    yield Batch(images.to(self.device), torch.zeros_like(index), index)

        for batch, logits, each in infer(
            self.model, self._method, loaded(), self._augment, self._description["bank"]
        ):
            ids = tuple(str(paths[row]) for row in batch.index.tolist())
            yield ids, logits, each

    def _own_split(self, strict: bool) -> tuple[str, Split, Notes]:
        options = self._options(strict)
        source = read_source(options)
        for part, listing in (("test", source.test), ("val", source.val)):
            if listing is not None:
                return part, *load_test(options, self.classes, part)
        data = load_data(options, seed=self.recipe.run.seed)
        if data.val is None:
            raise InputError(
                f"{self.folder.path} was trained without a test part; give images with --data PATH"
            )
        if data.index_hash != self.folder.read_json("env.json")["index_hash"]:
            raise InputError(
                f"the images of {options.path} have changed since training, so what was held out is not known any "
                "more; give other images with --data PATH"
            )
        return "val", data.val, data.notes

    def _other_split(self, data: Path, strict: bool) -> tuple[str, Split, Notes]:
        if not data.exists():
            raise InputError(
                f"{data} does not exist; give a folder with test/ or with a folder for each class"
            )
        own, kind = self.recipe.data.name, source_of(data)
        if own in ("cifar10", "cifar100") and (kind == "parquet" or not any(walk_images(data))):
            options = self._options(strict, path=str(data))
        else:
            options = self._options(strict, name=kind, path=str(data))
        return self._free_name(data), *load_test(options, self.classes)

    def _options(self, strict: bool, **changed: Any) -> DataOptions:
        o, size = self.recipe.data, self._description["image_size"]
        return o.model_copy(update={"image_size": size, "strict": strict or o.strict, **changed})

    def _free_name(self, data: Path) -> str:
        """The folder's name (`photos-test` for `photos/test`), numbered where `eval/` has it from elsewhere."""
        place = data.resolve()
        own = f"{place.parent.name}-{place.name}" if place.name in ("test", "val") else place.name
        names = chain([own], (f"{own}-{number}" for number in count(2)))
        return next(name for name in names if self._origin(name) in (None, str(place)))

    def _origin(self, name: str) -> str | None:
        """Where the images behind `eval/<name>` came from; None where there is no such evaluation."""
        file = f"eval/{name}/metrics.json"
        if not (self.folder.path / file).is_file():
            return None
        return str(self.folder.read_json(file).get("data"))


def _read_weights(run: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What rebuilds the network, and its weights; both lie in one file."""
    path = run / "weights" / "last.safetensors"
    if not path.is_file():
        raise InputError(f"{run} has not finished an epoch and has no weights; continue it with --resume")
    try:
        with safetensors.safe_open(path, "pt") as file:
            description = json.loads((file.metadata() or {}).get("longtail", "{}"))
            if not description.keys() >= DESCRIBED:
                raise ValueError("it does not say what network it belongs to")
            return description, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, AttributeError, ValueError, safetensors.SafetensorError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"cannot load {path} ({reason}); restore it or train again") from None


def _find(sources: Sources) -> list[Path]:
    return find_images([sources] if isinstance(sources, str | Path) else list(sources))


def unreadable_error(bad: Unreadable) -> InputError:
    """What to say of images that cannot be read."""
    noun = "image" if len(bad) == 1 else "images"
    return InputError(f"{len(bad)} {noun} cannot be read", unreadable_lines(bad))


def unreadable_lines(bad: Unreadable, shown: int = 20) -> list[str]:
    """The first of them, each with its reason."""
    lines = [f"{path} ({reason})" for path, reason in bad[:shown]]
    return [*lines, f"and {len(bad) - shown} more"] if len(bad) > shown else lines
