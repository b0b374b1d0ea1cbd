"""What is exported: one module from the pixels of a square image to calibrated probabilities."""

from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from longtail.machine import pass_on
from longtail.method import Method
from longtail.models import fold_batch_norm
from longtail.predict import Classifier
from longtail.types import InputError

TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom")
"""What torch notes of the source code behind a node, with the paths of this machine."""


class Deployable(nn.Module):
    """Normalisation, network with folded batch norm, the method's prediction, and the temperature.

    The input is uint8, as an image file holds it: a caller who scales or normalises first is refused by the runtime
    instead of being answered wrongly.

    Args:
        classifier: the run's classifier, on the CPU.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        about = classifier.description
        self.model = fold_batch_norm(classifier.model).to(memory_format=torch.contiguous_format)
        # Inside a tuple it is no submodule: of what the method remembers, the graph then keeps only what it reads.
        self._method: tuple[Method] = (classifier.method.eval().requires_grad_(False),)
        self.bank, self.temperature = about["bank"], classifier.temperature
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(about[name])[:, None, None])

    def forward(self, image: UInt8[Tensor, "b 3 s s"]) -> tuple[Float[Tensor, "b c"], Float[Tensor, "m b c"]]:
        """Probabilities of all experts together, and of each."""
        output = self.model((image.float() / 255 - self.mean) / self.std, bank=self.bank)
        (method,) = self._method
        together, each = method.logits(output), method.expert_logits(output)
        return (together / self.temperature).softmax(dim=-1), (each / self.temperature).softmax(dim=-1)


def trace(classifier: Classifier) -> torch.export.ExportedProgram:
    """The classifier as a graph of torch operators for any number of images, free of paths of this machine.

    Raises:
        InputError: the network or the method cannot be written so.
    """
    size = classifier.description["image_size"]
    example = torch.zeros((2, 3, size, size), dtype=torch.uint8)
    batch: dict[str, Any] = {"image": {0: torch.export.Dim("batch", min=1)}}
    module = Deployable(classifier).eval()
    try:
        with torch.no_grad():
            program = torch.export.export(module, (example,), dynamic_shapes=batch, strict=False)
    except Exception as error:  # torch has many kinds, and a network may raise its own
        pass_on(error)
        recipe, reason = classifier.recipe, (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{recipe.method.name} with {recipe.model.name} cannot be written as one graph for any number of images "
            f"({reason[:160]}); use --format folder"
        ) from error
    forget_source(program)
    return program


def forget_source(program: torch.export.ExportedProgram) -> None:
    """Remove from a graph what torch notes of the source code behind it."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            for key in TRACES:
                node.meta.pop(key, None)
