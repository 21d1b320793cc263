"""Training steps as CUDA graphs: thousands of small kernels, started all at once.

A network for a laptop keeps a GPU waiting for Python, which would start them one by one.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

WARMUP_STEPS = 3  # so that optimizers have their state, and cuDNN its plans


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """The same nested named tuples with `function` of each tensor in place of it."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple):
        return type(value)(*(map_tensors(function, part) for part in value))
    return value


def tensors_in(value: Any) -> Iterator[Tensor]:
    """All tensors of nested tuples, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from tensors_in(part)


def to_device(value: Any, device: torch.device) -> Any:
    """Nested named tuples on a device, pictures (4 dimensions) in channels-last format."""

    def move(x: Tensor) -> Tensor:
        layout = torch.channels_last if x.dim() == 4 else torch.preserve_format
        return x.to(device, memory_format=layout)

    return map_tensors(move, value)


class CapturedStep:
    """A step that is captured after a few calls and then replayed; on a CPU it is just called.

    Its inputs are nested named tuples of tensors. It may depend on nothing else that changes, but
    for tensors changed in place, and may copy nothing to or from the CPU. What it returns is
    overwritten by the next call. Inputs of other shapes than the first ones are not replayed.
    """

    def __init__(self, step: Callable[[Any], dict[str, Tensor]], device: torch.device):
        self.step, self.device = step, device
        self.calls, self.graph = 0, None

    def __call__(self, inputs: Any) -> dict[str, Tensor]:
        """Run the step; `inputs` may still be on the CPU."""
        if self.device.type != "cuda":
            return self.step(to_device(inputs, self.device))
        if self.calls == 0:
            self.inputs = to_device(inputs, self.device)
        shapes = [x.shape for x in tensors_in(inputs)]
        if shapes != [x.shape for x in tensors_in(self.inputs)]:
            return self.step(to_device(inputs, self.device))
        for static, x in zip(tensors_in(self.inputs), tensors_in(inputs), strict=True):
            static.copy_(x, non_blocking=True)
        self.calls += 1
        if self.calls <= WARMUP_STEPS:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                outputs = self.step(self.inputs)
            torch.cuda.current_stream().wait_stream(stream)
            return outputs
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.outputs = self.step(self.inputs)
        self.graph.replay()
        return self.outputs
