"""Steps that are captured as CUDA graphs; without a GPU, what they do on a CPU."""

from typing import NamedTuple

import torch
from torch import Tensor

from training.engine.cuda_graphs import CapturedStep, map_tensors, tensors_in, to_device


class Inner(NamedTuple):
    """A picture and a number."""

    picture: Tensor
    count: int


class Outer(NamedTuple):
    """Nested."""

    inner: Inner
    rate: Tensor


def inputs() -> Outer:
    return Outer(Inner(torch.rand(2, 3, 4, 4), 5), torch.tensor(0.5))


def test_nested_tuples_are_mapped_in_order():
    before = inputs()
    after = map_tensors(lambda x: 2 * x, before)
    assert isinstance(after, Outer)
    assert after.inner.count == 5
    assert [x.shape for x in tensors_in(after)] == [(2, 3, 4, 4), ()]
    for a, b in zip(tensors_in(after), tensors_in(before), strict=True):
        assert torch.equal(a, 2 * b)


def test_pictures_are_moved_in_channels_last_format():
    moved = to_device(inputs(), torch.device("cpu"))
    assert moved.inner.picture.is_contiguous(memory_format=torch.channels_last)


def test_on_a_cpu_a_step_is_called_each_time():
    seen = []

    def step(given: Outer) -> dict[str, Tensor]:
        seen.append(given)
        return {"loss": given.rate * given.inner.count}

    captured = CapturedStep(step, torch.device("cpu"))
    for _ in range(5):
        assert captured(inputs())["loss"] == 2.5
    assert len(seen) == 5
    assert captured.graph is None
