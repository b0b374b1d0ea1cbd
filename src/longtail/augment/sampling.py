"""From random bits to the operation that each image gets at each step of a policy."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from longtail.augment.policies import (
    AUTOAUGMENT_LEVELS,
    CIFAR10_POLICY,
    RANDAUGMENT_LEVELS,
    RANDAUGMENT_OPERATIONS,
    Choice,
    Operation,
    operation,
    port,
)
from longtail.augment.random import TWO_32, below

NOTHING = Operation("identity")
CROP_Y, CROP_X, FLIP, CUTOUT_Y, CUTOUT_X, FIRST_STEP = range(6)  # slots
SLOTS_PER_STEP = 3
MOST_RANDAUGMENT_OPS = 16


class Step(NamedTuple):
    """One of the operations that a policy applies in turn.

    Attributes:
        choice_slot: slot of the draw among K choices; the slots after `own_slot - 1` are this step's own.
        own_slot: slot of the draw that decides whether to apply; the next slot draws the sign.
        threshold: (K,) probability of applying times 2^32.
        row: (K, 2) row in the table of operations, for sign + and -.
    """

    choice_slot: int
    own_slot: int
    threshold: Int[Tensor, " k"]
    row: Int[Tensor, "k 2"]

    def to(self, device: torch.device) -> "Step":
        return self._replace(threshold=self.threshold.to(device), row=self.row.to(device))

    @property
    def last_slot(self) -> int:
        return max(self.choice_slot, self.own_slot + 1)

    def rows(self, bits: Int[Tensor, "b s"]) -> Int[Tensor, " b"]:
        """The row that each image gets, 0 (nothing) where the draw says not to apply."""
        choice = below(bits[:, self.choice_slot], len(self.threshold))
        sign = below(bits[:, self.own_slot + 1], 2)
        applied = bits[:, self.own_slot] < self.threshold[choice]
        return self.row[choice, sign] * applied


class Policy(NamedTuple):
    """The distinct operations of a policy (row 0 does nothing) and its steps."""

    operations: tuple[Operation, ...] = (NOTHING,)
    steps: tuple[Step, ...] = ()


Signed = tuple[Operation, Operation]  # for sign + and -


def policy(steps: Iterable[tuple[int, int, Iterable[tuple[float, Signed]]]]) -> Policy:
    """Number the distinct operations of (choice_slot, own_slot, choices) steps and make the tensors.

    Args:
        steps: each choice is the probability of applying and the operation for each sign.
    """
    numbers = {NOTHING: 0}
    made = []
    for choice_slot, own_slot, choices in steps:
        threshold, row = [], []
        for probability, signed in choices:
            threshold.append(round(probability * TWO_32))
            row.append([numbers.setdefault(one, len(numbers)) for one in signed])
        made.append(Step(choice_slot, own_slot, torch.tensor(threshold), torch.tensor(row)))
    return Policy(tuple(numbers), tuple(made))


def joined(policies: Iterable[Policy]) -> Policy:
    """One policy after the other, as one."""
    numbers = {NOTHING: 0}
    steps = []
    for one in policies:
        rows = torch.tensor([numbers.setdefault(each, len(numbers)) for each in one.operations])
        steps += [step._replace(row=rows[step.row]) for step in one.steps]
    return Policy(tuple(numbers), tuple(steps))


def _signed(choices: Iterable[Choice], levels: int) -> list[tuple[float, Signed]]:
    return [
        (probability, (operation(name, level, levels, 1), operation(name, level, levels, -1)))
        for name, probability, level in choices
    ]


def _ported(choices: Iterable[Choice]) -> list[tuple[float, Signed]]:
    return [(choice.probability, (port(choice, 1), port(choice, -1))) for choice in choices]


def autoaugment(first_slot: int, *, ported: bool = False) -> Policy:
    """The CIFAR-10 policy: one draw chooses the sub-policy, whose two operations are applied or not in turn.

    Args:
        first_slot: uses the slots first_slot to first_slot + 5.
        ported: the operations are those of the PIL port, see `port`.
    """
    columns = zip(*CIFAR10_POLICY, strict=True)
    slots = ((first_slot, first_slot + SLOTS_PER_STEP * number + 1) for number in range(2))
    return policy(
        (a, b, _ported(column) if ported else _signed(column, AUTOAUGMENT_LEVELS))
        for (a, b), column in zip(slots, columns, strict=True)
    )


def randaugment(first_slot: int, num_operations: int, magnitude: int) -> Policy:
    """RandAugment: `num_operations` independent draws out of the list, always applied, all at one level.

    Args:
        first_slot: uses three slots an operation from here.
        num_operations: N of the paper, 1 to 16.
        magnitude: M of the paper, 0 to 30.
    """
    choices = _signed([Choice(name, 1.0, magnitude) for name in RANDAUGMENT_OPERATIONS], RANDAUGMENT_LEVELS)
    slots = (first_slot + SLOTS_PER_STEP * number for number in range(num_operations))
    return policy((slot, slot + 1, choices) for slot in slots)
