"""From logits to probabilities: first the temperature, then the class prior expected in use."""

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Decision:
    """Probabilities softmax(logits / temperature + log_prior_ratio), on which predictions are based.

    The temperature comes first because it was fitted to the network's own logits: it says how much of their size is
    evidence. A class prior is a fact about the world in true log odds, which no temperature may shrink.

    Attributes:
        temperature: > 0; 1 leaves the logits as they are.
        log_prior_ratio: (C,) log of the class prior in use over the one that the logits stand for, up to a constant;
            -inf rules a class out; None changes nothing.
    """

    temperature: float = 1.0
    log_prior_ratio: Float[Tensor, " c"] | None = None

    def __call__(self, logits: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch c"]:
        """Logits whose softmax is the probability of each class."""
        scaled = logits if self.temperature == 1 else logits / self.temperature
        return scaled if self.log_prior_ratio is None else scaled + self.log_prior_ratio

    def votes(self, expert_logits: Float[Tensor, "m b c"]) -> Float[Tensor, "m b c"]:
        """The same for what each expert says; without a class prior their choice needs nothing."""
        return expert_logits if self.log_prior_ratio is None else self(expert_logits)

    @property
    def uncalibrated(self) -> "Decision":
        """The same without a temperature."""
        return replace(self, temperature=1.0)


PLAIN = Decision()
