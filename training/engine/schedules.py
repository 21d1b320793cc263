"""Learning rate schedule and the exponential moving average (EMA) of the weights."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def warmup_cosine(step: int, steps: int, peak: float, warmup: int = 200) -> float:
    """Linear warm-up, then a cosine to 2 % of the peak at the last step."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


class EMA:
    """Exponential moving average of a network's parameters; starts as their plain mean.

    Not torch.optim.swa_utils.AveragedModel: its first update copies the parameters instead of
    averaging them, its decay is fixed when it is made (here it changes with the step), and lending
    the weights, most of this class, is not part of it.
    """

    def __init__(self, network: nn.Module):
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int, decay: float = 0.999) -> None:
        """Move towards `network` after optimizer step number `step`, counted from 0."""
        decay = min(decay, (step + 1) / (step + 10))
        averages, values = list(self.network.parameters()), list(network.parameters())
        torch._foreach_lerp_(averages, [v.detach() for v in values], 1 - decay)

    def state_dict(self) -> dict[str, Tensor]:
        """For the resume state."""
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore `state_dict`."""
        self.network.load_state_dict(state)

    @contextmanager
    def in_place_of(self, network: nn.Module) -> Iterator[None]:
        """Give `network` the averaged weights within the block."""
        own = copy.deepcopy(network.state_dict())
        network.load_state_dict(self.network.state_dict())
        yield
        network.load_state_dict(own)
