"""A file that `longtail export` wrote, as a classifier: only onnxruntime or torch.export stands behind it."""

import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from longtail.engine.evaluate import evaluation_batch
from longtail.predict.archive import UnsafeArchiveError, read_archive
from longtail.predict.predictor import Answers, Predictor
from longtail.predict.weights import weights_digest
from longtail.types import Batch, InputError

Compute = Callable[[UInt8[Tensor, "b 3 s s"]], tuple[Float[Tensor, "b c"], Float[Tensor, "m b c"]]]
FACTS = {"classes", "class_counts", "image_size", "num_experts", "prior", "temperature", "epoch", "epochs"}
AGAIN = "give a file that `longtail export` wrote, or export the run again"


class ExportedClassifier(Predictor):
    """An exported file with its classes; made by `load`. Temperature and the method's prediction are part of its graph.

    Args:
        path: an .onnx or .pt2 file; which of them is told from the content.
        device: "auto" or "cpu".

    Attributes:
        facts: what the file says of itself, see `longtail.export.describe`.
        compute: probabilities of all experts together (B, C), and of each (M, B, C), of uint8 images (B, 3, S, S).

    Raises:
        InputError: it is no exported file, is damaged, or needs a package that is missing.
    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        if device not in ("auto", "cpu"):
            raise InputError(f"device = {device!r}: exported files run on the processor; use auto or cpu")
        self.path, self.device = path, torch.device("cpu")
        self.facts, self.compute = _open(path)
        self.classes, self.class_counts = (
            tuple(self.facts["classes"]),
            torch.tensor(self.facts["class_counts"]),
        )
        self.num_experts = int(self.facts["num_experts"])
        # What `infer` gives is calibrated already.
        self.description = {**self.facts, "temperature": 1.0}

    @property
    def note(self) -> str | None:
        epoch, epochs = self.facts["epoch"], self.facts["epochs"]
        if epoch == epochs:
            return None
        return f"{self.path} was exported from a run that was not finished: after epoch {epoch} of {epochs}"

    @property
    def batch_size(self) -> int:
        return evaluation_batch(0, self.device, self.facts["image_size"])

    @property
    def fingerprint(self) -> str:
        return weights_digest(self.path)

    def infer(self, stream: Iterator[Batch]) -> Answers:
        """Batches with the logarithms of their probabilities, which stand for logits."""
        least = torch.finfo(torch.float32).tiny
        for batch in stream:
            together, each = self.compute(batch.image)
            yield batch, together.clamp_min(least).log(), each.clamp_min(least).log()

    def assumed_log_prior(self) -> Float[Tensor, " c"]:
        return torch.tensor(self.facts["prior"], dtype=torch.float64).log()


def _open(path: Path) -> tuple[dict[str, Any], Compute]:
    """What the file says of itself, and how to ask it."""
    try:
        with path.open("rb") as file:
            archived = file.read(2) == b"PK"
        facts, compute = _open_pt2(path) if archived else _open_onnx(path)
        if not isinstance(facts, dict) or not facts.keys() >= FACTS:
            raise ValueError("it does not name its classes")
        if not len(facts["classes"]) == len(facts["class_counts"]) == len(facts["prior"]) > 0:
            raise ValueError("its classes do not fit together")
    except (InputError, OSError):
        raise
    except UnsafeArchiveError as error:
        raise InputError(f"{path} is not loaded, for it could run code: {error}; {AGAIN}") from None
    except Exception as error:  # of zipfile, json, torch and onnxruntime, each with its own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"cannot read {path} as an exported file ({reason}); {AGAIN}") from None
    return facts, compute


def _open_pt2(path: Path) -> tuple[Any, Compute]:
    facts, graph = read_archive(path.read_bytes())

    @torch.inference_mode()
    def compute(image: Tensor) -> tuple[Tensor, Tensor]:
        together, each = graph(image)
        return together, each

    return json.loads(facts), compute


def _open_onnx(path: Path) -> tuple[Any, Compute]:
    if find_spec("onnxruntime") is None:
        raise InputError(
            f"{path} needs onnxruntime, which is not installed; pip install onnxruntime, "
            "or export with --format pt2"
        )
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what it has to say is in the exception
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    facts = {key: json.loads(value) for key, value in about.items()} if about.keys() >= FACTS else {}

    def compute(image: Tensor) -> tuple[Tensor, Tensor]:
        together, each = session.run(["probabilities", "expert_probabilities"], {"image": image.numpy()})
        return torch.from_numpy(together), torch.from_numpy(each)

    return facts, compute
