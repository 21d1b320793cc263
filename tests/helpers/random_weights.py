"""Networks for tests: random everywhere."""

import torch


def randomized(model: torch.nn.Module, by: float = 0.1) -> torch.nn.Module:
    """Random weights everywhere, so that no branch is silent because it starts at zero."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in model.parameters():
            p += by * torch.randn(p.shape, generator=generator)
    return model.eval()
