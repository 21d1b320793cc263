"""The discriminator of the digit GAN; needed in training only."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ResBlock, init_convolutions
from models.digits.base import CLASSES


class Discriminator(nn.Module):
    """Real or generated, given the class: a projection discriminator (Miyato and Koyama 2018)."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1),
            ResBlock(width),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            ResBlock(2 * width),
            nn.SiLU(),
        )
        self.deviation = nn.Conv2d(2 * width + 1, 2 * width, 3, padding=1)
        self.features = nn.Linear(2 * width * 7**2, 4 * width)
        self.label_embed = nn.Embedding(CLASSES, 4 * width)
        self.head = nn.Linear(4 * width, 1)
        init_convolutions(self)

    def forward(
        self, x: Float[Tensor, "b 1 28 28"], labels: Int64[Tensor, " b"]
    ) -> Float[Tensor, " b"]:
        """Logits; `x` in [0, 1]."""
        h = self.body(x * 2 - 1)
        # mean standard deviation over the batch as a channel (Karras et al. 2018): shows collapse
        spread = (h.float().var(0, correction=0) + 1e-6).sqrt().mean()
        h = torch.cat([h, spread.to(h).expand(len(h), 1, *h.shape[2:])], 1)
        h = F.silu(self.features(F.silu(self.deviation(h)).flatten(1)))
        projection = (h * self.label_embed(labels).to(h)).sum(1) / h.shape[1] ** 0.5
        return (self.head(h)[:, 0] + projection).float()
