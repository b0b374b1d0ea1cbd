import pytest
import torch
from torch import nn

from longtail.losses import Projection


@pytest.mark.parametrize("batch_norm", [True, False])
def test_each_expert_has_a_perceptron_of_its_own(batch_norm: bool) -> None:
    projection = Projection(2, 4, 6, 5, 3, batch_norm=batch_norm).double()
    rows = torch.randn(2, 7, 4, dtype=torch.float64)
    for m, result in enumerate(projection(rows)):
        expected = rows[m]
        for layer in range(3):
            expected = nn.functional.linear(
                expected, projection.weights[layer][m], projection.biases[layer][m, 0]
            )
            if layer < 2:
                expected = (
                    nn.functional.batch_norm(expected, None, None, training=True) if batch_norm else expected
                )
                expected = expected.relu()
        torch.testing.assert_close(result, expected)


def test_one_row_has_no_spread() -> None:
    """Where PyTorch's batch norm refuses a row, all of it is the shift, and the gradient is finite."""
    projection = Projection(1, 4, 6, 3, batch_norm=True)
    rows = torch.randn(1, 1, 4, requires_grad=True)
    result = projection(rows)
    torch.testing.assert_close(result, projection(2 * rows))
    result.sum().backward()
    assert rows.grad.isfinite().all()


def test_the_precision_is_that_of_the_weights() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert Projection(1, 4, 3)(torch.randn(1, 2, 4, dtype=torch.bfloat16)).dtype == torch.float32
