"""Classes by how many training images they have."""

from jaxtyping import Int
from torch import Tensor

GROUPS = ("many", "medium", "few")


def class_groups(
    class_counts: Int[Tensor, " c"], many_above: int = 100, few_below: int = 20
) -> tuple[str, ...]:
    """The group of each class: "many", "medium" or "few" training images.

    Args:
        class_counts: (C,) training images of each class.
        many_above: a class with more images than this is "many".
        few_below: a class with fewer images than this is "few"; every other one is "medium".

    Example:
        >>> class_groups(torch.tensor([101, 100, 20, 19]))
        ('many', 'medium', 'medium', 'few')

    """
    return tuple(
        "many" if count > many_above else "few" if count < few_below else "medium"
        for count in class_counts.tolist()
    )
