"""Classifiers of faces: one judges, apart from any model; another one teaches the inpainter."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ResBlock, init_convolutions
from models.images import to_rgb

SIZE = 64  # px at which faces are looked at


@dataclass(frozen=True)
class FaceJudgeConfig:
    """Rebuilds the network; saved beside the weights."""

    attributes: tuple[str, ...]
    width: int = 32

    def __post_init__(self):
        if not self.attributes or self.width < 1:
            raise ValueError(f"attributes and width must not be empty: {self}")


class FaceJudgement(NamedTuple):
    """Logits of the attributes, the features of the Frechet distance, and those on the way."""

    logits: Float[Tensor, "b k"]
    features: Float[Tensor, "b 128"]
    maps: list[Tensor]


class FaceJudge(nn.Module):
    """A small convolutional classifier of CelebA's attributes."""

    config_class = FaceJudgeConfig

    def __init__(self, config: FaceJudgeConfig):
        super().__init__()
        self.config, width = config, config.width
        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(3, width, 5, 2, 2), ResBlock(width)),
                nn.Sequential(nn.SiLU(), nn.Conv2d(width, 2 * width, 3, 2, 1), ResBlock(2 * width)),
                nn.Sequential(
                    nn.SiLU(),
                    nn.Conv2d(2 * width, 4 * width, 3, 2, 1),
                    ResBlock(4 * width),
                    ResBlock(4 * width),
                ),
            ]
        )
        self.pool = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(4 * width, 4 * width, 3, 2, 1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(4 * width * (SIZE // 16) ** 2, 128),
            nn.SiLU(),
        )
        self.dropout, self.head = nn.Dropout(0.3), nn.Linear(128, len(config.attributes))
        init_convolutions(self)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> FaceJudgement:
        """Faces in [0, 1], of 64x64 or a multiple of it."""
        if x.shape[-1] != SIZE:
            x = F.avg_pool2d(x, x.shape[-1] // SIZE)
        level = x.mean((1, 2, 3), keepdim=True)
        h, maps = (x - level) * 4, []
        for stage in self.stages:
            h = stage(h)
            maps.append(h)
        features = self.pool(h).float()
        return FaceJudgement(self.head(self.dropout(features)).float(), features, maps)

    @torch.inference_mode()
    def chances(self, faces: Float[Tensor, "b 3 h w"]) -> dict[str, list[float]]:
        """Attribute -> the probability that each face has it, as far as this classifier sees."""
        shares = self(faces).logits.sigmoid().T.tolist()
        return dict(zip(self.config.attributes, shares, strict=True))

    @torch.inference_mode()
    def judge(
        self, faces: UInt8[np.ndarray, "n h w 3"]
    ) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n 128"]]:
        """Logits and features of many faces."""
        found = [self(to_rgb(faces[i : i + 256])) for i in range(0, len(faces), 256)]
        return (
            torch.cat([f.logits for f in found]).numpy(),
            torch.cat([f.features for f in found]).numpy(),
        )
