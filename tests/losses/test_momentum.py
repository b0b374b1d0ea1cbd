import pytest
import torch
from torch import nn

from longtail.losses import KeyQueue, moving_average_copy, update_moving_average

M, D = 2, 3


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False))


@pytest.mark.parametrize("pushes", [[3, 3, 3], [5, 5, 1], [7, 2], [12, 1], [1] * 20])
def test_the_queue_holds_the_last_that_were_pushed(pushes) -> None:
    size, queue = 7, KeyQueue(7, D, M)
    generator, seen, labels = torch.Generator().manual_seed(0), [], []
    for number in pushes:
        keys = torch.randn(M, number, D, generator=generator, requires_grad=True)
        target = torch.randint(9, (number,), generator=generator)
        queue.push(keys, target)
        seen += [*keys.detach().unbind(1)]
        labels += target.tolist()
    held = {(label, *key.flatten().tolist()) for label, key in zip(labels[-size:], seen[-size:], strict=True)}
    there = queue.key_target >= 0
    found = zip(queue.key_target[there].tolist(), queue.keys[:, there].unbind(1), strict=True)
    assert {(label, *key.flatten().tolist()) for label, key in found} == held
    assert not queue.keys.requires_grad
    assert queue.keys[:, ~there].count_nonzero() == 0


def test_the_oldest_keys_are_overwritten_first() -> None:
    queue = KeyQueue(4, 1)
    queue.push(torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([1, 2, 3]))
    assert queue.key_target.tolist() == [1, 2, 3, -1]
    queue.push(torch.tensor([[[4.0], [5.0]]]), torch.tensor([4, 5]))
    assert queue.key_target.tolist() == [5, 2, 3, 4]
    assert queue.keys.flatten().tolist() == [5.0, 2.0, 3.0, 4.0]
    assert queue.pointer == 1


def test_a_restored_queue_continues_equally() -> None:
    queue, restored = KeyQueue(5, D, M), KeyQueue(5, D, M)
    queue.push(torch.randn(M, 3, D), torch.tensor([0, 1, 2]))
    restored.load_state_dict(queue.state_dict())
    keys = torch.randn(M, 4, D).bfloat16()
    for one in (queue, restored):
        one.push(keys, torch.tensor([3, 4, 5, 6]))
    assert set(queue.state_dict()) == {"keys", "key_target", "pointer"}
    assert all(torch.equal(value, restored.state_dict()[name]) for name, value in queue.state_dict().items())
    assert queue.keys.dtype == torch.float32


def test_a_copy_is_equal_takes_no_gradient_and_shares_nothing() -> None:
    module = network()
    module.eval()
    average = moving_average_copy(module)
    assert all(torch.equal(a, b) for a, b in zip(average.parameters(), module.parameters(), strict=True))
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert not average.training
    with torch.no_grad():
        module[0].weight.add_(1)
    assert not torch.equal(average[0].weight, module[0].weight)


def test_parameters_follow_by_decay_and_buffers_at_once() -> None:
    module = network()
    average = moving_average_copy(module)
    expected = [parameter.detach().clone() for parameter in module.parameters()]
    places = [parameter.data_ptr() for parameter in average.parameters()]
    for step in range(5):
        module(
            torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        )  # moves the running statistics
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.1 * (step + 1))
        update_moving_average(average, module, 0.9)
        expected = [
            0.9 * old + 0.1 * new.detach() for old, new in zip(expected, module.parameters(), strict=True)
        ]
    for value, wanted in zip(average.parameters(), expected, strict=True):
        torch.testing.assert_close(value.detach(), wanted)
    assert module[1].num_batches_tracked == 5
    assert all(torch.equal(a, b) for a, b in zip(average.buffers(), module.buffers(), strict=True))
    assert [parameter.data_ptr() for parameter in average.parameters()] == places


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_the_ends_of_the_decay(decay) -> None:
    module = network()
    average = moving_average_copy(module)
    before = average[0].weight.clone()
    with torch.no_grad():
        module[0].weight.mul_(3.7)
    update_moving_average(average, module, decay)
    assert torch.equal(average[0].weight, before if decay else module[0].weight)


def test_a_module_without_parameters_or_buffers_is_no_error() -> None:
    module = nn.ReLU()
    average = moving_average_copy(module)
    update_moving_average(average, module, 0.9)
    assert average is not module
    assert average.state_dict() == {}
