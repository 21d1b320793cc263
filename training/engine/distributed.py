"""Gradient averaging over the processes of a run."""

import torch
from accelerate import Accelerator
from torch import nn


def average_gradients(acc: Accelerator, network: nn.Module) -> None:
    """Replace the gradients by their mean over all processes; nothing to do in a single one.

    For adversarial training, where a backward pass spans several forward passes or a double
    backward, which DistributedDataParallel does not support.
    """
    if acc.num_processes == 1:
        return
    parameters = [p for p in network.parameters() if p.requires_grad]
    for p in parameters:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    flat = acc.reduce(torch.cat([p.grad.flatten() for p in parameters]), "mean")
    sizes = [p.numel() for p in parameters]
    for p, gradient in zip(parameters, flat.split(sizes), strict=True):
        p.grad.copy_(gradient.view_as(p))
