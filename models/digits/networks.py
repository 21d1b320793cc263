"""Encoders, decoders and conditional blocks of the digit models."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ResBlock, init_convolutions

GRID = 7  # side of the smallest feature map
GRID_CHANNELS = 8  # of the map that is flattened into a vector, and of the one made from it


class ConvEncoder(nn.Module):
    """A picture to a feature vector: two stride-2 convolutions with residual blocks, one layer."""

    def __init__(self, width: int, depth: int, features: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1),
            *(ResBlock(width) for _ in range(depth)),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            *(ResBlock(2 * width) for _ in range(depth)),
            nn.SiLU(),
            nn.Conv2d(2 * width, GRID_CHANNELS, 1),
            nn.SiLU(),
            nn.Flatten(),
        )
        self.head = nn.Linear(GRID_CHANNELS * GRID**2, features)
        init_convolutions(self.body)

    def forward(self, x: Float[Tensor, "b 1 28 28"]) -> Float[Tensor, "b f"]:
        """Features after a SiLU; `x` in [0, 1]."""
        return F.silu(self.head(self.body(x * 2 - 1)))


class ConvDecoder(nn.Module):
    """A vector to the logits of a picture, by sub-pixel convolutions (Shi et al. 2016)."""

    def __init__(self, inputs: int, width: int, depth: int):
        super().__init__()
        self.stem = nn.Linear(inputs, GRID_CHANNELS * GRID**2)
        self.body = nn.Sequential(
            nn.Unflatten(1, (GRID_CHANNELS, GRID, GRID)),
            nn.Conv2d(GRID_CHANNELS, 2 * width, 3, padding=1),
            *(ResBlock(2 * width) for _ in range(depth)),
            nn.SiLU(),
            nn.Conv2d(2 * width, 4 * width, 1),
            nn.PixelShuffle(2),
            *(ResBlock(width) for _ in range(depth)),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            nn.Conv2d(width // 2, 1, 3, padding=1),
        )
        init_convolutions(self.body)

    def forward(self, z: Float[Tensor, "b i"]) -> Float[Tensor, "b 1 28 28"]:
        """Logits of the pixels."""
        h = F.silu(self.stem(z))
        return self.body(h)


class DenseEncoder(nn.Module):
    """A picture to a feature vector by two fully connected layers."""

    def __init__(self, width: int, features: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(28**2, width), nn.SiLU(), nn.Linear(width, features), nn.SiLU()
        )

    def forward(self, x: Float[Tensor, "b 1 28 28"]) -> Float[Tensor, "b f"]:
        """Features after a SiLU; `x` in [0, 1]."""
        return self.body(x * 2 - 1)


class DenseDecoder(nn.Module):
    """A vector to the logits of a picture by three fully connected layers."""

    def __init__(self, inputs: int, width: int, features: int):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Linear(inputs, features), nn.SiLU()),
            *(nn.Linear(features, width), nn.SiLU()),
            *(nn.Linear(width, 28**2), nn.Unflatten(1, (1, 28, 28))),
        )

    def forward(self, z: Float[Tensor, "b i"]) -> Float[Tensor, "b 1 28 28"]:
        """Logits of the pixels."""
        return self.body(z)


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each position; no learnt scale.

    Permuted to channels last, where it costs little on a CPU; a group norm takes as long as the
    convolutions.
    """

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Same shape out."""
        return F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)


class ConditionalBlock(nn.Module):
    """A residual block; the condition scales and shifts its normed features (adaptive norm).

    As in Dhariwal and Nichol 2021, with a channel norm. Starts as the identity.
    """

    def __init__(self, channels: int, condition: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = ChannelNorm()
        self.film = nn.Linear(condition, 2 * channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(
        self, x: Float[Tensor, "b c h w"], condition: Float[Tensor, "b d"]
    ) -> Float[Tensor, "b c h w"]:
        """Same shape out."""
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, 1)
        h = self.norm(self.conv1(F.silu(x))) * (1 + scale) + shift
        return x + self.conv2(F.silu(h))


def fourier_features(x: Float[Tensor, " b"], dim: int) -> Float[Tensor, "b d"]:
    """sin and cos of `x` at dim / 2 frequencies from 0.1 to 10, log-spaced."""
    frequency = torch.logspace(-1, 1, dim // 2, device=x.device)
    angle = x[:, None].float() * frequency * math.pi / 2
    return torch.cat([angle.sin(), angle.cos()], 1)
