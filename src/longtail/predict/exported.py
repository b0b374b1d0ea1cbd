"""A file that `longtail export` wrote, as a classifier: only onnxruntime or torch's operators stand behind it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import torch
from jaxtyping import Float
from torch import Tensor

from longtail.engine.evaluate import evaluation_batch
from longtail.engine.several_views import Answers
from longtail.machine import pass_on
from longtail.predict.archive import read_archive
from longtail.predict.description import FileDescription
from longtail.predict.graph import Graph, UnsafeFileError
from longtail.predict.onnx_file import OnnxFile
from longtail.predict.predictor import Predictor
from longtail.predict.weights import weights_digest
from longtail.records import check_record, parse_json, short
from longtail.runs.schema import plain
from longtail.types import Batch, InputError

AGAIN = (
    "give a file that `longtail export` of this version wrote, or export the run again, as ONNX if that helps"
)
CLOSE = 1e-3  # to 1 that probabilities add up


Network = Graph | OnnxFile


class ExportedClassifier(Predictor):
    """An exported file with its classes; made by `load`. Temperature and the method's prediction are part of its graph.

    Args:
        path: an .onnx or .pt2 file; the content decides which.
        device: "auto" or "cpu".

    Attributes:
        facts: what the file says of itself, see `longtail.export.describe`.

    Raises:
        InputError: it is no exported file, is damaged, does not fit its own description, or needs a package that is
            missing.
    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        if device not in ("auto", "cpu"):
            raise InputError(f"device = {device!r}: exported files run on the CPU; use auto or cpu")
        self.path, self.device = path, torch.device("cpu")
        self.facts, self._network = _open(path)
        self.classes, self.class_counts = (
            tuple(self.facts["classes"]),
            torch.tensor(self.facts["class_counts"]),
        )
        self.num_experts = int(self.facts["num_experts"])
        # What `infer` gives is calibrated already.
        self.description = {**self.facts, "temperature": 1.0}
        size = self.facts["image_size"]
        if self._network.image_shape != [None, 3, size, size]:
            self._refuse(
                f"it takes images of {self._network.image_shape[1:]} and names {size} x {size} pixels"
            )
        self.compute(torch.zeros((1, 3, size, size), dtype=torch.uint8))

    @property
    def note(self) -> str | None:
        epoch, epochs = self.facts["epoch"], self.facts["epochs"]
        if epoch == epochs:
            return None
        return f"{self.path} was exported from a run that was not finished: after epoch {epoch} of {epochs}"

    @property
    def flips(self) -> bool:
        return bool(self.facts.get("flips", False))

    @property
    def batch_size(self) -> int:
        return evaluation_batch(0, self.device, self.facts["image_size"])

    @property
    def fingerprint(self) -> str:
        return weights_digest(self.path)

    def compute(self, image: Tensor) -> tuple[Float[Tensor, "b c"], Float[Tensor, "m b c"]]:
        """Probabilities of all experts together, and of each, of uint8 images (B, 3, S, S).

        Raises:
            InputError: the file fails, or its answers are no probabilities of the classes that it names.
        """
        try:
            together, each = self._network(image)
        except Exception as error:  # of torch and onnxruntime, each with its own
            pass_on(error)
            self._refuse(f"it fails on images: {_reason(error)}")
        found = tuple(together.shape), tuple(each.shape)
        rows, classes = len(image), len(self.classes)
        if found != ((rows, classes), (self.num_experts, rows, classes)):
            self._refuse(
                f"it names {classes} classes and {self.num_experts} experts, and {rows} images give answers of shapes "
                f"{found[0]} and {found[1]}"
            )
        for answers in (together, each):
            if not answers.is_floating_point() or not bool(torch.isfinite(answers).all()):
                self._refuse("its answers are not finite numbers")
            if bool((answers < 0).any()) or bool(((answers.sum(dim=-1) - 1).abs() > CLOSE).any()):
                self._refuse("its answers are no probabilities")
        return together, each

    def infer(self, stream: Iterator[Batch]) -> Answers:
        """Batches with the logarithms of their probabilities, which stand for logits."""
        least = torch.finfo(torch.float32).tiny
        for batch in stream:
            together, each = self.compute(batch.image)
            yield batch, together.clamp_min(least).log(), each.clamp_min(least).log()

    def assumed_log_prior(self) -> Float[Tensor, " c"]:
        return torch.tensor(self.facts["prior"], dtype=torch.float64).log()

    def _refuse(self, reason: str) -> NoReturn:
        raise InputError(f"{self.path} cannot predict: {reason}; {AGAIN}") from None


def _open(path: Path) -> tuple[dict[str, Any], Network]:
    """What the file says of itself, and what answers."""
    try:
        with path.open("rb") as file:
            archived = file.read(2) == b"PK"
        network: Network
        if archived:
            text, network = read_archive(path)
            said = parse_json(text, f"the description in {path}", AGAIN)
        else:
            network = onnx = OnnxFile(path)
            said = onnx.facts
    except InputError:
        raise
    except OSError as error:
        pass_on(error)
        raise InputError(
            f"cannot read {path}: {error.strerror or error}; check it, or export the run again"
        ) from None
    except UnsafeFileError as error:
        raise InputError(f"{path} is not loaded, for it could run code: {error}; {AGAIN}") from None
    except Exception as error:  # of zipfile, torch, onnx and onnxruntime, each with its own
        pass_on(error)
        raise InputError(f"cannot read {path} as an exported file ({_reason(error)}); {AGAIN}") from None
    return plain(check_record(said, FileDescription, f"the description in {path}", AGAIN)), network


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return short(ValueError(lines[0] if lines else type(error).__name__), 200)
