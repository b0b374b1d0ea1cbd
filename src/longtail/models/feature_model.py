"""Neck and classifiers of a network with a frozen backbone, as a model whose inputs are stored features."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from longtail.models.experts import ExpertModel
from longtail.models.options import ModelOptions


class FeatureModel(ExpertModel):
    """M experts on the features of a frozen backbone: neck and classifiers alone.

    Args:
        options: the recipe's [model] section.
        dim: D of the backbone's features.
        num_classes: C.
        banks: names of the classifier banks.
    """

    def __init__(self, options: ModelOptions, dim: int, num_classes: int, banks: Sequence[str]) -> None:
        super().__init__()
        self.detach_trunk, self.experts = (), nn.ModuleList()
        self.add_heads(
            num_classes, options.num_experts, dim,
            head=options.head, fresh_head=options.fresh_head, cosine_scale=options.cosine_scale, banks=banks,
            shared_head=options.shared_head, standardized=True, hidden_units=options.hidden_units,
        )  # fmt: skip

    def share_with(self, whole: ExpertModel) -> None:
        """Put this neck and these classifiers into the network that holds the backbone too: both train as one."""
        whole.neck, whole.heads = self.neck, self.heads

    def backbone_features(self, image: Float[Tensor, "b d 1 1"]) -> Float[Tensor, "1 b d"]:
        """Stored features as they are; methods that mix images mix them."""
        return image.flatten(1).unsqueeze(0)

    def depth(self, name: str) -> int:
        return 0

    def last_maps(self) -> list[nn.Module]:
        return []


def backbone_dim(whole: ExpertModel) -> int:
    """D of the backbone's own features."""
    neck = whole.neck
    assert neck is not None
    return len(neck.mean)
