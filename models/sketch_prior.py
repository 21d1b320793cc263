"""The prior of the sketch codes, from which completions are drawn."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from models.blocks import ResBlock, ResMLP, TransformerBlock, init_transformer
from models.quantize import FiniteScalarQuantizer
from models.sketch_autoencoder import PATCH, SketchConfig


class SketchContext(NamedTuple):
    """What the prior knows of the partial drawing and the label, a cell and a block."""

    cells: Float[Tensor, "b g 4 d"]
    blocks: Float[Tensor, "b g d"]


class SketchPrior(nn.Module):
    """p(codes | y, label), autoregressive over blocks of 2x2 codes and within each block.

    A causal transformer runs over the blocks; residual MLPs then draw a block's four codes one
    after the other (the idea of the RQ-transformer, Lee et al. 2022): a quarter of the positions.
    """

    def __init__(self, config: SketchConfig):
        super().__init__()
        width, fine, coarse = config.width, config.fine_channels, config.coarse_channels
        self.min_p, self.grid = config.min_p, config.image_size // PATCH
        self.codes = FiniteScalarQuantizer(config.levels).codes
        blocks = (self.grid // 2) ** 2
        self.patches = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(16, fine, 3, padding=1),
            ResBlock(fine),
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * fine, coarse, 1),
            ResBlock(coarse),
        )
        self.cell = nn.Linear(coarse, width)
        self.block = nn.Linear(4 * coarse, width)
        self.label = nn.Embedding(len(config.labels) + 1, width)
        self.place = nn.Parameter(0.02 * torch.randn(blocks, width))
        self.context_layers = nn.ModuleList(
            TransformerBlock(width, config.heads, causal=False)
            for _ in range(config.context_layers)
        )
        self.start = nn.Parameter(0.02 * torch.randn(width))
        self.code = nn.Embedding(self.codes, config.code_width)
        self.before = nn.Linear(4 * config.code_width, width)  # the codes of the block before
        self.layers = nn.ModuleList(
            TransformerBlock(width, config.heads, causal=True) for _ in range(config.prior_layers)
        )
        self.within = nn.Linear(3 * config.code_width, width)  # this block's earlier codes
        self.register_buffer("earlier", torch.ones(4, 3).tril(-1), persistent=False)
        self.corner = nn.Parameter(0.02 * torch.randn(4, width))
        self.cell_layers = nn.Sequential(*(ResMLP(width) for _ in range(config.cell_layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, self.codes)
        for part in self.children():
            if not isinstance(part, nn.Sequential) or part is self.cell_layers:
                init_transformer(part, config.context_layers + config.prior_layers)

    def to_blocks(self, grid: Tensor) -> Tensor:
        """(b, gh * gw, ...) in reading order -> (b, blocks, 4, ...)."""
        half = self.grid // 2
        h = grid.reshape(len(grid), half, 2, half, 2, *grid.shape[2:])
        return h.transpose(2, 3).reshape(len(grid), half * half, 4, *grid.shape[2:])

    def from_blocks(self, blocks: Int64[Tensor, "b g 4"]) -> Int64[Tensor, "b n"]:
        """The inverse of `to_blocks`."""
        half = self.grid // 2
        return blocks.view(-1, half, half, 2, 2).transpose(2, 3).reshape(len(blocks), -1)

    def context(
        self, partial: Float[Tensor, "b 1 h w"], label: Int64[Tensor, " b"]
    ) -> SketchContext:
        """Read the partial drawing; a label of len(labels) means any."""
        h = self.to_blocks(self.patches(partial).flatten(2).transpose(1, 2))  # b g 4 coarse
        blocks = self.block(h.flatten(2)) + self.place + self.label(label)[:, None]
        for layer in self.context_layers:
            blocks = layer(blocks)
        return SketchContext(self.cell(h) + self.corner, blocks)

    def forward(
        self,
        codes: Int64[Tensor, "b n"],
        partial: Float[Tensor, "b 1 h w"],
        label: Int64[Tensor, " b"],
    ) -> Float[Tensor, "b n K"]:
        """Logits of every code given those before it, in reading order."""
        context = self.context(partial, label)
        code = self.code(self.to_blocks(codes))  # b g 4 e
        before = self.before(code[:, :-1].flatten(2))
        h = torch.cat([self.start.to(before).expand(len(codes), 1, -1), before], 1) + context.blocks
        for layer in self.layers:
            h = layer(h)
        earlier = code[:, :, None, :3] * self.earlier[:, :, None]  # b g 4 3 e
        h = self.cell_layers(h[:, :, None] + self.within(earlier.flatten(3)) + context.cells)
        logits = self.head(self.norm(h)).float()  # b g 4 K
        half = self.grid // 2
        return logits.unflatten(1, (half, half)).unflatten(3, (2, 2)).transpose(2, 3).flatten(1, 4)

    def sample(
        self, context: SketchContext, noise: Float[Tensor, "b n"], temperature: float
    ) -> Int64[Tensor, "b n"]:
        """Draw codes by inverting the cumulative distribution at `noise`, uniform in [0, 1).

        `temperature` divides the logits; at 0 the likeliest code is taken each time.
        """
        b, n = noise.shape
        caches = [layer.new_cache(b, n // 4) for layer in self.layers]
        drawn = torch.zeros(b, n // 4, 4, dtype=torch.long, device=noise.device)
        before = self.start.expand(b, -1)
        weights = self.within.weight.t().chunk(3)  # one for each earlier cell
        for g in range(n // 4):
            h = before + context.blocks[:, g]
            for layer, cache in zip(self.layers, caches, strict=True):
                h = layer.step(h, cache, g)
            h = h + self.within.bias
            code = h.new_zeros(b, 4, self.code.embedding_dim)
            for k in range(4):
                logits = self.head(self.norm(self.cell_layers(h + context.cells[:, g, k])))
                drawn[:, g, k] = self.pick(logits.float(), noise[:, 4 * g + k], temperature)
                code[:, k] = self.code(drawn[:, g, k])
                if k < 3:
                    h = h + code[:, k] @ weights[k]
            before = self.before(code.flatten(1))
        return self.from_blocks(drawn)

    def pick(
        self, logits: Float[Tensor, "b K"], noise: Float[Tensor, " b"], temperature: float
    ) -> Int64[Tensor, " b"]:
        """One code a row."""
        if temperature == 0:
            return logits.argmax(-1)
        p = (logits / temperature).softmax(-1)
        if self.min_p:
            p = p.masked_fill(p < self.min_p * p.amax(-1, keepdim=True), 0)
        upto = p.cumsum(-1)
        code = torch.searchsorted(upto, noise[:, None] * upto[:, -1:], right=True)[:, 0]
        return code.clamp(max=self.codes - 1)
